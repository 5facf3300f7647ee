package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"

	"holdfast"
	"holdfast/content"
)

// inStrips says whether the table's rows are stored in strips. A small table is
// read as fast as it is asked about. The text form of a value may change without
// a change of the row, by an upgrade of an extension.
func (r relation) inStrips() bool {
	const least = 64 << 10
	return r.ranged && r.counted && r.extension == "" && r.condition == "" && r.format == content.BinaryFormat &&
		len(r.columns) > 0 && r.bytes >= least
}

// strips cuts a unit. As with units, boundaries are fixed multiples and the last
// strip of a table is open at its end.
func (u unit) strips(blocks, length int64) []strip {
	end := u.to
	if end == 0 {
		end = max(blocks, u.from+1)
	}
	var out []strip
	for from := u.from; from < end; from += length {
		out = append(out, strip{From: from, To: from + length})
	}
	out[len(out)-1].To = u.to
	return out
}

// What a binary stream begins and ends with: a signature, flags and the length of
// an extension, both zero, and the number of columns of a row that is none.
var (
	binaryHead = append([]byte(binarySignature), make([]byte, 8)...)
	binaryTail = binary.BigEndian.AppendUint16(nil, 0xffff)
)

// composition writes one file strip by strip.
type composition struct {
	r     *run
	l     *lease
	table relation
	old   *earlier // nil: everything is read
	w     holdfast.Splicer
	at    int64 // bytes so far
	done  []strip
	most  int64
	taken holdfast.TakenOver
}

// compose writes the file of a unit: its bytes are those of one COPY of all
// strips, whether they were read or taken over.
func (c *composition) compose(ctx context.Context, name string, strips []strip) error {
	answers := make([]answer, len(strips))
	if c.old != nil {
		var err error
		if answers, err = c.old.ask(ctx, c.l, c.table, strips); err != nil {
			return err
		}
	}
	if err := c.write(binaryHead); err != nil {
		return err
	}
	for i, s := range strips {
		s.File, s.Offset = name, c.at
		took, err, before := false, error(nil), c.taken.Bytes
		if was, ok := c.old.of(c.table, s); ok && answers[i].unchanged(was) {
			took, err = c.take(ctx, &s, was)
			if answers[i].spared {
				c.taken.Unwritten += c.taken.Bytes - before
			}
		}
		if err == nil && !took {
			err = c.read(ctx, &s)
		}
		if err != nil {
			return err
		}
		c.at += s.Bytes
		c.most = max(c.most, s.Most)
		c.done = append(c.done, s)
	}
	return c.write(binaryTail)
}

func (c *composition) write(p []byte) error {
	_, err := c.w.Write(p)
	c.w.Divide()
	c.at += int64(len(p))
	return err
}

// read reads a strip from the database.
func (c *composition) read(ctx context.Context, s *strip) error {
	got, err := c.l.readRows(ctx, copySQL(c.table.ident(), c.table.columnNames(), s.where(), content.BinaryFormat), c.w)
	if err != nil {
		return err
	}
	c.w.Divide()
	s.Rows, s.Bytes, s.Digest, s.Most = got.rows, got.bytes, got.digest, got.most
	s.Read = c.r.clock().Wall
	return nil
}

// take takes a strip over that nothing has changed in. One that is due, or chosen
// by chance, is read as well, and has to be what it was.
func (c *composition) take(ctx context.Context, s *strip, was strip) (bool, error) {
	if c.old.again(c.table, *s) || rand.Float64() < c.r.Options.Audit { //nolint:gosec // not a secret
		if err := c.read(ctx, s); err != nil {
			return false, err
		}
		c.taken.Audited += s.Bytes
		if s.Rows != was.Rows || s.Digest != was.Digest {
			return false, &disproof{holdfast.Disproof{
				Table:  c.table.ident(),
				From:   s.From,
				ReadAt: was.Read,
				Was:    was.sum(),
				Is:     s.sum(),
			}}
		}
		return true, nil
	}
	took, err := c.w.Take(ctx, was.File, was.Offset, was.Bytes)
	if !took || err != nil {
		return false, err
	}
	s.Rows, s.Bytes, s.Digest, s.Most, s.Read = was.Rows, was.Bytes, was.Digest, was.Most, was.Read
	c.taken.Bytes, c.taken.Rows = c.taken.Bytes+s.Bytes, c.taken.Rows+s.Rows
	return true, nil
}

// disproof ends an attempt: the rule said of a strip that it had not changed, and
// it had. Nothing is taken over then.
type disproof struct{ holdfast.Disproof }

func (d *disproof) Error() string {
	return fmt.Sprintf("table %s, from block %d: nothing says that it changed since %s, and it is not what it was: %s, was %s",
		d.Table, d.From, d.ReadAt.Format("2006-01-02 15:04:05"), d.Is, d.Was)
}

// plain is a writer of a file that takes nothing over.
type plain struct {
	io.Writer
	divider divider // nil: the file is not divided
}

func newPlain(w io.Writer) plain {
	p := plain{Writer: w}
	if k, ok := w.(*keeper); ok {
		p.divider, _ = k.Writer.(divider)
	}
	return p
}

// Divide ends a piece.
func (p plain) Divide() {
	if p.divider != nil {
		p.divider.Divide()
	}
}

// Take has nothing to take from.
func (plain) Take(context.Context, string, int64, int64) (bool, error) { return false, nil }

// kept is a splicer whose writing errors are remembered.
type kept struct {
	holdfast.Splicer
	keeper *keeper
}

// Write writes.
func (k kept) Write(p []byte) (int, error) { return k.keeper.Write(p) }
