package postgres

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"

	"holdfast/content"
)

// Digest reads a stored file of rows to its end, and counts and digests its
// rows as a dump does while it writes them. A file that is not a whole COPY
// stream is an error.
func Digest(in io.Reader, format string) (rows int64, digest string, err error) {
	rows, sum, err := sumRows(in, format)
	return rows, sum.String(), err
}

func sumRows(in io.Reader, format string) (rows int64, digest content.Digest, err error) {
	r := &rowReader{in: bufio.NewReaderSize(in, wireBuffer), hash: xxh3.New()}
	next := r.line
	if format == content.BinaryFormat {
		if err := r.header(); err != nil {
			return 0, digest, err
		}
		next = r.tuple
	}
	for {
		r.hash.Reset()
		switch err := next(); {
		case errors.Is(err, io.EOF):
			return rows, digest, nil
		case err != nil:
			return rows, digest, fmt.Errorf("behind row %d: %w", rows, err)
		}
		h := r.hash.Sum128()
		digest = digest.Plus(content.Digest{Hi: h.Hi, Lo: h.Lo})
		rows++
	}
}

// rowReader reads one row after another into a hash.
type rowReader struct {
	in   *bufio.Reader
	hash *xxh3.Hasher
	word [4]byte
}

// line reads a row of text; the text of a row has no line feed but its last.
func (r *rowReader) line() error {
	begun := false
	for {
		part, err := r.in.ReadSlice('\n')
		_, _ = r.hash.Write(part) // a hash does not fail
		begun = begun || len(part) > 0
		switch {
		case err == nil:
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && begun:
			return io.ErrUnexpectedEOF
		default:
			return err
		}
	}
}

func (r *rowReader) header() error {
	var fixed [len(binarySignature) + 8]byte
	if _, err := io.ReadFull(r.in, fixed[:]); err != nil {
		return torn(err)
	}
	if string(fixed[:len(binarySignature)]) != binarySignature {
		return errors.New("it does not begin with the signature of a binary COPY")
	}
	_, err := io.CopyN(io.Discard, r.in, int64(binary.BigEndian.Uint32(fixed[len(binarySignature)+4:])))
	return torn(err)
}

// tuple reads a row of a binary stream, or its trailer and then the end.
func (r *rowReader) tuple() error {
	if err := r.take(r.word[:2]); err != nil {
		return torn(err)
	}
	fields := int16(binary.BigEndian.Uint16(r.word[:2])) //nolint:gosec // the field is signed
	if fields == -1 {
		if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
			return errors.New("it goes on behind its trailer")
		}
		return io.EOF
	}
	for range fields {
		if err := r.take(r.word[:4]); err != nil {
			return torn(err)
		}
		length := int32(binary.BigEndian.Uint32(r.word[:4])) //nolint:gosec // the length is signed
		if length < 0 {
			continue
		}
		if err := r.field(int(length)); err != nil {
			return torn(err)
		}
	}
	return nil
}

// field takes the bytes of one field as they lie in the buffer.
func (r *rowReader) field(length int) error {
	for length > 0 {
		p, err := r.in.Peek(min(length, wireBuffer))
		if err != nil {
			return err
		}
		_, _ = r.hash.Write(p)
		_, _ = r.in.Discard(len(p))
		length -= len(p)
	}
	return nil
}

func (r *rowReader) take(p []byte) error {
	_, err := io.ReadFull(r.in, p)
	_, _ = r.hash.Write(p)
	return err
}

// torn makes an end in the middle of something an error.
func torn(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
