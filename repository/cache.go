package repository

import (
	"context"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kopia/kopia/repo/blob"
	"golang.org/x/sync/singleflight"

	"holdfast/place"
)

// Cache is a directory of this machine for what is read again and again of a place
// outside of it. It holds blobs as they are stored, which is encrypted.
type Cache struct {
	Directory string // "" for none
	Limit     int64  // bytes of all that is in it
}

// Cached keeps metadata of a place outside of this machine in a cache.
func Cached(in Cache) Option { return func(l *location) { l.cache = in } }

// cachedBlob is what a cache holds: packs of metadata, which are lists of sets,
// manifests, directories and lists of pieces. They are read in small ranges, many
// for each set. Indexes are read whole and only once by each process.
var cachedBlob = regexp.MustCompile(`^q[0-9a-z-]{8,100}$`)

// relist is how long a list of the place is believed.
const relist = 5 * time.Minute

// cached is a storage that keeps packs of metadata in files. A pack is fetched
// whole, once. The place says which packs there are, and when each was stored: one
// that was deleted, replaced or put back there is never read from a file. A file
// that is lost or damaged costs time only.
type cached struct {
	blob.Storage
	files    *cacheFiles
	fetching singleflight.Group
	off      atomic.Bool // read the place itself

	mu     sync.Mutex
	listed time.Time
	known  map[blob.ID]blob.Metadata
}

// cached puts the cache in front of a storage, if the place is one to keep a cache
// of. What a place was at another time is not kept: its names are the same.
func (l location) cached(st blob.Storage) *cached {
	c := &cached{Storage: st, known: map[blob.ID]blob.Metadata{}}
	c.off.Store(true)
	if l.Scheme != place.File && l.asOf.IsZero() && l.cache.Directory != "" && l.cache.Limit > 0 {
		c.files = cacheIn(l.cache, l.String())
		c.off.Store(false)
	}
	return c
}

// GetBlob implements blob.Reader.
func (c *cached) GetBlob(ctx context.Context, id blob.ID, offset, length int64, out blob.OutputBuffer) error {
	if !c.off.Load() && cachedBlob.MatchString(string(id)) && c.fromFile(ctx, id, offset, length, out) {
		return nil
	}
	return c.Storage.GetBlob(ctx, id, offset, length, out)
}

// fromFile reads a part of a blob from its file, and makes that before if there is
// none. Whatever fails is left to the place.
func (c *cached) fromFile(ctx context.Context, id blob.ID, offset, length int64, out blob.OutputBuffer) bool {
	m, err := c.metadata(ctx, id)
	if err != nil || !c.files.takes(m.Length) {
		return false
	}
	if length < 0 {
		length = m.Length - offset
	}
	if offset < 0 || length < 0 || offset+length > m.Length {
		return false
	}
	if c.files.read(m, offset, length, out) {
		return true
	}
	_, err, _ = c.fetching.Do(string(id), func() (any, error) { return nil, c.fetch(ctx, m) })
	return err == nil && c.files.read(m, offset, length, out)
}

// fetch makes the file of a blob.
func (c *cached) fetch(ctx context.Context, m blob.Metadata) error {
	var b raw
	if err := c.Storage.GetBlob(ctx, m.BlobID, 0, m.Length, &b); err != nil {
		return err
	}
	return c.files.write(m, b.Bytes())
}

// metadata is what the place says of a blob: in a list of all of them, or by
// itself if it was stored since.
func (c *cached) metadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	if m, known, err := c.list(ctx, id); known || err != nil {
		return m, err
	}
	m, err := c.Storage.GetMetadata(ctx, id)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.known[id] = m
	}
	return m, err
}

func (c *cached) list(ctx context.Context, id blob.ID) (m blob.Metadata, known bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listed.IsZero() || time.Since(c.listed) > relist {
		clear(c.known)
		err = c.Storage.ListBlobs(ctx, "q", func(m blob.Metadata) error {
			c.known[m.BlobID] = m
			return nil
		})
		if err != nil {
			return m, false, err
		}
		c.listed = time.Now()
	}
	m, known = c.known[id]
	return m, known, nil
}

// PutBlob implements blob.Storage.
func (c *cached) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	c.forget(id)
	return c.Storage.PutBlob(ctx, id, data, o)
}

// DeleteBlob implements blob.Storage.
func (c *cached) DeleteBlob(ctx context.Context, id blob.ID) error {
	c.forget(id)
	return c.Storage.DeleteBlob(ctx, id)
}

// forget drops what is known of a blob; the next read of it looks at the place.
func (c *cached) forget(id blob.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, id)
}
