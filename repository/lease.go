package repository

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
)

// A run that writes a set reuses most of the stored bytes; until it has sealed
// the set, nothing refers to them. kopia's maintenance deletes bytes hours
// after two rounds have found them unneeded, and relies on kopia's own writers
// to publish within 45 minutes what they reuse. A run of ours may take longer.
// So it holds a lease, a blob in the repository, and a full maintenance does
// not run while another run is older than runGrace.
//
// That is enough. Bytes that a maintenance deletes were marked as unneeded at
// least five hours before (kopia's two rounds of garbage collection four hours
// apart, and an hour's margin), and every run that begins later sees the mark:
// a run younger than runGrace found them marked, and stored them again. The
// bytes of a run that has ended are referred to by its set, which the round
// before the deletion sees.
//
// A run renews its lease. A run that was stopped until its lease expired must
// not seal: the bytes that it reuses may be gone.
const leasePrefix = "holdfast-run-"

var (
	leaseEvery = 10 * time.Minute // a run renews its lease
	leaseDead  = time.Hour        // a lease that was not renewed has expired
	runGrace   = 3 * time.Hour    // a full maintenance does not wait for younger runs
)

// lease is the lease of a run: a blob that it renews.
type lease struct {
	r    *Repository
	id   blob.ID
	done chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	renewed time.Time // by the wall clock: it goes on while the machine sleeps
}

func (l *lease) put(ctx context.Context) error {
	at := now().Round(0)
	if err := l.r.storage().PutBlob(ctx, l.id, leaseText, blob.PutOptions{}); err != nil {
		return l.r.location.explain("write to", err)
	}
	l.mu.Lock()
	l.renewed = at
	l.mu.Unlock()
	return nil
}

// takeLease announces a run that begins now.
func (r *Repository) takeLease(ctx context.Context) (*lease, error) {
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	l := &lease{
		r:    r,
		id:   blob.ID(leasePrefix + now().UTC().Format(leaseTime) + "-" + hex.EncodeToString(random[:])),
		done: make(chan struct{}),
	}
	if err := l.put(ctx); err != nil {
		return nil, err
	}
	// The run must see all marks that were set before it began.
	if err := r.refresh(ctx); err != nil {
		l.end(ctx)
		return nil, err
	}
	every := leaseEvery
	l.wg.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if err := l.put(ctx); err != nil { // the next tick tries again, until the lease expires
					r.Events.Report(LeaseNotRenewed{Repository: r.Name(), Silent: l.silent(), Err: err})
				}
			case <-l.done:
				return
			}
		}
	})
	return l, nil
}

// silent is how long ago the lease was last renewed.
func (l *lease) silent() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now().Round(0).Sub(l.renewed)
}

// lost returns an error if the lease may have expired.
func (l *lease) lost() error {
	if l == nil {
		return nil
	}
	away := l.silent()
	if away < leaseDead*3/4 {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What: fmt.Sprintf("write to repository %s: the run lost its lease: it was not renewed for %v", l.r.location,
			away.Round(time.Second)),
		Why: "The machine slept, or the storage failed. Maintenance may have removed data that this run reused, so " +
			"the set was discarded.",
		Do: "Run it again: it reuses what is stored.",
	}
}

func (l *lease) end(ctx context.Context) {
	close(l.done)
	l.wg.Wait()
	_ = l.r.storage().DeleteBlob(context.WithoutCancel(ctx), l.id) // if this fails, it expires in an hour
}

// The name and the text of a lease's blob. Its name and its age are all that is
// read.
const (
	leaseTime = "20060102t150405z"
	leaseText = note("A run of Holdfast is writing a set. It has died if this is older than an hour.\n")
)

// note is a short text as a blob.
type note string

// Length is in bytes.
func (n note) Length() int { return len(n) }

// Reader reads the text.
func (n note) Reader() io.ReadSeekCloser { return noteReader{strings.NewReader(string(n))} }

// WriteTo writes the text.
func (n note) WriteTo(w io.Writer) (int64, error) { return strings.NewReader(string(n)).WriteTo(w) }

type noteReader struct{ *strings.Reader }

// Close does nothing.
func (noteReader) Close() error { return nil }

// runs lists when the current runs began, and removes expired leases.
func (r *Repository) runs(ctx context.Context) ([]time.Time, error) {
	var alive []time.Time
	var dead []blob.ID
	err := r.storage().ListBlobs(ctx, leasePrefix, func(m blob.Metadata) error {
		text, _, _ := strings.Cut(strings.TrimPrefix(string(m.BlobID), leasePrefix), "-")
		began, err := time.Parse(leaseTime, text)
		if err != nil {
			began = m.Timestamp
		}
		if now().Sub(m.Timestamp) > leaseDead {
			dead = append(dead, m.BlobID)
		} else {
			alive = append(alive, began)
		}
		return nil
	})
	for _, id := range dead {
		if err == nil {
			err = r.storage().DeleteBlob(ctx, id)
		}
	}
	return alive, r.location.explain("maintain", err)
}

// storage is the storage below the repository.
func (r *Repository) storage() blob.Storage {
	return r.stored
}
