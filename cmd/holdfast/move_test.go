package main

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/splicetest"
	"holdfast/internal/storetest"
)

// A move to a bucket is killed again and again. The file names the old place, or
// the new one with everything in it; the next run takes up what was sent, and what
// comes back from the bucket is what was in the directory.
func TestAKilledMoveIsTakenUp(t *testing.T) {
	t.Parallel()
	o := newOperator(t, "moves")
	grow(t, o.dsn["participant"])
	o.run(0, o.flags()...)
	o.run(0, "backup")
	o.run(0, "export", "latest", "before")
	bucket := storetest.S3(t)
	o.reach(bucket)
	move := []string{"repository", "move", "--to", bucket.Place.String()}
	file := filepath.Join(o.dir, "holdfast.yaml")
	before := readText(t, file)

	kills := 2
	if splicetest.Long() {
		kills = 12
	}
	killed := 0
	for range kills {
		cmd, _, _ := o.command(move...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(200+rand.IntN(2500)) * time.Millisecond) //nolint:gosec // no secret
		_ = cmd.Process.Kill()
		if cmd.Wait() == nil {
			break
		}
		killed++
		if text := readText(t, file); text != before {
			break // it was killed after its last step
		}
		if out, _ := o.run(0, "list"); strings.Count(out, " proven ") != 1 {
			t.Fatalf("after kill %d the old place lists:\n%s", killed, out)
		}
	}
	if killed == 0 {
		t.Fatal("no move was killed")
	}
	t.Logf("%d moves were killed", killed)
	if readText(t, file) == before {
		o.run(0, move...)
	}
	if text := readText(t, file); !strings.Contains(text, "path: '"+bucket.Place.String()+"'") {
		t.Errorf("the file:\n%s", text)
	}
	if err := os.Rename(filepath.Join(o.dir, "repository"), filepath.Join(o.dir, "gone")); err != nil {
		t.Fatal(err)
	}
	o.run(0, "export", "latest", "after")
	diff := exec.CommandContext(t.Context(), "diff", "-r", "before", "after")
	diff.Dir = o.dir
	if out, err := diff.CombinedOutput(); err != nil {
		t.Errorf("the set in the bucket differs from that in the directory: %v\n%s", err, out)
	}
	o.run(0, "backup")
	o.run(0, "verify", "--read-data")
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// grow gives a database rows that do not compress, so that sending takes a while.
func grow(t *testing.T, dsn string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), `CREATE TABLE participant.bulk AS
		SELECT n, string_agg(sha256((n || ' ' || k)::bytea), '') AS b
		FROM generate_series(1, 32000) n, generate_series(1, 48) k GROUP BY n`); err != nil {
		t.Fatal(err)
	}
}
