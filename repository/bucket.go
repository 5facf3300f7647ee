package repository

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/internal/scratch"
	"holdfast/place"
)

// opener opens the storage of blobs in a place outside of this machine; create
// makes a directory that does not exist yet.
type opener func(ctx context.Context, at place.Place, a Access, create bool) (blob.Storage, error)

// bucket is a place outside of this machine that holds blobs under names, and
// nothing else: an object store, or a directory of another machine.
type bucket struct {
	at     place.Place
	access Access
	open   opener
	locks  *held
}

// outsideMachine are the places outside of this machine, one opener each.
func outsideMachine(open opener) func(location) backend {
	return func(l location) backend { return bucket{l.Place, l.access, open, &held{}} }
}

func (b bucket) storage(ctx context.Context, create bool) (blob.Storage, error) {
	st, err := b.unfenced(ctx, create)
	if err != nil {
		return nil, err
	}
	return fenced{st, b.locks}, nil
}

// unfenced opens the storage and sends it one request: a list of what opens a
// repository. Every role may list.
func (b bucket) unfenced(ctx context.Context, create bool) (blob.Storage, error) {
	var st blob.Storage
	err := within(ctx, b.access.within(openTime), func(ctx context.Context) (err error) {
		st, err = inTime(ctx, func(ctx context.Context) (blob.Storage, error) {
			return b.open(ctx, b.at, b.access, create)
		})
		if err != nil {
			return err
		}
		return st.ListBlobs(ctx, "kopia.", func(blob.Metadata) error { return nil })
	})
	if err != nil {
		if st != nil {
			_ = st.Close(context.WithoutCancel(ctx))
		}
		return nil, refusal("open repository "+b.at.String(), err)
	}
	return patient{st, cmp.Or(b.access.Silence, quietTime)}, nil
}

func (b bucket) vacant(ctx context.Context) (bool, error) {
	st, err := b.unfenced(ctx, false)
	if holdfast.ClassOf(err) == holdfast.NoRepository && b.at.Bucket == "" {
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
	st, err := b.unfenced(ctx, false)
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
