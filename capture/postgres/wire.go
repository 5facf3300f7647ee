package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/zeebo/xxh3"

	"holdfast"
	"holdfast/content"
)

// A dump spends its time on rows: the server sends each as one CopyData
// message. Handing every message through the protocol library, and writing
// every row on its own, costs more than all else the client does, so rows are
// read here, straight from a large buffer. Everything that is not a row is
// left to the library.
const wireBuffer = 256 << 10

// wire is the reader between the socket and the protocol library. It knows
// where messages end and never gives the library a byte beyond the message it
// is reading, so that the rows behind it are still here to be taken by rows.
type wire struct {
	in     io.Reader
	buf    []byte
	lo, hi int // what is buffered: buf[lo:hi]
	left   int // bytes of the current message not yet given to the library
}

func newWire(in io.Reader) *wire { return &wire{in: in, buf: make([]byte, wireBuffer)} }

// Read implements io.Reader for the protocol library.
func (w *wire) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if w.left == 0 {
		if err := w.fill(5); err != nil {
			return 0, err
		}
		w.left = 1 + int(binary.BigEndian.Uint32(w.buf[w.lo+1:]))
	}
	if w.lo == w.hi {
		if err := w.fill(1); err != nil {
			return 0, err
		}
	}
	n := copy(p[:min(len(p), w.left)], w.buf[w.lo:w.hi])
	w.lo += n
	w.left -= n
	return n, nil
}

