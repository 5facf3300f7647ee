package dumpfile

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"

	"holdfast"
	"holdfast/event"
	"holdfast/pgdump"
)

// stream is a dump that is one file, or comes through a pipe.
type stream struct {
	name   string
	from   io.Reader
	step   event.Bytes
	events event.Listener

	file     *os.File // the same, if it can be read again
	begin    int64    // the position of the dump in the file
	programs bool     // decompress with a program of this machine
	program  *program // the running one
}

// newStream prepares to read a dump. A source that is not a regular file may
// block without limit, so the wait for it ends with the context.
func (d Reader) newStream(ctx context.Context, name string, from io.Reader) *stream {
	s := &stream{name: name, from: from, step: event.Bytes{Subject: "inspect " + name}, events: d.Events}
	f, _ := from.(*os.File)
	if f != nil {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			s.step.Total = info.Size()
			if at, err := f.Seek(0, io.SeekCurrent); err == nil {
				s.file, s.begin = f, at
				return s
			}
		}
	}
	s.from = newCancellable(ctx, from)
	return s
}

// read reads the dump with a decompressor program of this machine if it is
// faster than ours. If the program fails, it reads the dump again with ours,
// which can tell a broken stream from a broken disk.
func (s *stream) read(ctx context.Context) (pgdump.File, error) {
	if s.programs = s.file != nil; s.programs {
		dump, err := s.once(ctx)
		if s.program == nil || s.program.failed() == nil || ctx.Err() != nil {
			return dump, err
		}
		if _, err := s.file.Seek(s.begin, io.SeekStart); err != nil {
			return pgdump.File{}, diskFailed(s.name, err)
		}
		s.programs, s.program = false, nil
	}
	return s.once(ctx)
}

// once reads the dump from its current position to its end.
func (s *stream) once(ctx context.Context) (pgdump.File, error) {
	r := newReading(s.name)
	m := &meter{r: s.from, step: s.step, report: s.events}
	plain, done, err := s.unwrap(ctx, r, m)
	if err == nil && plain != nil {
		in := newInput(ctx, plain)
		r.parse(ctx, in)
		for len(in.window()) > 0 { // to the end, so that checksums are verified
			in.pass(len(in.window()))
		}
		r.dump.Read += in.at()
		err = in.err
		in.close()
	}
	done()
	switch {
	case ctx.Err() != nil:
		return pgdump.File{}, ctx.Err()
	case m.err != nil:
		return pgdump.File{}, diskFailed(s.name, m.err)
	case err != nil && !errors.Is(err, io.EOF):
		r.broken("its "+r.outermost()+" stream", err)
	}
	return r.result(), nil
}

func diskFailed(name string, err error) error {
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  "cannot read " + name,
		Err:   err,
		Why:   "The disk failed, so the dump is not judged.",
		Do:    "Check its disk or mount (`dmesg`, `df`). Then inspect the dump again, or another copy of it.",
	}
}

func (r *reading) outermost() string {
	if len(r.dump.Wrapping) > 0 {
		return r.dump.Wrapping[0]
	}
	return "byte"
}

// mostWrappings is how many nested compressions are undone.
const mostWrappings = 3

// peekSize is the buffer around decompressed data: large enough to recognise it,
// and small enough that large reads bypass it.
const peekSize = 4 << 10

// unwrap undoes the compressions around a dump. For content that it cannot read
// it records the fault and returns nil.
func (s *stream) unwrap(ctx context.Context, r *reading, from io.Reader) (plain io.Reader, done func(), err error) {
	var all []func()
	done = func() {
		for _, f := range slices.Backward(all) {
			f()
		}
	}
	for size := pieceSize; ; size = peekSize {
		b := bufio.NewReaderSize(from, size)
		head, err := b.Peek(headroom)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, done, err
		}
		w := wrappingOf(head)
		if w == nil {
			if what := foreignOf(head); what != "" {
				r.fault(pgdump.Unclear, "%s", what)
				return nil, done, nil
			}
			return b, done, nil
		}
		if len(r.dump.Wrapping) == mostWrappings {
			r.fault(pgdump.Unclear, "it is compressed more than %d times over", mostWrappings)
			return nil, done, nil
		}
		outermost := len(r.dump.Wrapping) == 0
		r.dump.Wrapping = append(r.dump.Wrapping, w.name)
		r.dump.Checksums = r.dump.Checksums || w.checked
		if outermost && s.startProgram(ctx, w) {
			from, all = s.program, append(all, s.program.close)
			continue
		}
		next, end, err := w.begin(b)
		if err != nil {
			return nil, done, err
		}
		all = append(all, end)
		from = next
	}
}

// startProgram starts a decompressor program of this machine on the file, if
// there is a faster one.
func (s *stream) startProgram(ctx context.Context, w *wrapping) bool {
	if !s.programs || w.program == nil {
		return false
	}
	path, err := exec.LookPath(w.program[0])
	if err != nil {
		return false
	}
	s.program = startProgram(ctx, append([]string{path}, w.program[1:]...), s)
	return true
}
