package repository_test

import (
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/internal/storetest"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
)

// What is between us and a place delays, resets, swallows or ends connections late,
// in the middle of a set. A set is stored whole or not at all, in time, and the
// next run takes up what is there. Nothing that is listed lies.
func TestFaultsOnTheWayToAPlace(t *testing.T) {
	if splicetest.Long() {
		storetest.Each(t, disturbed)
		return
	}
	disturbed(t, storetest.S3(t))
}

func disturbed(t *testing.T, s storetest.Store) {
	created(t, s)
	behind, front := s.Behind(t)
	by := repository.By(behind.Access)
	stored := map[holdfast.SetID][]byte{}
	quiet := 4 * time.Second
	if s.Kind == place.SFTP { // it confirms each 32 KiB, and each confirmation is late
		quiet = 12 * time.Second
	}
	for n, c := range []struct {
		name  string
		fault storetest.Fault
		fails bool // for certain
	}{
		{"delays", storetest.Delays, false},
		{"ends late", storetest.SlowlyCloses, false},
		{"resets", storetest.Resets, false},
		{"half-open", storetest.HalfOpen, true},
	} {
		set, content := aSet("demo", n+1, holdfast.Proven, rows), random(uint64(n+21), 6<<20) //nolint:gosec // small
		undo := repository.SetTimes(5*time.Second, quiet)
		r := open(t, behind.Place, by)
		front.Disturb(c.fault, 2<<20, 2)
		began := time.Now()
		err := store(t.Context(), r, set, map[string][]byte{rows: content})
		took := time.Since(began)
		front.Disturb(storetest.Passes, 0, 0)
		undo()
		if c.fails && err == nil || took > time.Minute {
			t.Errorf("%s: after %v: %v", c.name, took, err)
		}
		if err != nil {
			if c.fault == storetest.Delays || c.fault == storetest.SlowlyCloses {
				t.Errorf("%s: %v", c.name, err)
			}
			if list := sets(t, open(t, s.Place, repository.By(s.Access)), ""); len(list) != len(stored) {
				t.Errorf("%s: a set that failed is listed: %v", c.name, list)
			}
			if err := store(t.Context(), open(t, behind.Place, by), set, map[string][]byte{rows: content}); err != nil {
				t.Fatalf("%s, again: %v", c.name, err)
			}
		}
		stored[set.ID] = content
	}
	r := open(t, s.Place, repository.By(s.Access))
	if list := sets(t, r, ""); len(list) != len(stored) {
		t.Errorf("%d sets are listed of %d", len(list), len(stored))
	}
	for id, content := range stored {
		_, files, err := r.Find(t.Context(), "demo", string(id))
		if err != nil {
			t.Fatal(err)
		}
		if got := repositorytest.Read(t, files, rows); string(got) != string(content) {
			t.Errorf("set %s came back different", id)
		}
	}
}
