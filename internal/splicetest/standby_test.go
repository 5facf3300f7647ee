package splicetest

import (
	"testing"
	"time"
)

func TestStandbyFollowsAndIsPromoted(t *testing.T) {
	EachVersion(t, func(t *testing.T, version string) {
		ctx := t.Context()
		s := NewServer(t, version)
		if err := s.Exec(ctx, "postgres", "create table t as select generate_series(1, 20000) n"); err != nil {
			t.Fatal(err)
		}
		replica, err := s.Standby(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := replica.Close(); err != nil {
				t.Error(err)
			}
		})
		if !one[bool](t, replica.DSN("postgres"), "select pg_is_in_recovery()") {
			t.Error("the standby is none")
		}
		if err := s.Exec(ctx, "postgres", "insert into t values (20001)"); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); one[int](t, replica.DSN("postgres"),
			"select count(*) from t") != 20001; {
			if time.Now().After(deadline) {
				t.Fatalf("the standby does not follow: %s", tail(replica.Log()))
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err := replica.Exec(ctx, "postgres", "delete from t"); err == nil {
			t.Error("a standby can be written to")
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := replica.Promote(ctx); err != nil {
			t.Fatal(err)
		}
		if err := replica.Exec(ctx, "postgres", "delete from t"); err != nil {
			t.Error(err)
		}
	})
}
