package repository

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"holdfast"
)

// The locks. Each is a file beside the repository's own that a process holds
// with flock, so it is given back however the process ends. It works between
// the processes of one machine and, on a network file system, as far as that
// system carries flock. Whoever waited has to look again at what there is:
// somebody else has just changed it.
const (
	historyLock     = "history"     // sets are dropped, pins are set
	maintenanceLock = "maintenance" // what no set needs is given back
)

const lockPause = 100 * time.Millisecond

// lock takes a lock, waiting for up to that long, and returns what gives it
// back.
func (r *Repository) lock(ctx context.Context, name string, wait time.Duration) (func(), error) {
	if r.location.Locks == "" {
		return func() {}, nil
	}
	file, err := os.OpenFile(filepath.Join(r.location.Locks, "holdfast."+name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, r.reworded(r.location.explain("change", err))
	}
	for until := time.Now().Add(wait); ; {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = file.Close()
			return nil, r.location.explain("lock", err)
		}
		if !time.Now().Before(until) {
			break
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			_ = file.Close()
			return nil, ctx.Err()
		}
	}
	_ = file.Close()
	return nil, &holdfast.Problem{Class: holdfast.Busy, What: fmt.Sprintf("repository %s: another process is at its %s", r.location.Name, name),
		Why: "Two at once would undo each other's work.", Do: "Wait until it has ended, or give --wait a time."}
}
