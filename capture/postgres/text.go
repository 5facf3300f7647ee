package postgres

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"holdfast/content"
)

// TextRows reads the stream of a binary COPY of table t, as a segment holds it,
// and writes the same rows as lines of a text COPY. It needs no server: it
// knows the types that formatOf lets into a binary dump, arrays of them, and
// enums, whose values are their labels; of a domain, t.Types holds the type it
// rests on. The lines are what a server prints under the settings of reading,
// byte for byte, so that another server reads the identical values back.
//
// Rows are converted as they come. Only an array, or another value that is not
// a run of bytes or characters, is held in memory whole.
//
// One value has no text that every server understands: a "char" above 127 is
// written as a backslash and three octal digits, which servers before version
// 15 read as a lone backslash.
func TextRows(dst io.Writer, src io.Reader, t content.Table) (rows int64, err error) {
	c := &textCopy{in: bufio.NewReaderSize(src, textBuffer), dst: dst, table: t}
	if err := c.resolve(); err != nil {
		return 0, err
	}
	if err := c.header(); err != nil {
		return 0, c.fail(err)
	}
	for {
		more, err := c.row()
		if err != nil {
			return c.rows, c.fail(err)
		}
		if !more {
			return c.rows, c.flush()
		}
	}
}

// textBuffer is the size of the buffers, and of the pieces that a large value
// is converted in.
const textBuffer = 256 << 10

// textCopy converts one stream.
type textCopy struct {
	in       *bufio.Reader
	dst      io.Writer
	out      []byte
	table    content.Table
	printers []printer
	rows     int64
	column   int    // index of the one being read; -1 outside of a value
	whole    []byte // a value that does not fit into the buffer
	scratch  []byte // an array's text
}

// resolve finds the printer of every column.
func (c *textCopy) resolve() error {
	if len(c.table.Types) != len(c.table.Columns) {
		return fmt.Errorf("table %s: %d columns, but %d types", c.name(), len(c.table.Columns), len(c.table.Types))
	}
	for i, name := range c.table.Types {
		p, err := printerOf(name)
		if err != nil {
			return fmt.Errorf("table %s, column %q: %w", c.name(), c.table.Columns[i], err)
		}
		c.printers = append(c.printers, p)
	}
	c.column = -1
	return nil
}

func (c *textCopy) name() string { return fmt.Sprintf("%q.%q", c.table.Schema, c.table.Name) }

// fail says where in the table the conversion stood.
func (c *textCopy) fail(err error) error {
	if errors.Is(err, io.EOF) {
		err = errors.New("the stream ends before its trailer")
	}
	if c.column >= 0 {
		return fmt.Errorf("table %s, row %d, column %q of type %s: %w", c.name(), c.rows+1, c.table.Columns[c.column],
			c.table.Types[c.column], err)
	}
	return fmt.Errorf("table %s, row %d: %w", c.name(), c.rows+1, err)
}

func (c *textCopy) header() error {
	var head [len(binarySignature) + 8]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return noEOF(err, "the stream ends within its header")
	}
	if string(head[:len(binarySignature)]) != binarySignature {
		return errors.New("the stream does not begin as a binary COPY does")
	}
	if flags := binary.BigEndian.Uint32(head[len(binarySignature):]); flags>>16 != 0 {
		return fmt.Errorf("the stream's header has flags %#x, which are not known", flags)
	}
	extension := binary.BigEndian.Uint32(head[len(binarySignature)+4:])
	if _, err := io.CopyN(io.Discard, c.in, int64(extension)); err != nil {
		return noEOF(err, "the stream ends within its header")
	}
	return nil
}

func noEOF(err error, text string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New(text)
	}
	return err
}

// row converts one row; more is false when the trailer was there instead, and
// nothing behind it.
func (c *textCopy) row() (more bool, err error) {
	c.column = -1
	head, err := c.take(2)
	if err != nil {
		return false, err
	}
	switch n := int16(binary.BigEndian.Uint16(head)); { //nolint:gosec // the field is signed
	case n == -1:
		if _, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
			if err == nil {
				err = errors.New("the stream goes on behind its trailer")
			}
			return false, err
		}
		return false, nil
	case int(n) != len(c.printers):
		return false, fmt.Errorf("the row has %d columns instead of %d", n, len(c.printers))
	}
	for i := range c.printers {
		c.column = i
		if i > 0 {
			c.out = append(c.out, '\t')
		}
		if err := c.field(&c.printers[i]); err != nil {
			return false, err
		}
	}
	c.column = -1
	c.out = append(c.out, '\n')
	c.rows++
	return true, c.spill()
}

// take returns the next n bytes, at most textBuffer; they are valid until the
// next reading.
func (c *textCopy) take(n int) ([]byte, error) {
	p, err := c.in.Peek(n)
	if err != nil {
		return nil, err
	}
	_, _ = c.in.Discard(n) // they are buffered
	return p, nil
}

func (c *textCopy) spill() error {
	if len(c.out) < textBuffer {
		return nil
	}
	return c.flush()
}

func (c *textCopy) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.dst.Write(c.out)
	c.out = c.out[:0]
	return err
}

// largestValue is the most that a server can hold in one value.
const largestValue = 1<<30 - 1

// field converts one value.
func (c *textCopy) field(p *printer) error {
	head, err := c.take(4)
	if err != nil {
		return err
	}
	n := int(int32(binary.BigEndian.Uint32(head))) //nolint:gosec // the field is signed
	switch {
	case n == -1:
		c.out = append(c.out, '\\', 'N')
		return nil
	case n < 0 || n > largestValue:
		return fmt.Errorf("a value of %d bytes", n)
	case p.piece != nil:
		return c.pieces(p, n)
	}
	value, err := c.value(n)
	if err != nil {
		return err
	}
	if p.element == nil {
		c.out, err = p.write(c.out, value)
		return err
	}
	if c.scratch, err = printArray(c.scratch[:0], value, p.element); err != nil {
		return err
	}
	c.out, err = escapeText(c.out, c.scratch)
	if cap(c.scratch) > 16*textBuffer {
		c.scratch = nil
	}
	return err
}

// value reads a value whole. Memory grows with what really comes, not with
// what a length claims.
func (c *textCopy) value(n int) ([]byte, error) {
	if n <= textBuffer {
		return c.take(n)
	}
	if cap(c.whole) > 16*textBuffer {
		c.whole = nil
	}
	into := bytes.NewBuffer(c.whole[:0])
	_, err := io.CopyN(into, c.in, int64(n))
	c.whole = into.Bytes()
	return c.whole, err
}

// pieces converts a value that can be taken a part at a time.
func (c *textCopy) pieces(p *printer, n int) error {
	if p.version != 0 {
		if n == 0 {
			return errors.New("a value without its version")
		}
		v, err := c.take(1)
		if err != nil {
			return err
		}
		if v[0] != p.version {
			return fmt.Errorf("a value of version %d, known is %d", v[0], p.version)
		}
		n--
	}
	if p.most > 0 && n > p.most {
		return fmt.Errorf("a value of %d bytes where at most %d are possible", n, p.most)
	}
	c.out = append(c.out, p.lead...)
	for {
		part, err := c.take(min(n, textBuffer))
		if err != nil {
			return err
		}
		if c.out, err = p.piece(c.out, part); err != nil {
			return err
		}
		if n -= len(part); n == 0 {
			return nil
		}
		if err := c.spill(); err != nil {
			return err
		}
	}
}
