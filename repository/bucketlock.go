package repository

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
)

// A bucket has no locks that end with a process. There a lock is a blob that
// its holder renews: whoever wants it puts a blob of its own, then lists all of
// that lock, and withdraws its own unless it is the only living one. Buckets
// show a blob to everybody once it was put (S3 since December 2020, and every
// store that kopia works with), so of two at once the one that lists last sees
// both: at most one of them goes on. Both may withdraw, and try again.
//
// A blob that was not renewed for lockDead is of a dead holder. Both times are
// the bucket's: clocks of machines do not matter.
//
// A holder that was stopped for longer, by a suspended machine, has lost the
// lock without notice. So before each deletion it looks at when it last renewed
// (fenced), and deletes nothing more when that is too long ago.
const lockPrefix = "holdfast-lock-"

var (
	lockEvery = time.Minute     // a holder renews its lock
	lockDead  = 5 * time.Minute // a lock that was not renewed has lost its holder
)

const lockText = note("A process of Holdfast holds this lock. It has died if this is older than five minutes.\n")

// blobLock is a lock in a bucket.
type blobLock struct {
	st     blob.Storage
	prefix blob.ID
	locks  *held

	id   blob.ID // of the blob of this holder, once the lock is held
	done chan struct{}
	wg   sync.WaitGroup
}

func (l *blobLock) try(ctx context.Context) (bool, error) {
	if l.id != "" {
		return true, nil
	}
	busy, err := l.othersThan(ctx, "", now())
	if err != nil || busy { // most often: it costs one request, and no blob
		return false, err
	}
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return false, err
	}
	id := l.prefix + blob.ID(hex.EncodeToString(random[:]))
	renewed := now().Round(0)
	if err := l.st.PutBlob(ctx, id, lockText, blob.PutOptions{}); err != nil {
		return false, err
	}
	mine, err := l.st.GetMetadata(ctx, id)
	if errors.Is(err, blob.ErrBlobNotFound) { // this machine slept meanwhile, and another took it for dead
		return false, nil
	}
	if err == nil {
		busy, err = l.othersThan(ctx, id, mine.Timestamp)
	}
	if err != nil || busy {
		return false, errors.Join(err, l.st.DeleteBlob(context.WithoutCancel(ctx), id))
	}
	l.id, l.done = id, make(chan struct{})
	l.locks.add(id, renewed)
	every := lockEvery
	l.wg.Go(func() { l.renew(context.WithoutCancel(ctx), every) })
	return true, nil
}

// othersThan reports whether another process holds the lock at a time by the
// bucket's clock, and removes the blobs of dead ones.
func (l *blobLock) othersThan(ctx context.Context, mine blob.ID, at time.Time) (bool, error) {
	alive := false
	var dead []blob.ID
	err := l.st.ListBlobs(ctx, l.prefix, func(m blob.Metadata) error {
		switch {
		case m.BlobID == mine:
		case at.Sub(m.Timestamp) < lockDead:
			alive = true
		default:
			dead = append(dead, m.BlobID)
		}
		return nil
	})
	for _, id := range dead {
		if err == nil && mine != "" { // by the bucket's clock, not by this machine's
			err = l.st.DeleteBlob(ctx, id)
		}
	}
	return alive, err
}

func (l *blobLock) renew(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			at := now().Round(0)
			if l.st.PutBlob(ctx, l.id, lockText, blob.PutOptions{}) == nil { // else the fence holds
				l.locks.add(l.id, at)
			}
		case <-l.done:
			return
		}
	}
}

func (l *blobLock) release() {
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	if l.id != "" {
		close(l.done)
		l.wg.Wait()
		l.locks.remove(l.id)
		_ = l.st.DeleteBlob(ctx, l.id) // if this fails, it expires in five minutes
		l.id = ""
	}
	_ = l.st.Close(ctx)
}

// held are the locks that one open repository holds, with the times at which
// they were last renewed.
type held struct {
	mu    sync.Mutex
	since map[blob.ID]time.Time
}

func (h *held) add(id blob.ID, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since == nil {
		h.since = map[blob.ID]time.Time{}
	}
	h.since[id] = at
}

func (h *held) remove(id blob.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.since, id)
}

// lost returns an error if a lock that is held may have been given to another.
// The wall clock goes on while a machine sleeps.
func (h *held) lost() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.since {
		if away := now().Round(0).Sub(at); away >= lockDead*3/4 {
			return &holdfast.Problem{
				Class: holdfast.Failed,
				What:  fmt.Sprintf("the lock of the repository was not renewed for %v", away.Round(time.Second)),
				Why:   "The machine slept, or the storage failed. Another process may hold the lock, so nothing is deleted.",
				Do:    "Run it again.",
			}
		}
	}
	return nil
}

// fenced is a storage in which nothing is deleted under a lock that was lost.
type fenced struct {
	blob.Storage
	locks *held
}

// DeleteBlob implements blob.Storage.
func (s fenced) DeleteBlob(ctx context.Context, id blob.ID) error {
	if err := s.locks.lost(); err != nil {
		return err
	}
	return s.Storage.DeleteBlob(ctx, id)
}
