package splicetest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

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

func TestServerOverTCP(t *testing.T) {
	EachVersion(t, func(t *testing.T, version string) {
		v, err := FindVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		s := NewServerWith(t, Options{Bin: v.Bin, TCP: true, TLS: true, Password: "o'pen sesame/%"})
		if !one[bool](t, s.TCPDSN("postgres"), "select ssl from pg_stat_ssl where pid = pg_backend_pid()") {
			t.Error("no TLS")
		}
		right := s.options.Password
		s.options.Password = "wrong"
		if err := execute(t.Context(), s.TCPDSN("postgres"), "select 1"); err == nil {
			t.Error("a wrong password is let in")
		}
		s.options.Password = right
		if err := execute(t.Context(), strings.Replace(s.TCPDSN("postgres"), "verify-full", "disable", 1),
			"select 1"); err == nil {
			t.Error("a connection in clear is let in")
		}
		plain := NewServerWith(t, Options{Bin: v.Bin, TCP: true, Settings: map[string]string{"work_mem": "5MB"}})
		if got := one[string](t, plain.TCPDSN("postgres"), "show work_mem"); got != "5MB" {
			t.Error(got)
		}
	})
}

// TestServerEndsWithItsParent starts a server in another process, kills that
// process and watches the server end.
func TestServerEndsWithItsParent(t *testing.T) {
	const child = "SPLICETEST_CHILD"
	if os.Getenv(child) != "" {
		s, err := Start(context.Background(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("server %d %s\n", s.PID(), s.Dir)
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestServerEndsWithItsParent$")
	cmd.Env = append(os.Environ(), child+"=yes")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	var dir string
	if _, err := fmt.Fscanf(bufio.NewReader(out), "server %d %s\n", &pid, &dir); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if !alive(pid) {
		t.Fatal("there is no server")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(20 * time.Second); alive(pid); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGQUIT)
			t.Fatal("the server outlives its parent")
		}
	}
}

func TestFindVersion(t *testing.T) {
	if _, err := FindVersion("9"); err == nil || !strings.Contains(err.Error(), "no Postgres 9 is installed") {
		t.Error(err)
	}
	t.Setenv("HOLDFAST_TEST_PG", "")
	for _, v := range Versions() {
		if !strings.HasPrefix(v.Bin, "/usr/lib/postgresql/"+v.Major) {
			t.Errorf("%+v", v)
		}
	}
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
