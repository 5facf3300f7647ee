package dumpfile

import (
	"context"
	"io"
)

// cancellable reads from a source that may block without limit: a pipe, a
// terminal. The wait ends with the context. A read in progress cannot be
// cancelled: it keeps a buffer of its own, and ends when data arrives or when
// the program exits.
type cancellable struct {
	done <-chan struct{}
	why  func() error
	full chan piece
	free chan piece
	held piece
	rest []byte
}

// newCancellable starts to read from r, which nobody else may read any more.
func newCancellable(ctx context.Context, r io.Reader) *cancellable {
	a := &cancellable{
		done: ctx.Done(),
		why:  ctx.Err,
		full: make(chan piece),
		free: make(chan piece, 2),
	}
	for range cap(a.free) {
		a.free <- piece{space: make([]byte, pieceSize)}
	}
	go func() { // ends with r, or with the context
		for {
			select {
			case <-ctx.Done():
				return
			case p := <-a.free:
				p.n, p.err = r.Read(p.space)
				select {
				case <-ctx.Done():
					return
				case a.full <- p:
				}
				if p.err != nil {
					return
				}
			}
		}
	}()
	return a
}

// Read waits for data until the context ends.
func (a *cancellable) Read(b []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.held.err != nil {
			return 0, a.held.err
		}
		if a.held.space != nil {
			a.free <- piece{space: a.held.space}
		}
		select {
		case <-a.done:
			a.held = piece{err: a.why()}
		case a.held = <-a.full:
			a.rest = a.held.space[:a.held.n]
		}
	}
	n := copy(b, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}
