package repository

import (
	"context"
	"testing"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/blob/filesystem"
)

// A machine that sleeps while it takes a lock is taken for dead, and its blob is gone
// when it looks. It has not got the lock, which is no failure: it tries again.
func TestALockThatIsTakenForDeadIsTriedAgain(t *testing.T) {
	st, err := filesystem.New(t.Context(), &filesystem.Options{Path: t.TempDir()}, true)
	if err != nil {
		t.Fatal(err)
	}
	slept := &drowsy{Storage: st, sleeps: true}
	l := &blobLock{st: slept, prefix: lockPrefix + "history-", locks: &held{}}
	defer l.release()
	if got, err := l.try(t.Context()); got || err != nil || slept.sleeps {
		t.Errorf("while it sleeps: %t, %v", got, err)
	}
	if got, err := l.try(t.Context()); !got || err != nil {
		t.Errorf("awake: %t, %v", got, err)
	}
}

// drowsy is a storage of a machine that sleeps once between putting a blob and looking
// at it, for so long that somebody removes it.
type drowsy struct {
	blob.Storage
	sleeps bool
}

// GetMetadata implements blob.Reader.
func (s *drowsy) GetMetadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	if s.sleeps {
		s.sleeps = false
		if err := s.DeleteBlob(ctx, id); err != nil {
			return blob.Metadata{}, err
		}
	}
	return s.Storage.GetMetadata(ctx, id)
}
