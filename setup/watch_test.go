package setup

import (
	"testing"
	"time"
)

// A set is wanted once for each new thing, until one was taken.
func TestWishes(t *testing.T) {
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	var w wish
	for i, c := range []struct {
		found []string
		want  string
		from  int // the look that the wish is of
	}{
		{nil, "", 0},
		{[]string{"user alice"}, "user alice, and in no set", 1},
		{[]string{"user alice"}, "user alice, and in no set", 1}, // nothing was taken yet, and nothing is newer
		{[]string{"user alice", "user bob"}, "user bob, and in no set", 3},
		{nil, "user bob, and in no set", 3}, // a set from before does not serve it
	} {
		w = w.with(c.found, at.Add(time.Duration(i)*time.Minute))
		if w.why != c.want || w.why != "" && !w.at.Equal(at.Add(time.Duration(c.from)*time.Minute)) {
			t.Errorf("look %d: %q at %v", i, w.why, w.at)
		}
	}
}
