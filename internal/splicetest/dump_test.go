package splicetest

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestDatabasesComeBackFromADump holds the databases to what a dump of
// Postgres's own makes of them: they are hard, but not impossible.
func TestDatabasesComeBackFromADump(t *testing.T) {
	v, err := FindVersion("")
	if err != nil {
		t.Fatal(err)
	}
	if !executable(v.Bin, "pg_dump") || !executable(v.Bin, "pg_restore") {
		t.Skipf("no pg_dump and pg_restore in %s", v.Bin)
	}
	ctx := t.Context()
	n := NewNode(t, NodeOptions{Version: v.Major, App: true})
	if err := n.Participant.Exec(ctx, "postgres", "create database zoo"); err != nil {
		t.Fatal(err)
	}
	if err := Zoo(ctx, n.Participant.DSN("zoo")); err != nil {
		t.Fatal(err)
	}
	for _, db := range []string{ParticipantDatabase, ValidatorDatabase, AppDatabase, "zoo"} {
		t.Run(db, func(t *testing.T) {
			from, to := n.Participant.DSN(db), n.Participant.DSN("copy of "+db)
			if err := n.Participant.Exec(ctx, "postgres",
				`create database "copy of `+db+`" template template0`); err != nil {
				t.Fatal(err)
			}
			dump, err := exec.Command(filepath.Join(v.Bin, "pg_dump"), "-Fc", "-Z0", "-d", from).Output()
			if err != nil {
				t.Fatal(err)
			}
			restore := exec.Command(filepath.Join(v.Bin, "pg_restore"), "--exit-on-error", "-d", to)
			restore.Stdin = bytes.NewReader(dump)
			if out, err := restore.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			before, err := Fingerprint(ctx, from)
			if err != nil {
				t.Fatal(err)
			}
			after, err := Fingerprint(ctx, to)
			if err != nil {
				t.Fatal(err)
			}
			for name := range before {
				if before[name] != after[name] {
					t.Errorf("%s: %s, and %s when restored", name, before[name], after[name])
				}
			}
		})
	}
}
