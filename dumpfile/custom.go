package dumpfile

import (
	"context"
	"errors"
	"io"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"holdfast/pgdump"
)

// The kinds of blocks of a custom archive.
const (
	blockData  = 1
	blockBlobs = 3
)

// custom reads what pg_dump -Fc writes.
func (r *reading) custom(ctx context.Context, in *input) {
	r.dump.Form = pgdump.Custom
	d := r.newDatabase()
	a, err := r.archive(in, d)
	if err != nil {
		r.brokenContents(err)
		return
	}
	switch a.format {
	case formatCustom:
	case formatDirectory:
		r.fault(pgdump.Unclear, "it is the table of contents of a directory dump: give the directory")
		return
	default:
		r.fault(pgdump.Unclear, "it is the table of contents of a tar dump")
		return
	}
	defer a.decompressor.close()
	r.dump.Checksums = r.dump.Checksums || a.compression == "gzip" // zlib's Adler-32
	if err := a.blocks(ctx, r, d); err != nil {
		if errors.Is(err, errArchive) {
			r.fault(pgdump.Damaged, "its blocks of data are damaged at byte %d", in.at())
		} else {
			r.broken("its blocks of data", err)
		}
	}
	for _, e := range a.order {
		if !e.found {
			r.fault(pgdump.Truncated, "the data of %s are missing", e)
		}
	}
}

// blocks reads the blocks of data behind the table of contents.
func (a *archive) blocks(ctx context.Context, r *reading, d *database) error {
	for found := 0; ; found++ {
		if len(a.in.window()) == 0 {
			if !errors.Is(a.in.err, io.EOF) {
				return a.in.err
			}
			return nil
		}
		if found == len(a.order) {
			return a.repeated()
		}
		kind, err := a.byte()
		if err != nil {
			return err
		}
		id, err := a.int()
		if err != nil {
			return err
		}
		e := a.entries[id]
		if e == nil || e.found || kind != blockData && kind != blockBlobs {
			return errArchive
		}
		if kind == blockData {
			err = a.block(ctx, r, d, e)
		} else {
			err = a.blobs(ctx, r, d, e)
		}
		if err != nil {
			return err
		}
		e.found = true
	}
}

// repeated reads the second table of contents, behind the data. pg_dump writes
// it again when it knows the positions of the data: over the first one if the
// output can seek, and at the end if it only appends, as with
// "pg_dump -Fc > file" since Postgres 18.
func (a *archive) repeated() error {
	n, err := a.int()
	if err == nil && n != int64(a.count) {
		return errArchive
	}
	for ; err == nil && n > 0; n-- {
		_, err = a.readEntry()
	}
	if err == nil && len(a.in.window()) > 0 {
		return errArchive
	}
	return err
}

// blobs reads large objects: a number, then its data, until the number is 0.
func (a *archive) blobs(ctx context.Context, r *reading, d *database, e *entry) error {
	for {
		oid, err := a.int()
		if err != nil || oid == 0 {
			return err
		}
		if err := a.block(ctx, r, d, e); err != nil {
			return err
		}
	}
}

// block reads the data of one entry, or of one large object.
func (a *archive) block(ctx context.Context, r *reading, d *database, e *entry) error {
	c := &chunks{of: a}
	plain, err := a.decompressor.begin(a.compression, c)
	if err == nil {
		in := newInput(ctx, plain)
		r.data(d, e, in)
		in.close()
		r.dump.Read += in.at()
		err = in.err
	}
	if c.err != nil && !errors.Is(c.err, io.EOF) {
		return c.err // the archive itself has ended or is invalid
	}
	if err != nil && !errors.Is(err, io.EOF) {
		r.broken("the data of "+e.String(), err)
	}
	return c.rest()
}

// data reads the decompressed data of an entry.
func (r *reading) data(d *database, e *entry, in *input) {
	if e.table != nil {
		r.rows(d, e, in)
		return
	}
	for len(in.window()) > 0 {
		in.pass(len(in.window()))
	}
}

// chunks reads the data of a block: pieces with their lengths before them,
// until the length is 0.
type chunks struct {
	of   *archive
	left int64
	err  error
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.err == nil && c.left == 0 {
		if c.left, c.err = c.of.int(); c.err == nil && c.left == 0 {
			c.err = io.EOF
		} else if c.left < 0 {
			c.err = errArchive
		}
	}
	if c.err != nil {
		return 0, c.err
	}
	w := c.of.in.window()
	if len(w) == 0 {
		c.err = c.of.cut()
		return 0, c.err
	}
	n := copy(p, w[:min(int64(len(w)), c.left)])
	c.of.in.pass(n)
	c.left -= int64(n)
	return n, nil
}

// rest skips what a decompressor has left: only the end.
func (c *chunks) rest() error {
	var b [4096]byte
	for {
		if _, err := c.Read(b[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// decompressor undoes the compression of an archive's data, block by block.
type decompressor struct {
	gzip io.ReadCloser
	zstd *zstd.Decoder
	lz4  *lz4.Reader
}

// begin begins a block. The reader of the previous block becomes invalid.
func (d *decompressor) begin(name string, r io.Reader) (plain io.Reader, err error) {
	switch name {
	case "gzip":
		if d.gzip == nil {
			d.gzip, err = zlib.NewReader(r)
		} else {
			err = d.gzip.(zlib.Resetter).Reset(r, nil)
		}
		return d.gzip, err
	case "zstd":
		if d.zstd == nil {
			d.zstd, err = zstd.NewReader(r, zstd.WithDecoderMaxWindow(mostWindow), zstd.WithDecoderConcurrency(1))
		} else {
			err = d.zstd.Reset(r)
		}
		return d.zstd, err
	case "lz4":
		if d.lz4 == nil {
			d.lz4 = lz4.NewReader(r)
		} else {
			d.lz4.Reset(r)
		}
		return d.lz4, nil
	}
	return r, nil
}

func (d *decompressor) close() {
	if d.zstd != nil {
		d.zstd.Close()
	}
}
