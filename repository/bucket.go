package repository

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/internal/scratch"
	"holdfast/place"
)

// entry is how a place outside of this machine is entered.
type entry struct {
	place.Place
	access  Access
	create  bool      // make a directory that does not exist yet
	asOf    time.Time // see the place as it was then; zero: as it is
	meter   *meter
	limiter *limiter
}

// opener opens the storage of blobs in a place outside of this machine.
type opener func(context.Context, entry) (blob.Storage, error)

// bucket is a place outside of this machine that holds blobs under names, and
// nothing else: an object store, or a directory of another machine.
type bucket struct {
	entry
	open  opener
	locks *held
}

// outsideMachine are the places outside of this machine, one opener each.
func outsideMachine(open opener) func(location) backend {
	return func(l location) backend { return bucket{l.entry(), open, &held{}} }
}

func (b bucket) storage(ctx context.Context, create bool) (blob.Storage, error) {
	st, there, err := b.unfenced(ctx, create)
	if err != nil {
		return nil, err
	}
	if !there && !create && b.Bucket == "" {
		if err := untouched(ctx, st); err != nil {
			return nil, errors.Join(err, st.Close(context.WithoutCancel(ctx)))
		}
	}
	return fenced{st, b.locks}, nil
}

// unfenced opens the storage and sends it one request: a list of what opens a
// repository, and reports whether that is there. Every role may list.
func (b bucket) unfenced(ctx context.Context, create bool) (st blob.Storage, there bool, err error) {
	e := b.entry
	e.create = create
	err = within(ctx, b.access.within(openTime), func(ctx context.Context) (err error) {
		st, err = inTime(ctx, func(ctx context.Context) (blob.Storage, error) {
			return b.open(ctx, e)
		})
		if err != nil {
			return err
		}
		st = metered{st, b.meter}
		return st.ListBlobs(ctx, opensBy, func(blob.Metadata) error {
			there = true
			return nil
		})
	})
	if err != nil {
		if st != nil {
			_ = st.Close(context.WithoutCancel(ctx))
		}
		return nil, false, refusal("open repository "+b.String(), err)
	}
	st = patient{
		Storage: st,
		quiet:   cmp.Or(b.access.Silence, quietTime),
		slowest: slowest,
		streams: b.Bucket != "", // storages of directories give a blob all at once
	}
	return limited{st, b.limiter}, there, nil
}

func (b bucket) vacant(ctx context.Context) (bool, error) {
	st, _, err := b.unfenced(ctx, false)
	if holdfast.ClassOf(err) == holdfast.NoRepository && b.Bucket == "" {
		return true, nil // a directory that would be made
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = st.Close(context.WithoutCancel(ctx)) }()
	some := errors.New("there is a blob")
	switch err := st.ListBlobs(ctx, "", func(m blob.Metadata) error {
		if isProbe(m.BlobID) {
			return nil
		}
		return some
	}); {
	case errors.Is(err, some):
		return false, nil
	default:
		return err == nil, err
	}
}

func (b bucket) lock(ctx context.Context, name string) (lock, error) {
	st, _, err := b.unfenced(ctx, false)
	if err != nil {
		return nil, err
	}
	return &blobLock{st: st, prefix: blob.ID(lockPrefix + name + "-"), locks: b.locks}, nil
}

// lockFile is in a directory of its own: kopia's lock between the processes of
// one machine holds nothing that the lock in the bucket does not.
func (bucket) lockFile() (string, func(), error) {
	dir, err := scratch.Make(0)
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(dir.Path, "kopia"), func() { _ = dir.Remove() }, nil
}
