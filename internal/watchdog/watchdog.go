package watchdog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// DefaultLimit is how long a peer may be silent where nothing else is
// configured.
const DefaultLimit = 2 * time.Minute

// askTime is the most that a peer may take to say whether it is at work.
const askTime = 10 * time.Second

// Watchdog says how long a peer may be silent.
type Watchdog struct {
	Limit time.Duration // 0 for DefaultLimit
	// AtWork finds out whether a silent peer is at work, and says why not. Nil:
	// silence is enough to give it up.
	AtWork func(ctx context.Context) error
	// Explain makes the error of a peer that is given up; nil for the cause itself.
	Explain func(cause error) error
}

// tick is how long a peer is silent before it is asked.
func (w Watchdog) tick() time.Duration { return cmp.Or(w.Limit, DefaultLimit) / 2 }

// errSilent is why a peer is given up that cannot be asked.
var errSilent = errors.New("it sends nothing")

// ask is nil when the peer is at work.
func (w Watchdog) ask(ctx context.Context) error {
	if w.AtWork == nil {
		return errSilent
	}
	ctx, cancel := context.WithTimeoutCause(ctx, min(askTime, w.tick()), errors.New("no answer in time"))
	defer cancel()
	err := w.AtWork(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// explain is the error of a peer that is given up.
func (w Watchdog) explain(cause error) error {
	err := fmt.Errorf("silent for %v: %w", cmp.Or(w.Limit, DefaultLimit), cause)
	if w.Explain == nil {
		return err
	}
	return w.Explain(err)
}

// Context returns a context that ends when a peer is given up, with the reason
// as its cause. Progress is whatever grows while the peer is not silent.
func (w Watchdog) Context(ctx context.Context, progress func() int64) (context.Context, context.CancelFunc) {
	watched, giveUp := context.WithCancelCause(ctx)
	go func() {
		ticks := time.NewTicker(w.tick())
		defer ticks.Stop()
		last, doubts := progress(), 0
		for {
			select {
			case <-watched.Done():
				return
			case <-ticks.C:
			}
			now := progress()
			if now != last {
				last, doubts = now, 0
				continue
			}
			err := w.ask(watched)
			if err == nil {
				doubts = 0
				continue
			}
			if doubts++; doubts > 1 {
				giveUp(w.explain(err))
				return
			}
		}
	}()
	return watched, func() { giveUp(nil) }
}
