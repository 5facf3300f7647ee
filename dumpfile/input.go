package dumpfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
)

// The size of the pieces in which a dump is read, and the space before each
// piece for the end of the previous one.
const (
	pieceSize = 256 << 10
	headroom  = 64
	pieces    = 4
)

// input is a dump's bytes, read forward. A goroutine of its own reads them, so
// that decompression and parsing run at the same time.
type input struct {
	buf   []byte // read, but not consumed yet
	base  int64  // the position of buf's first byte in the stream
	err   error  // why there are no more bytes; io.EOF at the end
	next1 func() (piece, bool)
	done  func(piece)
	stop  func()
	held  piece

	returned bool // the last line ended in CR LF
}

// piece is part of a stream; its bytes are behind the headroom.
type piece struct {
	space []byte
	n     int
	err   error
}

// buffers holds the memory of pieces for reuse.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

type buffer [headroom + pieceSize]byte

// newInput reads r ahead of the parser. Call close before r is used again.
func newInput(ctx context.Context, r io.Reader) *input {
	full, free := make(chan piece, pieces), make(chan piece, pieces)
	for range pieces {
		free <- piece{}
	}
	stopped := make(chan struct{})
	go func() { // ends when r does, or when it is stopped
		defer close(full)
		for p := range free {
			if p.space == nil {
				p.space = buffers.Get().(*buffer)[:]
			}
			p.n, p.err = readPiece(r, p.space[headroom:])
			if ctx.Err() != nil {
				p.n, p.err = 0, ctx.Err()
			}
			select {
			case <-stopped:
				return
			case full <- p:
			}
			if p.err != nil {
				return
			}
		}
	}()
	return &input{
		next1: func() (piece, bool) { p, ok := <-full; return p, ok },
		done:  func(p piece) { free <- p },
		stop: sync.OnceFunc(func() {
			close(stopped)
			close(free)
			for p := range full {
				release(p)
			}
		}),
	}
}

func release(p piece) {
	if p.space != nil {
		buffers.Put((*buffer)(p.space))
	}
}

// readPiece fills a buffer, as far as r goes.
func readPiece(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	return n, err
}

// newBytes is an input of bytes in memory.
func newBytes(b []byte) *input {
	return &input{buf: b, err: io.EOF, stop: func() {}}
}

// close stops the readahead and waits for it.
func (in *input) close() {
	in.stop()
	release(in.held)
	in.held, in.buf = piece{}, nil
	if in.err == nil {
		in.err = errors.New("closed")
	}
}

// more gets the next piece, behind the rest of this one, and reports whether
// there was one.
func (in *input) more() bool {
	for in.err == nil {
		p, ok := in.next1()
		if !ok {
			in.err = io.ErrUnexpectedEOF
			return false
		}
		in.err = p.err
		rest := in.buf
		if p.n == 0 {
			release(p)
			continue
		}
		if len(rest) > headroom {
			panic("dumpfile: peeked beyond the headroom")
		}
		old := in.held
		from := headroom - len(rest)
		copy(p.space[from:headroom], rest)
		in.buf, in.held = p.space[from:headroom+p.n], p
		if old.space != nil {
			in.done(piece{space: old.space})
		}
		return true
	}
	return false
}

// window returns the bytes in memory, none at the end.
func (in *input) window() []byte {
	if len(in.buf) == 0 {
		in.more()
	}
	return in.buf
}

// peek returns the next n bytes, or fewer at the end; n is at most the
// headroom.
func (in *input) peek(n int) []byte {
	for len(in.buf) < n && in.more() {
	}
	return in.buf[:min(n, len(in.buf))]
}

// pass consumes n bytes of the window.
func (in *input) pass(n int) {
	in.buf = in.buf[n:]
	in.base += int64(n)
}

// at is the position of the next byte in the stream.
func (in *input) at() int64 { return in.base }

// next returns the next byte, and whether there was one.
func (in *input) next() (byte, bool) {
	if len(in.buf) == 0 && !in.more() {
		return 0, false
	}
	c := in.buf[0]
	in.buf = in.buf[1:]
	in.base++
	return c, true
}

// line consumes the rest of a line with its end and returns at most most bytes
// of it, without the end. whole is false if the stream ends within the line.
func (in *input) line(most int) (text []byte, whole bool) {
	for {
		w := in.window()
		if len(w) == 0 {
			return text, false
		}
		i := bytes.IndexByte(w, '\n')
		part := w
		if i >= 0 {
			part = w[:i]
		}
		text = append(text, part[:min(len(part), most-len(text))]...)
		if i >= 0 {
			in.pass(i + 1)
			text, in.returned = bytes.CutSuffix(text, []byte("\r"))
			return text, true
		}
		in.pass(len(w))
	}
}

// Read implements io.Reader.
func (in *input) Read(p []byte) (int, error) {
	w := in.window()
	if len(w) == 0 {
		return 0, in.err
	}
	n := copy(p, w)
	in.pass(n)
	return n, nil
}

// ReadByte reads a byte, for decompressors that would otherwise buffer.
func (in *input) ReadByte() (byte, error) {
	c, ok := in.next()
	if !ok {
		return 0, in.err
	}
	return c, nil
}
