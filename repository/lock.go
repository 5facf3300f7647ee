package repository

import (
	"context"
	"fmt"
	"time"

	"holdfast"
)

// The locks. A process that waited for one must refresh: another process has
// just changed the repository.
const (
	historyLock     = "history"     // to drop sets, and to pin them
	maintenanceLock = "maintenance" // to delete unneeded data
)

const lockPause = 100 * time.Millisecond

// lock takes a lock, waits for it at most so long, and returns its release.
func (r *Repository) lock(ctx context.Context, name string, wait time.Duration) (func(), error) {
	l, err := r.location.backend.lock(ctx, name)
	if err != nil {
		return nil, r.reworded(r.location.explain("change", err))
	}
	waiting := false
	for until := time.Now().Add(wait); ; {
		held, err := l.try(ctx)
		if held {
			return l.release, nil
		}
		if err != nil {
			l.release()
			return nil, r.location.explain("lock", err)
		}
		if !time.Now().Before(until) {
			break
		}
		if !waiting {
			waiting = true
			r.Events.Report(LockAwaited{Repository: r.Name(), Lock: name, Patience: wait})
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			l.release()
			return nil, ctx.Err()
		}
	}
	l.release()
	return nil, &holdfast.Problem{
		Class: holdfast.Busy,
		What:  fmt.Sprintf("repository %s: another process holds the %s lock", r.location, name),
		Why:   "Two at once would destroy each other's work.",
		Do:    "Run it again later, or let it wait: --wait 10m.",
	}
}
