package retention

import (
	"fmt"
	"slices"
	"time"

	"holdfast"
)

// Whoever can write to a repository can store a set of any date, with any evidence.
// What they cannot choose is when a second copy gets it, and a node stores its sets
// in the order of their dates. So a set that is out of that order proves nothing: it
// replaces no other set, now or when its date has come, and is kept to be looked at.

// premature reports whether a set was stored before its own date. It stays so when
// that date has come.
func (c Candidate) premature() bool {
	return !c.Stored.IsZero() && c.At.Sub(c.Stored) > clockTolerance
}

// disordered says of sets, oldest first, which are out of order, and why.
func disordered(sets []Candidate, now time.Time) map[holdfast.SetID]string {
	out := map[holdfast.SetID]string{}
	var later []Candidate // than the set that is looked at, newest first
	var first Candidate   // that was stored of those that are later by more than the tolerance
	passed := 0
	for _, c := range slices.Backward(sets) {
		switch {
		case c.Unreadable != "" || c.Stored.IsZero() || c.At.After(now):
			continue
		case c.premature():
			out[c.Set] = fmt.Sprintf("it was stored %s before its own date: a clock was wrong, or it is forged",
				span(c.At.Sub(c.Stored)))
			continue
		}
		for ; passed < len(later) && later[passed].At.Sub(c.At) > clockTolerance; passed++ {
			if first.Set == "" || later[passed].Stored.Before(first.Stored) {
				first = later[passed]
			}
		}
		if first.Set != "" && first.Stored.Before(c.Stored) {
			out[c.Set] = fmt.Sprintf("it was stored on %s, after %s of a later date: it came late, or it is forged",
				stamp(c.Stored), first.Set)
		}
		later = append(later, c)
	}
	return out
}
