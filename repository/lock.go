package repository

import (
	"context"
	"fmt"
	"time"

	"holdfast"
)

// The locks. Whoever waited for one has to look again at what there is: another
// process has just changed it.
const (
	historyLock     = "history"     // sets are dropped, pins are set
	maintenanceLock = "maintenance" // what no set needs is given back
)

const lockPause = 100 * time.Millisecond

// lock takes a lock, waiting for up to that long, and returns what gives it
// back.
func (r *Repository) lock(ctx context.Context, name string, wait time.Duration) (func(), error) {
	l, err := r.location.site.lock(name)
	if err != nil {
		return nil, r.reworded(r.location.explain("change", err))
	}
	waiting := false
	for until := time.Now().Add(wait); ; {
		held, err := l.try()
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
	return nil, &holdfast.Problem{Class: holdfast.Busy, What: fmt.Sprintf("repository %s: another process is at its %s", r.location, name),
		Why: "Two at once would undo each other's work.", Do: "Wait until it has ended, or give --wait a time."}
}
