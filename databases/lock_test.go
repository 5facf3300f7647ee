package databases_test

import (
	"context"
	"strings"
	"testing"

	"holdfast"
	"holdfast/databases"
	"holdfast/internal/splicetest"
)

// One backup or restore of a node at a time, whichever database the lock is taken
// in, whatever the configuration calls the node. A rehearsal and a backup do not
// disturb each other. A lock that was lost is noticed.
func TestOneRunOfANodeAtATime(t *testing.T) {
	server := splicetest.NewServer(t, "")
	for _, sql := range []string{
		`CREATE DATABASE app`, `CREATE DATABASE other`, `CREATE ROLE inside LOGIN`,
		`REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC`,
	} {
		if err := server.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	node := targetOf(t, server.DSN("app"))
	inside := targetOf(t, server.DSNAs("inside", "app")) // which may only connect to the database itself
	inside.Live.Name = "another name of it"
	type lock = func() (func(context.Context) error, func(), error)
	backup := func(p databases.Target) lock {
		return func() (func(context.Context) error, func(), error) { return p.Live.Lock(t.Context(), 0) }
	}
	restore := func(p databases.Target, swap bool) lock {
		return func() (func(context.Context) error, func(), error) { return p.Lock(t.Context(), swap) }
	}
	for _, c := range []struct {
		name          string
		first, second lock
		busy          string // "": both go on
	}{
		{"two backups", backup(node), backup(node), "being backed up already: session "},
		{"two backups in two databases", backup(node), backup(inside), "being backed up already: session "},
		{"and the other way round", backup(inside), backup(node), "being backed up already: session "},
		{"a backup and a restore", backup(inside), restore(node, true), "being backed up already: session "},
		{"a restore and a backup", restore(node, true), backup(inside), "being restored already: session "},
		{"two restores", restore(node, true), restore(node, true), "being restored already: session "},
		{"a restore and a rehearsal", restore(node, true), restore(node, false), "being restored already: session "},
		{"a backup and a rehearsal", backup(node), restore(node, false), ""},
		{"another database", backup(node), backup(targetOf(t, server.DSN("other"))), ""},
	} {
		held, release, err := c.first()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		_, second, err := c.second()
		switch {
		case c.busy == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.busy == "":
			second()
		case holdfast.ClassOf(err) != holdfast.Busy || !strings.Contains(err.Error(), c.busy):
			t.Errorf("%s: %v", c.name, err)
		}
		if err := held(t.Context()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		release()
		if _, release, err = c.second(); err != nil {
			t.Errorf("%s: at once after the first: %v", c.name, err)
			continue
		}
		release()
	}

	held, release, err := node.Live.Lock(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if err := server.Exec(t.Context(), "postgres",
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast backup of app'`); err != nil {
		t.Fatal(err)
	}
	if err := held(t.Context()); err == nil || !strings.Contains(err.Error(), "was lost") {
		t.Errorf("a lost lock: %v", err)
	}
}
