package record_test

import (
	"testing"
	"time"

	"holdfast"
	"holdfast/record"
)

// The sets in doubt are those between the last reading and the set that found
// the difference; a later set that read everything settles it.
func TestSetsInDoubt(t *testing.T) {
	noon := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	d := record.Disproof{
		Node: "demo", Component: "participant", At: noon,
		Disproof: holdfast.Disproof{Table: "t", ReadAt: noon.Add(-4 * time.Hour)},
	}
	for hours, want := range map[time.Duration]bool{-5: false, -4: false, -3: true, -1: true, 0: false, 1: false} {
		if got := d.Doubts("demo", noon.Add(hours*time.Hour)); got != want {
			t.Errorf("a set of %d hours: %t", hours, got)
		}
	}
	if d.Doubts("another", noon.Add(-time.Hour)) {
		t.Error("another node's set is in doubt")
	}
	set := func(at time.Time, c holdfast.Capture) holdfast.Set {
		c.Components = []holdfast.Captured{{Component: "participant"}}
		return holdfast.Set{Began: holdfast.Moment{Wall: at}, Captures: []holdfast.Capture{c}}
	}
	later := noon.Add(time.Hour)
	for name, x := range map[string]struct {
		set  holdfast.Set
		want bool
	}{
		"the set itself":         {set(noon, holdfast.Capture{}), false},
		"one that read all":      {set(later, holdfast.Capture{}), true},
		"one that took over":     {set(later, holdfast.Capture{TakenOver: &holdfast.TakenOver{}}), false},
		"one that found another": {set(later, holdfast.Capture{Disproof: &holdfast.Disproof{}}), false},
		"one without it":         {holdfast.Set{Began: holdfast.Moment{Wall: later}}, false},
	} {
		if got := d.SettledBy(x.set); got != x.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// A restore that names no set takes the newest one that is not in doubt.
func TestLatest(t *testing.T) {
	for doubts, want := range map[string]struct {
		latest, passed int
	}{
		"":    {-1, 0},
		".":   {0, 0},
		"?":   {0, 0},
		"..":  {1, 0},
		".?":  {0, 1},
		"?.":  {1, 0},
		".??": {0, 2},
		"???": {2, 0},
	} {
		sets := []byte(doubts)
		latest, passed := record.Latest(sets, func(s byte) bool { return s == '?' })
		if (latest == nil) != (want.latest < 0) || latest != nil && latest != &sets[want.latest] ||
			len(passed) != want.passed {
			t.Errorf("%q: %v, %d passed over", doubts, latest, len(passed))
		}
	}
}
