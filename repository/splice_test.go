package repository_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"holdfast"
	"holdfast/stored"
)

// spliced stores a set whose file has ranges of an earlier set's, between rows of
// its own. Taken says of each range whether it was there.
func spliced(t *testing.T, w holdfast.SetWriter, set *holdfast.Set, from holdfast.SetID, own []byte, ranges ...[2]int64) (taken []bool) {
	t.Helper()
	if err := fill(t.Context(), w, nil); err != nil {
		t.Fatal(err)
	}
	splice, err := w.After(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := splice(t.Context(), rows, func(out holdfast.Splicer) error {
		for _, r := range ranges {
			if _, err := out.Write(own); err != nil {
				return err
			}
			out.Divide()
			ok, err := out.Take(t.Context(), rows, r[0], r[1])
			if err != nil {
				return err
			}
			taken = append(taken, ok)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.Seal(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	return taken
}

// A file with ranges of an earlier one reads as if it had been written whole, costs
// only what is new in it, and outlives the set that it took them from.
func TestRangesAreTakenOver(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		c, at := clocked(t, s)
		r := open(t, at)
		const piece = 2 << 20 // as a file without a word is divided
		old := random(1, 4*piece)
		first := storeRows(t, r, 1, old)
		before := size(t, at)
		set := aSet("demo", 2, holdfast.Proven, rows)
		own := random(2, 1000)
		if err := r.Write(t.Context(), "set", func(_ context.Context, w holdfast.SetWriter) error {
			taken := spliced(t, w, set, first.ID, own,
				[2]int64{piece, 2 * piece}, [2]int64{0, piece}, [2]int64{1, piece}, [2]int64{0, piece + 1}, [2]int64{3 * piece, 2 * piece})
			if fmt.Sprint(taken) != "[true true false false false]" {
				t.Errorf("taken: %v", taken)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if grown := size(t, at) - before; grown > 100<<10 {
			t.Errorf("%d bytes were stored", grown)
		}
		want := bytes.Join([][]byte{own, old[piece : 3*piece], own, old[:piece], own, own, own}, nil)
		readsWhole(t, at, set.ID, want)
		drop(t, r, first.ID)
		for range 4 {
			c.pass(26 * time.Hour)
			maintain(t, r)
		}
		readsWhole(t, at, set.ID, want)
	})
}

// What is marked as lost is not taken over: the rows are read and stored again, and
// the earlier set has them back as well.
func TestLostRangesAreNotTakenOver(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		old := random(1, 4<<20)
		first := storeRows(t, open(t, at), 1, old)
		for _, id := range names(t, at, "p") {
			pack := readBlob(t, at, id)
			clear(pack[len(pack)/4 : len(pack)*3/4]) // of the rows, which are most of it
			writeBlob(t, at, id, pack)
		}
		_, i := inspected(t, at)
		if err := i.ReadRest(t.Context(), func(int64, *stored.Damage) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if len(i.Damages()) == 0 {
			t.Fatal("nothing is damaged")
		}
		if _, err := i.Mend(t.Context(), i.Damages()); err != nil {
			t.Fatal(err)
		}
		set := aSet("demo", 2, holdfast.Proven, rows)
		if err := open(t, at).Write(t.Context(), "set", func(_ context.Context, w holdfast.SetWriter) error {
			taken := spliced(t, w, set, first.ID, random(2, 64<<10), [2]int64{0, 2 << 20}, [2]int64{2 << 20, 2 << 20})
			if taken[0] || taken[1] {
				t.Errorf("lost ranges were taken over: %v", taken)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		storeRows(t, open(t, at), 3, old)
		readsWhole(t, at, first.ID, old) // stored again, it is back in the earlier set as well
	})
}
