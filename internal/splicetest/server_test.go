package splicetest

import (
	"context"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestServerRunsKillsAndRestarts(t *testing.T) {
	EachVersion(t, func(t *testing.T, version string) {
		ctx := t.Context()
		s := NewServer(t, version)
		if err := s.Exec(ctx, "postgres", "create table kept (n int); insert into kept values (7)"); err != nil {
			t.Fatal(err)
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if s.PID() != 0 {
			t.Error("a killed server has a process")
		}
		if err := s.Resume(ctx); err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		if got := one[int](t, s.DSN("postgres"), "select n from kept"); got != 7 {
			t.Errorf("kept %d, want 7", got)
		}
	})
}

// one returns the single value that a query answers.
func one[T any](t testing.TB, dsn, query string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var v T
	if err := conn.QueryRow(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// alive reports whether a process is there.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
