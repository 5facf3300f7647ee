package repository_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast/place"
	"holdfast/repository"
)

// clock is a clock for tests: real time, accelerated, and moved by hand. A
// storage for tests stamps blobs with its time, so kopia's rules of hours and
// days apply within seconds.
type clock struct {
	Base   time.Time     `json:"base"`
	Factor float64       `json:"factor"` // 0: it only moves by hand
	Ahead  time.Duration `json:"ahead"`

	mu     sync.Mutex
	stamps sync.Map // when blobs of servers were written
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Base.Add(c.Ahead + time.Duration(float64(time.Since(c.Base))*c.Factor)).Round(0)
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Ahead += d
}

type clockStorage struct {
	blob.Storage
	at place.Place
	c  *clock
}

// stamp is a blob in a place.
type stamp struct {
	place string
	id    blob.ID
}

// PutBlob implements blob.Storage. A server stamps blobs with its own time: there the
// clock keeps its own, which other processes do not see.
func (s *clockStorage) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	if s.at.Scheme == place.File {
		o.SetModTime = s.c.now()
		return s.Storage.PutBlob(ctx, id, data, o)
	}
	at := s.c.now()
	err := s.Storage.PutBlob(ctx, id, data, o)
	if err == nil {
		s.c.stamps.Store(stamp{s.at.String(), id}, at)
		if o.GetModTime != nil {
			*o.GetModTime = at
		}
	}
	return err
}

// GetMetadata implements blob.Storage.
func (s *clockStorage) GetMetadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	m, err := s.Storage.GetMetadata(ctx, id)
	return s.stamped(m), err
}

// ListBlobs implements blob.Storage.
func (s *clockStorage) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	return s.Storage.ListBlobs(ctx, prefix, func(m blob.Metadata) error { return each(s.stamped(m)) })
}

func (s *clockStorage) stamped(m blob.Metadata) blob.Metadata {
	if at, ok := s.c.stamps.Load(stamp{s.at.String(), m.BlobID}); ok {
		m.Timestamp, _ = at.(time.Time)
	}
	return m
}

// use makes c the clock of this process, and of what it writes to a storage.
func (c *clock) use() (undo func()) {
	clock := repository.SetNow(c.now)
	storage := repository.SetStorage(func(at place.Place, st blob.Storage) blob.Storage {
		return &clockStorage{st, at, c}
	})
	return func() { clock(); storage() }
}

// clocked is a new repository and its clock, which only moves by hand. Tests
// that use it do not run in parallel.
func clocked(t *testing.T, s *site) (*clock, place.Place) {
	t.Helper()
	c := &clock{Base: time.Now().Add(time.Minute)}
	t.Cleanup(c.use())
	return c, s.make1(t)
}

// The environment hands a clock on to another process.
const clockVariable = "HOLDFAST_TEST_CLOCK"

func (c *clock) environment() string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return clockVariable + "=" + string(text)
}

func clockOfEnvironment() (*clock, error) {
	c := &clock{}
	if err := json.Unmarshal([]byte(os.Getenv(clockVariable)), c); err != nil {
		return nil, fmt.Errorf("%s: %w", clockVariable, err)
	}
	return c, nil
}
