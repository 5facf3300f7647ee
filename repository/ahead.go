package repository

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/object"
)

// piecesAhead is how many pieces of a file are made ready while the one before
// is being used. Whoever reads a file waits now and then, for Postgres or for a
// disk; meanwhile the next pieces are read, decrypted and unpacked.
const piecesAhead = 3

// openAhead opens an object so that it is read ahead of its reader. Objects that
// are one piece, or not made as ours are, are left to kopia.
func openAhead(ctx context.Context, rep repo.Repository, id object.ID) (io.ReadCloser, error) {
	index, several := id.IndexObjectID()
	direct, ok := rep.(repo.DirectRepository)
	if !several || !ok {
		return rep.OpenObject(ctx, id)
	}
	from := unfetched{direct.ContentReader()}
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
	a := &ahead{ready: make(chan ready, piecesAhead)}
	a.ctx, a.stop = context.WithCancel(ctx)
	go a.fetch(from, contents, entries)
	return a, nil
}

// ahead reads the pieces of one object. Its goroutine ends with the last piece,
// with the context, or when it is closed.
type ahead struct {
	ctx   context.Context //nolint:containedctx // an io.Reader has no other way to it
	stop  context.CancelFunc
	ready chan ready
	piece []byte // what is left of the current one
	err   error
}

// unfetched reads contents when they are asked for, without a cache before it.
type unfetched struct{ content.Reader }

func (unfetched) PrefetchContents(context.Context, []content.ID, string) []content.ID { return nil }

// ready is a piece, or why there is none.
type ready struct {
	piece []byte
	err   error
}

func (a *ahead) fetch(from content.Reader, contents []content.ID, entries []object.IndirectObjectEntry) {
	defer close(a.ready)
	for i, id := range contents {
		b, err := from.GetContent(a.ctx, id)
		if err == nil && int64(len(b)) != entries[i].Length {
			err = fmt.Errorf("piece %d of the file has %d bytes, its index says %d", i, len(b), entries[i].Length)
		}
		select {
		case a.ready <- ready{b, err}:
		case <-a.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.piece) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		next, more := <-a.ready
		switch {
		case more:
			a.piece, a.err = next.piece, next.err
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

// Close ends the reading ahead. It must be called.
func (a *ahead) Close() error {
	a.stop()
	for range a.ready { // until fetch has let go of the repository
	}
	if a.err == nil {
		a.err = os.ErrClosed
	}
	a.piece = nil
	return nil
}
