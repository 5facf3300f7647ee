package compose_test

import (
	"bufio"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/bundle"
)

// damaged is a node that lost half of a table after its set was taken: what is
// live can be told from what is in the set.
type damaged struct {
	*site
	set           holdfast.SetID
	identity      string
	whole, broken map[string]string // the fingerprints in the set and of what is live
}

func newDamaged(t *testing.T, o bundle.Options) damaged {
	t.Helper()
	ctx := t.Context()
	s := newSite(t, o)
	s.work(t)
	d := damaged{site: s, set: s.setUp(t).ID, identity: must(s.Identity(ctx))(t), whole: must(s.Fingerprints(ctx))(t)}
	d.damage(t)
	return d
}

func (d *damaged) damage(t *testing.T) {
	t.Helper()
	check(t, d.Wreck(t.Context(), bundle.HalfTableLost))
	d.broken = must(d.Fingerprints(t.Context()))(t)
}

// untouched makes sure that the old node serves as before.
func (d *damaged) untouched(t *testing.T) {
	t.Helper()
	d.serves(t, d.broken)
}

// complete makes sure that the new one serves.
func (d *damaged) complete(t *testing.T) {
	t.Helper()
	d.serves(t, d.whole)
}

func (d *damaged) serves(t *testing.T, want map[string]string) {
	t.Helper()
	ctx := t.Context()
	eventually(t, "the node is ready", func() bool { return d.Ready(ctx) == nil })
	if now := must(d.Identity(ctx))(t); now != d.identity {
		t.Errorf("the participant is %s, want %s", now, d.identity)
	}
	if differ := bundle.Differences(want, must(d.Fingerprints(ctx))(t)); len(differ) > 0 {
		t.Errorf("the databases differ: %s", differ)
	}
	d.asItShouldRun(t)
}

// The daemon is lost in the middle, at every sort of request that changes
// something: once it is back, one command takes the node back to what it was. A
// program that does not stop when it is asked to is killed, and the restore goes
// on.
func TestDockerIsLostDuringARestore(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	cable := bundle.NewCable(t)
	d := newDamaged(t, bundle.Options{Migration: "4", Stubborn: "participant validator"})
	d.docker = cable.Host
	for _, request := range []string{"/stop", "/start", "/update"} {
		t.Run(request[1:], func(t *testing.T) {
			cable.CutAt(request)
			if r := d.try(t, "restore", string(d.set), "--yes"); r.exit == 0 {
				t.Fatalf("the restore is done without a daemon\n%s%s", r.out, r.err)
			}
			if !cable.WasCut() {
				t.Fatal("the daemon was never lost")
			}
			cable.Mend()
			d.holdfast(t, 0, "restore", "undo", "--yes")
			d.untouched(t)
		})
	}
	d.holdfast(t, 0, "restore", string(d.set), "--yes")
	d.complete(t)
}

// A node of which half a table is lost: its restore does what its plan says.
// Killed whenever Holdfast has said what it does next and undone, the node is what
// it was; repeated, it is the set's. A set of which a piece is cut changes nothing.
func TestHoldfastIsKilledDuringARestore(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	d := newDamaged(t, bundle.Options{Migration: "4"})
	t.Run("the-plan-is-what-is-done", d.asPlanned)
	moments := []string{"stop container", "build database participant", "start container"}
	for i, moment := range moments {
		t.Run(strings.ReplaceAll(strings.TrimSpace(moment), " ", "-"), func(t *testing.T) {
			d.killed(t, moment)
			if i%2 == 0 {
				d.holdfast(t, 0, "restore", "undo", "--yes")
				d.untouched(t)
				return
			}
			d.holdfast(t, 0, "restore", string(d.set), "--yes")
			d.complete(t)
			d.damage(t)
		})
	}
	t.Run("from-a-repository-that-is-cut", func(t *testing.T) {
		cutLargest(t, filepath.Join(d.dir, "repository"))
		if r := d.try(t, "restore", string(d.set), "--yes"); r.exit == 0 {
			t.Errorf("a set that is damaged was restored\n%s%s", r.out, r.err)
		}
		d.untouched(t)
	})
}

// forgiveSequences takes where sequences are now for where they were; rows are
// compared as ever.
func (d *damaged) forgiveSequences(t *testing.T) {
	t.Helper()
	eventually(t, "the node is ready", func() bool { return d.Ready(t.Context()) == nil })
	for name, value := range must(d.Fingerprints(t.Context()))(t) {
		if !strings.Contains(value, " rows ") {
			d.broken[name] = value
		}
	}
}

// killed runs a restore until it says that it begins something, and returns what
// it has said.
func (d *damaged) killed(t *testing.T, moment string) string {
	t.Helper()
	cmd := d.command(context.Background(), "restore", string(d.set), "--yes")
	said, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = io.Discard, w
	check(t, cmd.Start())
	go func() { _ = cmd.Wait(); _ = w.Close() }()
	var all strings.Builder
	for lines := bufio.NewScanner(said); lines.Scan(); {
		all.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), moment) {
			check(t, cmd.Process.Kill())
			_, _ = io.Copy(io.Discard, said)
			return all.String()
		}
	}
	t.Fatalf("the restore never said %q:\n%s", moment, all.String())
	return ""
}

// The disk fills up, and Postgres cannot be started: nothing has changed.
func TestPostgresFailsDuringARestore(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	d := newDamaged(t, bundle.Options{Migration: "4", Disk: 400 << 20})
	t.Run("the-disk-is-full", func(t *testing.T) {
		give := must(d.FillDisk(ctx, 4<<20))(t)
		r := d.try(t, "restore", string(d.set), "--yes")
		check(t, give())
		if r.exit == 0 {
			t.Fatalf("restored without room\n%s%s", r.out, r.err)
		}
		// Postgres itself may have gone down for want of room, and with it what
		// has to be read before the validator app may start.
		if left, _ := filepath.Glob(filepath.Join(d.dir, "*.restore.json")); len(left) > 0 {
			eventually(t, "the restore is taken back", func() bool { // Postgres may be restarting
				return d.try(t, "restore", "undo", "--yes").exit == 0
			})
		}
		d.forgiveSequences(t) // a server that crashed has skipped some of their values
		d.untouched(t)
	})
	t.Run("it-does-not-start", func(t *testing.T) {
		check(t, d.RestartPostgres(ctx, 3)) // it served after each: that says nothing of its data
		check(t, d.BreakPostgres(ctx))
		node := []string{"postgres-splice", "participant", "validator"}
		check(t, d.Halt(ctx, node...))
		r := d.try(t, "restore", string(d.set), "--yes")
		if r.exit == 0 {
			t.Fatalf("restored without a server\n%s%s", r.out, r.err)
		}
		// What that advises, and the way back from it.
		d.types(t, 0, advised(t, r.err, "holdfast restore "+string(d.set)+" --fresh-volume")+" --yes")
		d.complete(t)
		d.holdfast(t, 0, "restore", "undo", "--yes")
		check(t, d.MendPostgres(ctx))
		check(t, d.Resume(ctx, node...))
		d.untouched(t)
	})
}
