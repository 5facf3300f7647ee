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

// A run that writes a set finds most of its bytes in the repository already and
// only refers to them; until it has sealed the set, nothing says that they are
// needed. kopia's maintenance forgets bytes hours after it has found them to be
// unneeded, twice, and relies on every writer of kopia's own to say within 45
// minutes what it has found. A run of ours may take longer than all of that. So
// it says that it exists, in a blob of the repository, and a full maintenance
// does not run while there is a run that began before runGrace.
//
// That is enough. Bytes that a maintenance forgets were marked as unneeded at
// least five hours before (kopia's two rounds of garbage collection four hours
// apart, and an hour's margin), and a mark is seen by whoever begins after it: a
// run that is younger than runGrace found them marked, and stored them again.
// The bytes of a run that has ended are referred to by its set, which the round
// that comes before the forgetting sees.
//
// A run renews its blob. One that was stopped for so long that it has to be taken
// for dead must not seal: what it had found may be gone.
const leasePrefix = "holdfast-run-"

var (
	leaseEvery = 10 * time.Minute // a run renews its blob
	leaseDead  = time.Hour        // a blob that was not renewed is a dead run's
	runGrace   = 3 * time.Hour    // what a full maintenance does not wait for
)

// lease is a run's blob.
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

// lend announces a run that begins now.
func (r *Repository) lend(ctx context.Context) (*lease, error) {
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	l := &lease{r: r, id: blob.ID(leasePrefix + now().UTC().Format(leaseTime) + "-" + hex.EncodeToString(random[:])), done: make(chan struct{})}
	if err := l.put(ctx); err != nil {
		return nil, err
	}
	// What was marked before the run began has to be seen by it.
	if err := r.refresh(ctx); err != nil {
		l.end(ctx)
		return nil, err
	}
	l.wg.Go(func() {
		ticker := time.NewTicker(leaseEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if err := l.put(ctx); err != nil { // tried again; for too long, the lease is lost
					r.Events.Report(LeaseNotRenewed{Repository: r.Name(), Silent: l.silent(), Err: err})
				}
			case <-l.done:
				return
			}
		}
	})
	return l, nil
}

// silent is for how long the run was not heard of.
func (l *lease) silent() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now().Round(0).Sub(l.renewed)
}

// lost is the error of a run that may have been taken for dead.
func (l *lease) lost() error {
	if l == nil {
		return nil
	}
	away := l.silent()
	if away < leaseDead*3/4 {
		return nil
	}
	return &holdfast.Problem{Class: holdfast.Failed, What: fmt.Sprintf("write to repository %s: the run could not be heard of for %v", l.r.location, away.Round(time.Second)),
		Why: "The machine slept, or the storage failed. Maintenance may have taken the run for dead, and bytes that it counted on for unneeded; so the set was not published.",
		Do:  "Run it again; what is stored is found again."}
}

func (l *lease) end(ctx context.Context) {
	close(l.done)
	l.wg.Wait()
	_ = l.r.storage().DeleteBlob(context.WithoutCancel(ctx), l.id) // what stays is dead in an hour
}

// What a run's blob is called and holds: its name and its age say all.
const (
	leaseTime = "20060102t150405z"
	leaseText = note("A run of Holdfast is writing a set. It is dead if this is older than an hour.\n")
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

// runs lists the runs that are under way, by when they began, and removes what
// dead ones have left.
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
	return r.rep.(interface{ BlobStorage() blob.Storage }).BlobStorage() //nolint:forcetypeassert // of every repository that is opened from a storage
}
