package repository

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/object"
)

// readaheadPieces is how many pieces of a file are read in advance, all at once: a
// bucket in another region answers each after a while. While the reader of a file waits
// for Postgres or for a disk, the next pieces are read, decrypted and decompressed.
const readaheadPieces = 8

// openReadahead opens an object with readahead. Kopia itself opens objects of
// one piece, and objects of a layout that we do not write.
func openReadahead(ctx context.Context, rep repo.Repository, id object.ID) (io.ReadCloser, error) {
	index, several := id.IndexObjectID()
	direct, ok := rep.(repo.DirectRepository)
	if !several || !ok {
		return rep.OpenObject(ctx, id)
	}
	from := withoutPrefetch{direct.ContentReader()}
	entries, err := object.LoadIndexObject(ctx, from, index)
	if err != nil {
		return nil, err
	}
	contents := make([]content.ID, len(entries))
	for i, e := range entries {
		one, compressed, ok := e.Object.ContentID()
		if !ok || compressed {
			return rep.OpenObject(ctx, id)
		}
		contents[i] = one
	}
	a := &readahead{coming: make(chan chan ready, readaheadPieces-1)} // and one that waits for room
	a.ctx, a.stop = context.WithCancel(ctx)
	go a.fetch(from, contents, entries)
	return a, nil
}

// readahead reads the pieces of one object in advance. Its goroutine ends with
// the last piece, with the context, or with Close.
type readahead struct {
	ctx     context.Context //nolint:containedctx // an io.Reader has no other way to it
	stop    context.CancelFunc
	coming  chan chan ready // in the order of the file
	reading sync.WaitGroup
	piece   []byte // what is left of the current one
	err     error
}

// withoutPrefetch reads each content on demand, without prefetching into a cache.
type withoutPrefetch struct{ content.Reader }

func (withoutPrefetch) PrefetchContents(context.Context, []content.ID, string) []content.ID {
	return nil
}

// ready is a piece, or the error of reading it.
type ready struct {
	piece []byte
	err   error
}

func (a *readahead) fetch(from content.Reader, contents []content.ID, entries []object.IndirectObjectEntry) {
	defer close(a.coming)
	for i, id := range contents {
		next := make(chan ready, 1)
		a.reading.Go(func() {
			b, err := from.GetContent(a.ctx, id)
			if err == nil && int64(len(b)) != entries[i].Length {
				err = fmt.Errorf("piece %d of the file has %d bytes, its index says %d", i, len(b), entries[i].Length)
			}
			next <- ready{b, err}
		})
		select {
		case a.coming <- next:
		case <-a.ctx.Done():
			return
		}
	}
}

func (a *readahead) Read(p []byte) (int, error) {
	for len(a.piece) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		next, more := <-a.coming
		switch {
		case more:
			piece := <-next
			a.piece, a.err = piece.piece, piece.err
		case a.ctx.Err() != nil:
			a.err = a.ctx.Err()
		default:
			a.err = io.EOF
		}
	}
	n := copy(p, a.piece)
	a.piece = a.piece[n:]
	return n, nil
}

// Close stops the readahead. It must be called.
func (a *readahead) Close() error {
	a.stop()
	for range a.coming { // until fetch has ended, and then until all have let go of the repository
	}
	a.reading.Wait()
	if a.err == nil {
		a.err = os.ErrClosed
	}
	a.piece = nil
	return nil
}

// explained is a file whose reads say what failed as its opening does. Most of a file
// is read long after it was opened.
type explained struct {
	io.ReadCloser
	explain func(error) error
}

// Read implements io.Reader.
func (f explained) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if err == nil || err == io.EOF { //nolint:errorlint // a reader's EOF is bare
		return n, err
	}
	return n, f.explain(err)
}
