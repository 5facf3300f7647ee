package record

import (
	"fmt"
	"time"
)

// clockTolerance is how far the clocks of two machines may be apart, so that nothing
// is concluded from it.
const clockTolerance = 10 * time.Minute

// Misdated says why a set is not to be trusted by its date; "" when it is. Whoever
// has the password can store a set of any date, and a set of a later date would be
// the newest of all. It ended later than now, or later than it was stored, which is
// zero where that is not known. In a copy that is when it was sent, by the clock of
// whoever sent it.
func Misdated(ended, stored, now time.Time) string {
	const why = "a clock was wrong, or it is forged"
	if ahead := ended.Sub(now); ahead > clockTolerance {
		return fmt.Sprintf("it is dated %s, %s in the future: %s", when(ended), ahead.Round(time.Second), why)
	}
	if ahead := ended.Sub(stored); !stored.IsZero() && ahead > clockTolerance {
		return fmt.Sprintf("it was stored %s before its own date: %s", ahead.Round(time.Second), why)
	}
	return ""
}
