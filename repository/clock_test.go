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

	mu sync.Mutex
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
	c *clock
}

func (s *clockStorage) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	o.SetModTime = s.c.now()
	return s.Storage.PutBlob(ctx, id, data, o)
}

// use makes c the clock of this process, and of what it writes to a storage.
func (c *clock) use() (undo func()) {
	clock := repository.SetNow(c.now)
	storage := repository.SetStorage(func(st blob.Storage) blob.Storage { return &clockStorage{st, c} })
	return func() { clock(); storage() }
}

// clocked is a new repository and its clock, which only moves by hand. Tests
// that use it do not run in parallel.
func clocked(t *testing.T) (*clock, place.Place, string) {
	t.Helper()
	c := &clock{Base: time.Now().Add(time.Minute)}
	t.Cleanup(c.use())
	at, dir := make1(t)
	return c, at, dir
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
