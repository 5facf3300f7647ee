package repository

import (
	"context"
	"maps"
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

// cachedName is how what a cache holds is called: packs of metadata, which are lists
// of sets, manifests, directories and lists of pieces, and indexes. Of packs small
// ranges are read, many for each set. Every index is read whole by each process.
const cachedName = `(?:q[0-9a-z-]{8,}|x[nsr][0-9a-z_-]{8,})`

var cachedBlob = regexp.MustCompile("^" + cachedName + "$")

// relist is how long a list of the place is believed.
const relist = 5 * time.Minute

// singly is how many packs a place is asked about one by one before it lists all that
// it has. A list of sets needs a dozen. A list of a year's packs is three requests, one
// after the other, of which each costs as much as twelve questions and takes as long.
const singly = 16

// cached is a storage that keeps packs of metadata and indexes in files. A blob is
// fetched whole, once. The place says which blobs there are, and when each was
// stored: one that was deleted, replaced or put back there is never read from a
// file. A file that is lost or damaged costs time only.
type cached struct {
	blob.Storage
	files    *cacheFiles
	fetching singleflight.Group
	off      atomic.Bool // read the place itself

	mu     sync.Mutex
	listed time.Time // all packs
	asked  int       // packs that the place was asked about since
	known  map[blob.ID]listedBlob
}

// listedBlob is what the place said of a blob, and when.
type listedBlob struct {
	blob.Metadata

	at time.Time
}

// cached puts the cache in front of a storage, if the place is one to keep a cache
// of. What a place was at another time is not kept: its names are the same.
func (l location) cached(st blob.Storage) *cached {
	c := &cached{Storage: st, known: map[blob.ID]listedBlob{}}
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

// metadata is what the place says of a blob: by itself, or in a list once it was asked
// about many.
func (c *cached) metadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	if m, known := c.recall(id); known {
		return m, nil
	}
	if id[0] == 'q' && c.many() {
		if err := c.list(ctx); err != nil {
			return blob.Metadata{}, err
		}
		if m, known := c.recall(id); known {
			return m, nil
		}
	}
	m, err := c.Storage.GetMetadata(ctx, id)
	if err == nil {
		c.note(m, time.Now())
	}
	return m, err
}

// many counts a question about a pack, and reports whether a list of all is worth its
// requests.
func (c *cached) many() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return c.asked > singly
}

// recall is what the place said of a blob lately.
func (c *cached) recall(id blob.ID) (blob.Metadata, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, known := c.known[id]
	return m.Metadata, known && time.Since(m.at) < relist
}

func (c *cached) note(m blob.Metadata, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[m.BlobID] = listedBlob{m, at}
}

// list has the place list all packs of metadata, unless it did lately. Whoever comes
// meanwhile waits for that list.
func (c *cached) list(ctx context.Context) error {
	_, err, _ := c.fetching.Do("", func() (any, error) {
		c.mu.Lock()
		listed := c.listed
		c.mu.Unlock()
		if time.Since(listed) < relist {
			return nil, nil //nolint:nilnil // there is nothing to say
		}
		began := time.Now()
		if err := c.ListBlobs(ctx, "q", func(blob.Metadata) error { return nil }); err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.listed, c.asked = began, 0
		maps.DeleteFunc(c.known, func(_ blob.ID, m listedBlob) bool { return began.Sub(m.at) > relist })
		return nil, nil //nolint:nilnil // as above
	})
	return err
}

// ListBlobs implements blob.Reader. What a list says of a blob needs no request of its
// own: kopia lists all indexes before it reads them.
func (c *cached) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	at := time.Now()
	return c.Storage.ListBlobs(ctx, prefix, func(m blob.Metadata) error {
		if !c.off.Load() && cachedBlob.MatchString(string(m.BlobID)) {
			c.note(m, at)
		}
		return each(m)
	})
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
