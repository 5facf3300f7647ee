package repository_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
)

const rows = "app/data/public.t/0000000000.copy"

// storeRows stores the nth set of a node, with those rows.
func storeRows(t *testing.T, r *repository.Repository, n int, content []byte) *holdfast.Set {
	t.Helper()
	set := aSet("demo", n, holdfast.Proven, rows)
	if err := store(t.Context(), r, set, map[string][]byte{rows: content}); err != nil {
		t.Fatal(err)
	}
	return set
}

func drop(t *testing.T, r *repository.Repository, ids ...holdfast.SetID) {
	t.Helper()
	if err := r.Drop(t.Context(), "demo", func(context.Context) ([]holdfast.SetID, error) {
		return ids, nil
	}); err != nil {
		t.Fatal(err)
	}
}

func maintain(t *testing.T, r *repository.Repository) record.Maintenance {
	t.Helper()
	u, err := r.Maintain(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// readsWhole reads a set's rows in a repository that has just been opened.
func readsWhole(t *testing.T, at place.Place, id holdfast.SetID, want []byte) {
	t.Helper()
	_, files, err := open(t, at).Find(t.Context(), "demo", string(id))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(repositorytest.Read(t, files, rows), want) {
		t.Errorf("set %s came back different", id)
	}
}

// Data of dropped sets and dead runs is deleted by kopia's own
// rules: not before its safe time, and after a few daily maintenances; what
// other sets share stays.
func TestUnneededDataIsDeleted(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		c, at := clocked(t, s)
		r := open(t, at)
		shared, own := random(1, 6<<20), random(2, 6<<20)
		dropped := storeRows(t, r, 1, append(bytes.Clone(shared), own...))
		kept := storeRows(t, r, 2, append(bytes.Clone(shared), random(3, 6<<20)...))
		small := maintain(t, r).After
		// Two runs die: one whose bytes the index knows, one whose bytes it does not.
		for i, checkpoint := range []int64{1, 1 << 40} {
			restore := repository.SetCheckpoint(checkpoint)
			died := errors.New("died")
			err := r.Write(t.Context(), "set", func(ctx context.Context, w holdfast.SetWriter) error {
				if err := fill(ctx, w, map[string][]byte{rows: random(uint64(10+i), 30<<20)}); err != nil {
					return err
				}
				return died
			})
			restore()
			if !errors.Is(err, died) {
				t.Fatal(err)
			}
		}
		big := maintain(t, r).After
		if big < small+40<<20 {
			t.Fatalf("the dead runs have left %d bytes only", big-small)
		}
		c.pass(26 * time.Hour)
		drop(t, r, dropped.ID)
		first := maintain(t, r)
		if first.Mode != "full" || first.Unneeded < 30<<20 || first.NotBefore == nil ||
			!first.NotBefore.After(c.now().Add(4*time.Hour)) {
			t.Errorf("the first maintenance says %+v", first)
		}
		c.pass(first.NotBefore.Sub(c.now()) - 10*time.Minute)
		if early := maintain(t, r); early.After < first.After-30<<20 {
			t.Errorf("%d bytes were deleted before their time", first.After-early.After)
		}
		readsWhole(t, at, kept.ID, append(bytes.Clone(shared), random(3, 6<<20)...))
		var last record.Maintenance
		for range 6 {
			c.pass(25 * time.Hour)
			last = maintain(t, r)
			t.Logf("%+v", last)
		}
		if most := small - 5<<20; last.After > most {
			t.Errorf("a week later there are %d bytes, want at most %d", last.After, most)
		}
		if last.Unneeded+last.Young > 1<<20 {
			t.Errorf("still unneeded: %+v", last)
		}
		readsWhole(t, at, kept.ID, append(bytes.Clone(shared), random(3, 6<<20)...))
	})
}

// A run that takes longer than all of kopia's safety margins, and reuses all of
// its bytes, seals an intact set although the only set that needed them was
// dropped after it began.
func TestARunOfDaysIsSafe(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		c, at := clocked(t, s)
		defer repository.SetLease(5*time.Millisecond, time.Hour, 3*time.Hour)()
		content := random(1, 8<<20)
		r := open(t, at)
		old := storeRows(t, r, 1, content)
		c.pass(30 * time.Hour)
		set := aSet("demo", 2, holdfast.Proven, rows)
		modes := map[string]int{}
		err := open(t, at).Write(t.Context(), "set", func(ctx context.Context, w holdfast.SetWriter) error {
			if err := fill(ctx, w, map[string][]byte{rows: content}); err != nil {
				return err
			}
			drop(t, r, old.ID)
			for range 12 {
				for range 12 {
					c.pass(30 * time.Minute)
					time.Sleep(15 * time.Millisecond) // it renews its lease
				}
				modes[maintain(t, r).Mode]++
			}
			return w.Seal(ctx, set)
		})
		if err != nil {
			t.Fatal(err)
		}
		if modes["quick"] < 11 {
			t.Errorf("maintenance during the run was %v", modes)
		}
		readsWhole(t, at, set.ID, content)
		for range 4 {
			c.pass(25 * time.Hour)
			if u := maintain(t, r); u.Mode != "full" || len(u.Running) > 0 {
				t.Errorf("after the run maintenance says %+v", u)
			}
		}
		readsWhole(t, at, set.ID, content)
		if left := names(t, at, "holdfast-run-"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// A run that slept for longer than its lease does not publish: other processes
// had to consider it dead.
func TestARunThatSleptDoesNotPublish(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		c, at := clocked(t, s)
		r := open(t, at)
		err := r.Write(t.Context(), "set", func(ctx context.Context, w holdfast.SetWriter) error {
			if err := fill(ctx, w, nil); err != nil {
				return err
			}
			c.pass(2 * time.Hour)
			return w.Seal(ctx, aSet("demo", 1, holdfast.Proven))
		})
		class(t, err, holdfast.Failed)
		if !strings.Contains(err.Error(), "lost its lease") {
			t.Error(err)
		}
		if list := sets(t, open(t, at), ""); len(list) != 0 {
			t.Errorf("there is a set: %v", list)
		}
		if u := maintain(t, r); u.Mode != "full" {
			t.Errorf("maintenance says %+v", u)
		}
	})
}

