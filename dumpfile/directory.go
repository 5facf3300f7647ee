package dumpfile

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"holdfast/event"
	"holdfast/pgdump"
)

// directory reads what pg_dump -Fd writes: toc.dat, and a file for each table.
func (d Reader) directory(ctx context.Context, name string) (pgdump.File, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return pgdump.File{}, unreadable(name, err)
	}
	defer func() { _ = root.Close() }()
	toc, err := root.Open("toc.dat")
	if errors.Is(err, fs.ErrNotExist) {
		r := newReading(name)
		r.dump.Form = pgdump.Directory
		r.fault(pgdump.Unclear, "it is a directory without toc.dat: it is not a dump of pg_dump -Fd, or an unfinished one")
		return r.result(), nil
	}
	if err != nil {
		return pgdump.File{}, unreadable(name, err)
	}
	defer func() { _ = toc.Close() }()
	r := newReading(name)
	r.dump.Form = pgdump.Directory
	db := r.newDatabase()
	a, err := r.member(ctx, toc, db)
	if err != nil {
		r.brokenContents(err)
		return r.result(), ctx.Err()
	}
	r.dump.Checksums = a.compression == "gzip"
	f := files{Reader: d, root: root, r: r, db: db}
	for _, e := range a.order {
		if err := f.read(ctx, e); err != nil {
			return pgdump.File{}, err
		}
	}
	return r.result(), nil
}

// files are those of a directory dump.
type files struct {
	Reader
	root *os.Root
	r    *reading
	db   *database
}

// read reads the file of an entry. Large objects have a list of files.
func (f files) read(ctx context.Context, e *entry) error {
	if !strings.HasPrefix(e.what, "BLOBS") {
		return f.one(ctx, e, e.file)
	}
	list, err := f.root.Open(e.file)
	if err != nil {
		f.r.fault(pgdump.Truncated, "%s, the list of the large objects, is missing", e.file)
		return nil
	}
	defer func() { _ = list.Close() }()
	for lines := bufio.NewScanner(list); lines.Scan(); {
		_, name, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			f.r.fault(pgdump.Damaged, "%s, the list of the large objects, is damaged", e.file)
			return nil
		}
		if err := f.one(ctx, e, name); err != nil {
			return err
		}
	}
	return nil
}

// one reads a file of data, under its name or with the suffix of a compression.
func (f files) one(ctx context.Context, e *entry, name string) error {
	var file *os.File
	err := fs.ErrNotExist
	for _, suffix := range []string{"", ".gz", ".lz4", ".zst"} {
		if name != filepath.Base(name) {
			break
		}
		if file, err = f.root.Open(name + suffix); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		f.r.fault(pgdump.Truncated, "%s, the data of %s, is missing", name, e)
		return nil
	}
	if err != nil {
		return unreadable(filepath.Join(f.root.Name(), name), err)
	}
	defer func() { _ = file.Close() }()
	m := &meter{r: file, step: event.Bytes{Subject: "inspect " + f.r.dump.Name}, report: f.Events}
	plain, done, err := f.unwrap(m)
	if err == nil {
		f.r.file(ctx, plain, f.db, e)
	}
	done()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case m.err != nil:
		return diskFailed(filepath.Join(f.root.Name(), file.Name()), m.err)
	case err != nil:
		f.r.broken("the data of "+e.String(), err)
	}
	return nil
}

// unwrap undoes the compression of one file.
func (f files) unwrap(from io.Reader) (io.Reader, func(), error) {
	b := bufio.NewReaderSize(from, pieceSize)
	head, err := b.Peek(headroom)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, func() {}, err
	}
	w := wrappingOf(head)
	if w == nil {
		return b, func() {}, nil
	}
	plain, done, err := w.begin(b)
	if err != nil {
		return nil, func() {}, err
	}
	return plain, done, nil
}
