// Package grace says how long a command may go on after SIGTERM or Ctrl-C, and
// gives its last work that long. It also gives requests their deadlines, so that
// all say the same of one that was not answered.
package grace

import (
	"context"
	"time"
)

// How long a command may still take. What is left is cut off then: locks end
// with the process, and the journal knows how far the steps have come.
const (
	End  = 10 * time.Second // any command
	Swap = 30 * time.Second // one that has stopped programs, or moved databases or volumes
)

// What is done last has to end before the command does.
const (
	Cleanup    = End - 3*time.Second
	TakingBack = Swap - 5*time.Second
)

// Period returns a context for what has to be done whatever has happened: it
// outlives ctx, and ends a period after ctx was cancelled.
func Period(ctx context.Context, period time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(period, cancel)
		context.AfterFunc(late, func() { timer.Stop() })
	})
	return late, func() { stop(); cancel() }
}
