package repository_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast/repository"
)

// trickle is a storage that gives a kilobyte of a blob after each pause, and counts
// how often it is asked what it knows of one.
type trickle struct {
	blob.Storage
	pauses []time.Duration
	asked  int
}

func (s *trickle) GetMetadata(context.Context, blob.ID) (blob.Metadata, error) {
	s.asked++
	return blob.Metadata{Length: int64(len(s.pauses)) << 10}, nil
}

func (s *trickle) GetBlob(ctx context.Context, _ blob.ID, _, _ int64, out blob.OutputBuffer) error {
	for _, pause := range s.pauses {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		if _, err := out.Write(make([]byte, 1<<10)); err != nil {
			return err
		}
	}
	return nil
}

// buffer is where a blob is read to.
type buffer struct{ bytes.Buffer }

func (b *buffer) Length() int { return b.Len() }

// A whole blob is read by one request, which nobody asks for its length before. It
// may take as long as its bytes do, and no longer.
func TestAWholeBlobIsOneRequest(t *testing.T) {
	const quiet, slowest = time.Minute, 1 << 10 // a kilobyte a second
	steady := make([]time.Duration, 600)
	for i := range steady {
		steady[i] = time.Second
	}
	for name, c := range map[string]struct {
		pauses []time.Duration
		fails  time.Duration // when; 0: it does not
	}{
		"steady for ten times as long": {steady, 0},
		"silent":                       {[]time.Duration{time.Hour}, quiet},
		"silent in the middle":         {[]time.Duration{time.Second, time.Second, time.Hour}, quiet + 2*time.Second},
		"slower than the slowest":      {[]time.Duration{50 * time.Second, 50 * time.Second}, quiet + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, began, out := &trickle{pauses: c.pauses}, time.Now(), &buffer{}
				err := repository.Patient(st, quiet, slowest).GetBlob(t.Context(), "p", 0, -1, out)
				took := time.Since(began)
				if c.fails == 0 && (err != nil || out.Length() != len(c.pauses)<<10) {
					t.Errorf("%d bytes, %v", out.Length(), err)
				}
				if c.fails != 0 && (err == nil || took != c.fails || !strings.Contains(err.Error(), "1m")) {
					t.Errorf("after %v: %v", took, err)
				}
				if st.asked > 0 {
					t.Errorf("asked for the length %d times", st.asked)
				}
			})
		})
	}
}
