package dumpfile

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"holdfast"
)

// Reader reads dumps. The zero value does.
type Reader struct {
	Stdin    io.Reader // what the name "-" stands for; nil for nothing
	Progress holdfast.Progress
}

// Read reads the dump in a file, in a directory that pg_dump -Fd has made, or,
// where the name is "-", from standard input. What is wrong with the dump is
// in what it returns; an error means that it could not be read at all.
func (d Reader) Read(ctx context.Context, name string) (holdfast.Dump, error) {
	if name == "-" {
		if d.Stdin == nil {
			return holdfast.Dump{}, unreadable(name, errors.New("there is no standard input"))
		}
		return d.stream(ctx, name, d.Stdin, 0)
	}
	info, err := os.Stat(name)
	if err != nil {
		return holdfast.Dump{}, unreadable(name, err)
	}
	if info.IsDir() {
		return d.directory(ctx, name)
	}
	f, err := os.Open(name)
	if err != nil {
		return holdfast.Dump{}, unreadable(name, err)
	}
	defer func() { _ = f.Close() }()
	return d.stream(ctx, name, f, info.Size())
}

func unreadable(name string, err error) error {
	return &holdfast.Problem{Class: holdfast.Usage, What: "read " + name, Err: err,
		Do: "Give files that pg_dump or pg_dumpall has written, directories of pg_dump -Fd, or - for standard input."}
}

// meter counts what is read of a file, and keeps an error of the file itself
// apart from what a decompressor makes of it.
type meter struct {
	r      io.Reader
	step   holdfast.Step
	report holdfast.Progress
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

// stream reads a dump that is one file.
func (d Reader) stream(ctx context.Context, name string, from io.Reader, size int64) (holdfast.Dump, error) {
	r := newReading(name)
	m := &meter{r: from, step: holdfast.Step{Subject: "inspect " + name, Total: size}, report: d.Progress}
	plain, done, err := r.unwrap(m)
	if err == nil && plain != nil {
		in := newInput(ctx, plain)
		r.look(ctx, in)
		for len(in.window()) > 0 { // to the end, for the sake of checksums
			in.pass(len(in.window()))
		}
		r.dump.Read += in.at()
		err = in.err
		in.close()
	}
	done()
	switch {
	case ctx.Err() != nil:
		return holdfast.Dump{}, ctx.Err()
	case m.err != nil:
		return holdfast.Dump{}, &holdfast.Problem{Class: holdfast.Failed, What: "read " + name, Err: m.err, Why: "The disk, not the dump, did not give what was asked for."}
	case err != nil && err != io.EOF:
		r.broken("its "+r.outermost()+" stream", err)
	}
	return r.result(), nil
}

func (r *reading) outermost() string {
	if len(r.dump.Wrapping) > 0 {
		return r.dump.Wrapping[0]
	}
	return "byte"
}

// The most compressions around each other that are undone.
const mostWrappings = 3

// unwrap undoes the compressions around a dump. It returns nil for a stream
// that cannot be looked at, with the fault noted.
func (r *reading) unwrap(from io.Reader) (plain io.Reader, done func(), err error) {
	var all []func()
	done = func() {
		for _, f := range slices.Backward(all) {
			f()
		}
	}
	for {
		b := bufio.NewReaderSize(from, pieceSize)
		head, err := b.Peek(headroom)
		if err != nil && err != io.EOF {
			return nil, done, err
		}
		w := wrappingOf(head)
		if w == nil {
			if what := foreignOf(head); what != "" {
				r.fault(holdfast.UnclearDump, "%s", what)
				return nil, done, nil
			}
			return b, done, nil
		}
		if len(r.dump.Wrapping) == mostWrappings {
			r.fault(holdfast.UnclearDump, "it is compressed more than %d times over", mostWrappings)
			return nil, done, nil
		}
		r.dump.Wrapping = append(r.dump.Wrapping, w.name)
		r.dump.Checksums = r.dump.Checksums || w.checked
		next, end, err := w.begin(b)
		if err != nil {
			return nil, done, err
		}
		all = append(all, end)
		from = next
	}
}

// look tells by the first bytes how a dump is written, and reads it.
func (r *reading) look(ctx context.Context, in *input) {
	switch {
	case string(in.peek(5)) == "PGDMP":
		r.custom(ctx, in)
	case r.isTar(in):
		r.tar(ctx, in)
	default:
		r.plain(ctx, in)
	}
}