func TestMaintenanceIsDoneOneAtATime(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		release, err := r.HoldMaintenance(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		other := open(t, at)
		_, err = other.Maintain(t.Context(), true)
		class(t, err, holdfast.Busy)
		other.Patience = 20 * time.Second
		time.AfterFunc(300*time.Millisecond, release)
		if u, err := other.Maintain(t.Context(), true); err != nil || u.Mode != "full" {
			t.Errorf("having waited: %+v, %v", u, err)
		}
		if u, err := open(t, at).Maintain(t.Context(), false); err != nil || u.Mode != "none" {
			t.Errorf("right after a full one: %+v, %v", u, err)
		}
	})
}

// A set can be dropped whatever the state of its files. A damaged set that
// still exists prevents maintenance from finding out what is needed.
func TestADamagedSetCanBeDroppedAndNeverLooksWhole(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		c, at := clocked(t, s)
		r := open(t, at)
		good := storeRows(t, r, 1, random(1, 3<<20))
		before := names(t, at, "p")
		bad := storeRows(t, r, 2, random(2, 3<<20))
		for _, id := range names(t, at, "p") {
			if !slices.Contains(before, id) {
				removeBlob(t, at, id)
			}
		}
		c.pass(30 * time.Hour)
		_, err := r.Maintain(t.Context(), true)
		class(t, err, holdfast.Failed)
		if _, do := holdfast.Advice(err); !strings.Contains(do, "holdfast retention drop") {
			t.Errorf("no way out is named: %v, %s", err, do)
		}
		readsWhole(t, at, good.ID, random(1, 3<<20))
		drop(t, r, bad.ID)
		if list := sets(t, open(t, at), ""); len(list) != 1 || list[0].ID != good.ID {
			t.Errorf("the sets are %v", list)
		}
		_, _, err = open(t, at).Find(t.Context(), "", string(bad.ID))
		class(t, err, holdfast.Usage)
		maintain(t, r)
		readsWhole(t, at, good.ID, random(1, 3<<20))
	})
}

func TestPins(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		a, b := storeRows(t, r, 1, random(1, 1000)), storeRows(t, r, 2, random(2, 1000))
		until := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, reason := range []string{"audit", "audit, again"} {
			if err := r.Pin(t.Context(), record.Pin{Set: a.ID, Node: "demo", Reason: reason, Until: until}); err != nil {
				t.Fatal(err)
			}
		}
		class(t, r.Pin(t.Context(), record.Pin{
			Set:   "20260101T000000Z-00000000",
			Node:  "demo",
			Until: until,
		}), holdfast.Usage)
		pins, err := open(t, at).Pins(t.Context(), "demo")
		if err != nil || len(pins) != 1 || pins[0].Reason != "audit, again" || !pins[0].Until.Equal(until) {
			t.Errorf("pins %+v, %v", pins, err)
		}
		class(t, r.Unpin(t.Context(), "demo", b.ID), holdfast.Usage)
		drop(t, open(t, at), a.ID)
		if pins, err := open(t, at).Pins(t.Context(), ""); err != nil || len(pins) != 0 {
			t.Errorf("the pin outlived its set: %+v, %v", pins, err)
		}
		r = open(t, at)
		if err := r.Pin(t.Context(), record.Pin{Set: b.ID, Node: "demo", Reason: "x", Until: until}); err != nil {
			t.Fatal(err)
		}
		if err := r.Unpin(t.Context(), "demo", b.ID); err != nil {
			t.Fatal(err)
		}
		if pins, err := open(t, at).Pins(t.Context(), ""); err != nil || len(pins) != 0 {
			t.Errorf("still pinned: %+v, %v", pins, err)
		}
	})
}

// Dropping is all or nothing: one set that does not exist keeps the others.
func TestDroppingIsAllOrNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		set := storeRows(t, r, 1, random(1, 1000))
		err := r.Drop(t.Context(), "demo", func(context.Context) ([]holdfast.SetID, error) {
			return []holdfast.SetID{set.ID, "20260101T000000Z-00000000"}, nil
		})
		class(t, err, holdfast.Usage)
		err = r.Drop(t.Context(), "other", func(context.Context) ([]holdfast.SetID, error) {
			return []holdfast.SetID{set.ID}, nil
		})
		class(t, err, holdfast.Usage)
		if list := sets(t, open(t, at), ""); len(list) != 1 {
			t.Errorf("the sets are %v", list)
		}
	})
}
