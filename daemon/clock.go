package daemon

import (
	"context"
	"time"
)

// SystemClock is the clock of this machine.
type SystemClock struct{}

// Now is the time on the wall: a monotonic one stands still while a machine
// sleeps.
func (SystemClock) Now() time.Time { return time.Now().Round(0) }

// Sleep sleeps in short parts, so that a clock that was set is noticed.
func (c SystemClock) Sleep(ctx context.Context, until time.Time) {
	const part = 10 * time.Second
	for ctx.Err() == nil {
		left := until.Sub(c.Now())
		if left <= 0 || left > time.Hour { // set back by more than any sleep is long
			return
		}
		select {
		case <-time.After(min(left, part)):
		case <-ctx.Done():
		}
	}
}
