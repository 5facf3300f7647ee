package repository

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/place"
)

// Option is a property of a repository besides its place.
type Option func(*location)

// Copies are places outside of the repository. Each gets a copy of
// kopia.repository, without which the repository is unreadable.
func Copies(in ...place.Place) Option { return func(l *location) { l.copies = in } }

// ErrorCorrection is how much redundancy a new repository stores, in percent of
// the data.
func ErrorCorrection(percent int) Option { return func(l *location) { l.errorCorrection = percent } }

// AsOf opens the repository as it was at a time, and lets nothing be written: the
// way back after somebody has deleted or replaced what was in it. The place has
// to keep versions.
func AsOf(at time.Time) Option { return func(l *location) { l.asOf = at } }

// Through wraps the storage of the repository, to limit, count or disturb its
// requests.
func Through(wrap func(blob.Storage) blob.Storage) Option {
	return func(l *location) { l.wrap = wrap }
}

// IndexEvery makes sessions write their index after so many bytes, so that a run that
// breaks off loses no more of its work. 0: 2 GiB in a directory, 256 MiB elsewhere.
func IndexEvery(bytes int64) Option { return func(l *location) { l.indexEvery = bytes } }

// location is the place of a repository with its options.
type location struct {
	place.Place
	backend         backend
	access          Access
	copies          []place.Place
	asOf            time.Time
	lockFor         ObjectLock // of a new repository, or a second copy
	extend          bool       // the locks of what a second copy has already
	choose          Choose     // of the sets that a second copy lacks; nil: all
	rule            *atomic.Pointer[lockRule]
	errorCorrection int
	indexEvery      int64
	wrap            func(blob.Storage) blob.Storage
	cache           Cache
	limits          Limits
	meter           *meter
}

// backend is what a repository needs of a place. A new kind of place is a file
// with one, and a line in backends.
type backend interface {
	// storage opens the place as a storage of blobs; create makes what does not
	// exist yet. The error is fs.ErrNotExist if the place does not exist.
	storage(ctx context.Context, create bool) (blob.Storage, error)
	// vacant reports whether the place does not exist or is empty.
	vacant(ctx context.Context) (bool, error)
	// lock opens the lock of that name, without taking it.
	lock(ctx context.Context, name string) (lock, error)
	// lockFile is the file from which kopia derives the path of its own lock,
	// until it is released.
	lockFile() (file string, release func(), err error)
}

// lock is held by one process at a time, and released however that ends.
type lock interface {
	// try takes the lock, or returns false if another process holds it.
	try(ctx context.Context) (bool, error)
	// release releases the lock, if it is held, and closes it.
	release()
}

// copyStore is a place outside of a repository for copies of its vital blobs.
type copyStore interface {
	names() ([]string, error) // of the files there
	read(name string) ([]byte, error)
	write(name string, b []byte) error // atomically
	remove(name string) error
	where(name string) string // for people
}

// The places a repository can be in, and those for copies of its vital blobs.
var (
	backends = map[place.Scheme]func(location) backend{
		place.File:   func(l location) backend { return localDirectory(l.Path) },
		place.S3:     outsideMachine(openS3),
		place.GCS:    outsideMachine(openGCS),
		place.Azure:  outsideMachine(openAzure),
		place.SFTP:   outsideMachine(openSFTP),
		place.WebDAV: outsideMachine(openWebDAV),
	}
	copyStores = map[place.Scheme]func(place.Place) copyStore{
		place.File: func(p place.Place) copyStore { return localDirectory(p.Path) },
	}
)

// locate finds the backend of a place.
func locate(at place.Place, options []Option) (location, error) {
	l := location{Place: at, rule: new(atomic.Pointer[lockRule]), meter: &meter{}}
	for _, o := range options {
		o(&l)
	}
	if err := at.Serves(place.Repository); err != nil {
		return l, &holdfast.Problem{Class: holdfast.Usage, What: "repository " + at.String(), Err: err,
			Do: "Name another place in repository.path."}
	}
	if !l.asOf.IsZero() && !keepsVersions[at.Scheme] {
		return l, &holdfast.Problem{
			Class: holdfast.Usage,
			What:  fmt.Sprintf("repository %s: %s:// is not seen as it was", at, at.Scheme),
			Why:   "Only buckets of S3, Google and Azure keep versions that Holdfast reads.",
			Do:    "Leave --as-of out, or read a second copy: HOLDFAST_REPOSITORY_PATH=PLACE.",
		}
	}
	l.backend = backends[at.Scheme](l)
	return l, nil
}

// keepsVersions are the kinds of places that may keep what was replaced.
var keepsVersions = map[place.Scheme]bool{place.S3: true, place.GCS: true, place.Azure: true}

// entry is how the place is entered, if it is outside of this machine.
func (l location) entry() entry {
	return entry{Place: l.Place, access: l.access, asOf: l.asOf, meter: l.meter, limiter: limiterOf(l.limits)}
}

// storage opens the storage.
func (l location) storage(ctx context.Context, create bool) (blob.Storage, error) {
	st, err := l.backend.storage(ctx, create)
	if err != nil {
		return nil, err
	}
	if l.wrap != nil {
		st = l.wrap(st)
	}
	return keeping{st, l.rule}, nil
}

// outside are the places for copies of the vital blobs. A kind of place that
// holds no copies is skipped; the keeper of sealed identities reports it.
func (l location) outside() (list []copyStore) {
	for _, p := range l.copies {
		if open, ok := copyStores[p.Scheme]; ok {
			list = append(list, open(p))
		}
	}
	return list
}
