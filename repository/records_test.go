package repository_test

import (
	"testing"
	"time"

	"holdfast"
	"holdfast/record"
)

// Drills are stored next to the sets and are not sets themselves.
func TestDrillsAreRecorded(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		when := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
		for i, node := range []holdfast.NodeName{"demo", "other", "demo"} {
			if err := r.PutDrill(t.Context(), record.Drill{
				Set:     "s",
				Node:    node,
				At:      when.Add(-time.Duration(i) * time.Hour),
				Verdict: holdfast.Holds,
			}); err != nil {
				t.Fatal(err)
			}
		}
		r = open(t, at)
		got, err := r.Drills(t.Context(), "demo")
		if err != nil || len(got) != 2 || !got[1].At.Equal(when) || got[0].Verdict != holdfast.Holds {
			t.Errorf("got %+v, %v", got, err)
		}
		if all, err := r.Drills(t.Context(), ""); err != nil || len(all) != 3 {
			t.Errorf("of all nodes: %+v, %v", all, err)
		}
		if list := sets(t, r, ""); len(list) != 0 {
			t.Errorf("drills are listed as sets: %v", list)
		}
	})
}