// fill makes sure that at least n bytes are buffered; n is small.
func (w *wire) fill(n int) error {
	for w.hi-w.lo < n {
		if w.lo > 0 && len(w.buf)-w.hi < wireBuffer/4 || w.lo == w.hi {
			copy(w.buf, w.buf[w.lo:w.hi])
			w.hi -= w.lo
			w.lo = 0
		}
		k, err := w.in.Read(w.buf[w.hi:])
		w.hi += k
		if err != nil && w.hi-w.lo < n {
			if errors.Is(err, io.EOF) && w.hi > w.lo {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// copyData is the type byte of a row's message.
const copyData = 'd'

// rows takes row messages as long as the next message is one. piece is called
// with a message's bytes, in pieces where a row is larger than the buffer;
// first and last mark the message's ends. The bytes are valid during the call.
func (w *wire) rows(piece func(p []byte, first, last bool) error) error {
	for {
		if err := w.fill(5); err != nil {
			return err
		}
		if w.buf[w.lo] != copyData {
			return nil
		}
		left := int(binary.BigEndian.Uint32(w.buf[w.lo+1:])) - 4
		if left < 0 {
			return errors.New("the server sent a message of negative length")
		}
		w.lo += 5
		first := true
		for {
			if left <= w.hi-w.lo {
				p := w.buf[w.lo : w.lo+left]
				w.lo += left
				if err := piece(p, first, true); err != nil {
					return err
				}
				break
			}
			// The row is not wholly here. Read on until it is, unless it is
			// larger than the buffer; then pass on what there is.
			if left <= len(w.buf) {
				if err := w.gather(left); err != nil {
					return err
				}
				continue
			}
			if err := w.gather(headRoom); err != nil {
				return err
			}
			p := w.buf[w.lo:w.hi]
			left -= len(p)
			w.lo = w.hi
			if err := piece(p, first, false); err != nil {
				return err
			}
			first = false
		}
	}
}

// gather reads until n bytes, at most the buffer's size, are buffered in one
// piece.
func (w *wire) gather(n int) error {
	if w.lo+n > len(w.buf) {
		copy(w.buf, w.buf[w.lo:w.hi])
		w.hi -= w.lo
		w.lo = 0
	}
	for w.hi-w.lo < n {
		k, err := w.in.Read(w.buf[w.hi:])
		w.hi += k
		if err != nil && w.hi-w.lo < n {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// headRoom is the least that the first piece of a large row holds: enough for
// the header of a binary stream.
const headRoom = 64

// stream is what one COPY gave.
type stream struct {
	rows   int64
	bytes  int64
	digest content.Digest
	most   int64 // of a row
}

// binarySignature begins every binary COPY stream; four bytes of flags and
// four of the length of an extension follow.
const binarySignature = "PGCOPY\n\xff\r\n\x00"

// copyOut runs a COPY ... TO STDOUT on conn, whose socket is read through w,
// writes the stream to out in large pieces, and counts and digests the rows.
// out may be nil. The stream is whole when the error is nil: the trailer was
// seen and the server's own count agrees.
func copyOut(ctx context.Context, conn *pgconn.PgConn, w *wire, sql, format string, out io.Writer) (stream, error) {
	t := tally{format: format, out: out}
	if k, ok := out.(*keeper); ok {
		t.divider, _ = k.Writer.(divider)
	}
	return t.run(ctx, conn, w, sql)
}

// copyRows does the same with a binary stream, of which only the rows are written,
// without what it begins and ends with.
func copyRows(ctx context.Context, conn *pgconn.PgConn, w *wire, sql string, out holdfast.Splicer) (stream, error) {
	t := tally{format: content.BinaryFormat, out: out, divider: out, bare: true}
	return t.run(ctx, conn, w, sql)
}

// run reads one stream to its end.
func (t *tally) run(ctx context.Context, conn *pgconn.PgConn, w *wire, sql string) (stream, error) {
	// Whatever goes wrong in the middle of a COPY leaves the protocol in a
	// state not worth guessing: the connection is closed.
	done := false
	defer func() {
		if !done {
			_ = conn.Conn().Close()
		}
	}()
	conn.Frontend().SendQuery(&pgproto3.Query{String: sql})
	if err := conn.Frontend().Flush(); err != nil {
		return stream{}, err
	}
	for started := false; !started; {
		msg, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return stream{}, err
		}
		switch m := msg.(type) {
		case *pgproto3.CopyOutResponse:
			started = true
		case *pgproto3.ErrorResponse:
			return stream{}, pgconn.ErrorResponseToPgError(m)
		}
	}
	if t.out != nil && t.divider == nil {
		t.batch = make([]byte, 0, wireBuffer)
	}
	var counted int64 = -1
	for {
		// Rows, and between them at times a notice, which the library takes.
		if err := takeRows(ctx, conn, w, t.piece); err != nil {
			return stream{}, err
		}
		msg, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return stream{}, err
		}
		switch m := msg.(type) {
		case *pgproto3.ErrorResponse:
			return stream{}, pgconn.ErrorResponseToPgError(m)
		case *pgproto3.CommandComplete:
			counted, err = strconv.ParseInt(strings.TrimPrefix(string(m.CommandTag), "COPY "), 10, 64)
			if err != nil {
				return stream{}, fmt.Errorf("the server ended a COPY with %q", m.CommandTag)
			}
		case *pgproto3.ReadyForQuery:
			if err := t.finish(counted); err != nil {
				return stream{}, err
			}
			done = true
			return t.stream, nil
		}
	}
}

// takeRows takes the rows that come next, until ctx ends.
func takeRows(ctx context.Context, conn *pgconn.PgConn, w *wire, piece func(p []byte, first, last bool) error) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Conn().SetDeadline(time.Unix(1, 0)) })
	err := w.rows(piece)
	if !stop() && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// tally counts and digests the rows of a stream on their way to out.
type tally struct {
	stream
	format  string
	out     io.Writer
	divider divider // out, if it wants to know where it may divide
	bare    bool    // only rows are written
	since   int     // bytes since the stream was divided
	batch   []byte
	large   *xxh3.Hasher // of a row that comes in pieces
	length  int64        // of that row so far
	begun   bool
	trailer bool
}

// divider is a writer that stores what it is given in pieces, and finds pieces
// again that it has already. It gathers small writes by itself.
type divider interface{ Divide() }

// A stream is divided behind a row that is chosen by its own digest, so that
// the same rows are divided in the same places whatever came before them. The
// likelihood grows with the row's length, for pieces of about the same size
// from rows of any.
const (
	pieceLeast = 128 << 10
	pieceMean  = 18 // bits, beyond the least
)

func (t *tally) divide(length int, digest uint64) {
	if t.divider == nil {
		return
	}
	if t.since += length; t.since >= pieceLeast && digest>>(64-pieceMean) < uint64(length) { //nolint:gosec // a length is not negative
		t.divider.Divide()
		t.since = 0
	}
}

// piece takes one message, or a piece of it. The server puts the header of a
// binary stream before the first row in the same message, and the trailer, two
// bytes of -1, into a message of its own, or behind the header when there are
// no rows.
func (t *tally) piece(p []byte, first, last bool) error {
	if !t.bare {
		if err := t.write(p); err != nil {
			return err
		}
	}
	if !t.begun {
		t.begun = true
		if t.format == content.BinaryFormat {
			const fixed = len(binarySignature) + 8
			if len(p) < fixed || string(p[:len(binarySignature)]) != binarySignature {
				return errors.New("the server's binary COPY does not begin with its signature")
			}
			extension := int(binary.BigEndian.Uint32(p[len(binarySignature)+4:]))
			if len(p) < fixed+extension {
				return errors.New("the header of the server's binary COPY is cut short")
			}
			p = p[fixed+extension:]
			if len(p) == 0 && last {
				return nil
			}
		}
	}
	if t.trailer {
		return errors.New("the server's binary COPY goes on behind its trailer")
	}
	if first && last && t.format == content.BinaryFormat && len(p) == 2 && p[0] == 0xff && p[1] == 0xff {
		t.trailer = true
		return nil
	}
	if t.bare {
		if err := t.write(p); err != nil {
			return err
		}
	}
	if first && last {
		h := xxh3.Hash128(p)
		t.digest = t.digest.Plus(content.Digest{Hi: h.Hi, Lo: h.Lo})
		t.rows, t.most = t.rows+1, max(t.most, int64(len(p)))
		t.divide(len(p), h.Lo)
		return nil
	}
	if first {
		t.large, t.length = xxh3.New(), 0
	}
	t.length += int64(len(p))
	_, _ = t.large.Write(p) // a hash does not fail
	if last {
		h := t.large.Sum128()
		t.digest = t.digest.Plus(content.Digest{Hi: h.Hi, Lo: h.Lo})
		t.rows, t.most = t.rows+1, max(t.most, t.length)
		t.divide(wireBuffer, h.Lo)
	}
	return nil
}

func (t *tally) write(p []byte) error {
	t.bytes += int64(len(p))
	if t.out == nil {
		return nil
	}
	if t.divider != nil {
		_, err := t.out.Write(p)
		return err
	}
	if len(t.batch)+len(p) > cap(t.batch) {
		if err := t.flush(); err != nil {
			return err
		}
		if len(p) >= cap(t.batch) {
			_, err := t.out.Write(p)
			return err
		}
	}
	t.batch = append(t.batch, p...)
	return nil
}

func (t *tally) flush() error {
	if len(t.batch) == 0 {
		return nil
	}
	_, err := t.out.Write(t.batch)
	t.batch = t.batch[:0]
	return err
}

func (t *tally) finish(counted int64) error {
	if t.format == content.BinaryFormat && !t.trailer {
		return errors.New("the server's binary COPY ended without its trailer")
	}
	if counted != t.rows {
		return fmt.Errorf("the server counted %d rows, %d arrived", counted, t.rows)
	}
	if t.out == nil {
		return nil
	}
	return t.flush()
}
