package dumpfile

import (
	"context"
	"errors"
	"io"
	"os"

	"holdfast"
	"holdfast/event"
	"holdfast/pgdump"
)

// Reader reads dumps. The zero value is usable.
type Reader struct {
	Stdin  io.Reader // source of the name "-"; nil: none
	Events event.Listener
}

// Read reads the dump in a file, in a directory of pg_dump -Fd, or, for the name
// "-", from standard input. Faults of the dump are part of the result; an error
// means that the dump could not be read at all.
func (d Reader) Read(ctx context.Context, name string) (pgdump.File, error) {
	if name == "-" {
		if d.Stdin == nil {
			return pgdump.File{}, unreadable(name, errors.New("there is no standard input"))
		}
		return d.newStream(ctx, name, d.Stdin).read(ctx)
	}
	info, err := os.Stat(name)
	if err != nil {
		return pgdump.File{}, unreadable(name, err)
	}
	if info.IsDir() {
		return d.directory(ctx, name)
	}
	f, err := os.Open(name)
	if err != nil {
		return pgdump.File{}, unreadable(name, err)
	}
	defer func() { _ = f.Close() }()
	return d.newStream(ctx, name, f).read(ctx)
}

func unreadable(name string, err error) error {
	return &holdfast.Problem{
		Class: holdfast.Usage,
		What:  "cannot read " + name,
		Err:   err,
		Do:    "Give files that pg_dump or pg_dumpall wrote, directories of pg_dump -Fd, or - for standard input.",
	}
}

// meter counts the bytes read from a file, and keeps an error of the file itself
// apart from the decompressor's.
type meter struct {
	r      io.Reader
	step   event.Bytes
	report event.Listener
	err    error
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.step.Done += int64(n)
	m.report.Report(m.step)
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}

// parse recognises the form of a dump by its first bytes, and reads it.
func (r *reading) parse(ctx context.Context, in *input) {
	switch {
	case string(in.peek(5)) == "PGDMP":
		r.custom(ctx, in)
	case r.isTar(in):
		r.tar(ctx, in)
	default:
		r.plain(ctx, in)
	}
}
