package repository_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast/repository"
)

// locking is a storage that answers an extension of locks so.
type locking struct {
	blob.Storage
	err     error
	stored  time.Time
	unknown error
	tries   int
}

func (s *locking) ExtendBlobRetention(context.Context, blob.ID, blob.ExtendOptions) error {
	s.tries++
	return s.err
}

func (s *locking) GetMetadata(context.Context, blob.ID) (blob.Metadata, error) {
	return blob.Metadata{Timestamp: s.stored}, s.unknown
}

// Some stores refuse to extend the lock of what was just stored. That is no fault of
// a maintenance; whatever else is refused is, after it was tried again.
func TestBlobsTooYoungToExtendAreSkipped(t *testing.T) {
	defer repository.SetExtendPause(time.Millisecond)()
	refused := errors.New("access denied")
	for name, c := range map[string]struct {
		st    locking
		want  error
		tries int
	}{
		"extended":                 {locking{stored: time.Now().Add(-48 * time.Hour)}, nil, 1},
		"refused for a young one":  {locking{err: refused, stored: time.Now().Add(-23 * time.Hour)}, nil, 1},
		"refused for an older one": {locking{err: refused, stored: time.Now().Add(-25 * time.Hour)}, refused, 3},
		"of an unknown age":        {locking{err: refused, unknown: errors.New("silent")}, refused, 3},
	} {
		st := repository.Keeping(&c.st, repository.ObjectLock{Mode: repository.Compliance, Period: month})
		err := st.ExtendBlobRetention(t.Context(), "p", blob.ExtendOptions{})
		if !errors.Is(err, c.want) || c.st.tries != c.tries {
			t.Errorf("%s: %v after %d tries", name, err, c.st.tries)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	defer repository.SetExtendPause(time.Hour)()
	st := repository.Keeping(&locking{err: refused}, repository.ObjectLock{Mode: repository.Compliance, Period: month})
	if err := st.ExtendBlobRetention(ctx, "p", blob.ExtendOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
