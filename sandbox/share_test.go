package sandbox

import (
	"testing"

	"holdfast"
)

// A drill takes its share, is refused where memory is short, and does not refuse
// what it cannot see.
func TestAShareOfTheMachine(t *testing.T) {
	const gib = 1 << 30
	for name, c := range map[string]struct {
		share   Share
		free    int64
		memory  int64
		cores   int // of 8
		refused bool
	}{
		"no limit":              {Share{}, 8 * gib, 8 * gib, 8, false},
		"no limit, nothing":     {Share{}, gib / 4, gib / 4, 8, true},
		"less than is free":     {Share{2 * gib, 3}, 8 * gib, 2 * gib, 3, false},
		"more than is free":     {Share{2 * gib, 16}, gib, gib, 8, true},
		"free memory unknown":   {Share{2 * gib, 1}, 0, 0, 1, false},
		"as much as it needs":   {Share{gib, 1}, gib, gib, 1, false},
		"just enough, no limit": {Share{}, LeastMemory, LeastMemory, 8, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.share.memory(c.free); got != c.memory {
				t.Errorf("%d bytes, want %d", got, c.memory)
			}
			if got := c.share.cores(8); got != c.cores {
				t.Errorf("%d processors, want %d", got, c.cores)
			}
			good := holdfast.Finding{Verdict: holdfast.Holds}
			f, err := c.share.room(good, nil, c.free)
			if refused := holdfast.ClassOf(err) == holdfast.Refused; err != nil != c.refused || refused != c.refused ||
				(f.Verdict == holdfast.Violated) != c.refused {
				t.Errorf("%+v, %v", f, err)
			}
		})
	}
}
