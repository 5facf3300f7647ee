package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast"
	"holdfast/event"
	"holdfast/stored"
)

// file is a stored file with its uses in all sets.
type file struct {
	object string
	stored int64
	bytes  int64
	format string // of rows; "" for a file that has none
	uses   []use
}

// use is the use of a file in one set.
type use struct {
	set  holdfast.SetID
	part Part
	rows *holdfast.File // nil for a file that has none
}

// distinct lists the files of those sets, each once however many sets share it.
// It omits files that are known to be damaged.
func distinct(holdings []stored.Set) []*file {
	var list []*file
	known := map[string]*file{}
	for _, h := range holdings {
		rows := captured(h.Manifest)
		for _, f := range h.Files {
			if lost(f.Damages) {
				continue
			}
			g, seen := known[f.Object]
			if !seen {
				g = &file{object: f.Object, stored: f.Stored, bytes: f.Bytes}
				known[f.Object] = g
				list = append(list, g)
			}
			u := use{set: h.ID, part: Part{File: f.Name}}
			if r, ok := rows[f.Name]; ok {
				u.part = r.part
				if r.file.Format != "" {
					g.format, u.rows = r.file.Format, &r.file
				}
			}
			g.uses = append(g.uses, u)
		}
	}
	return list
}

// row is a file of a capture, and the part of the set that it is.
type row struct {
	part Part
	file holdfast.File
}

// captured lists the files of a set's captures by name.
func captured(set *holdfast.Set) map[string]row {
	out := map[string]row{}
	if set == nil {
		return out
	}
	for _, c := range set.Captures {
		var name holdfast.ComponentName
		if len(c.Components) == 1 {
			name = c.Components[0].Component
		}
		for _, f := range c.Files() {
			out[f.Name] = row{Part{Component: name, Table: f.Table, File: f.Name}, f}
		}
	}
	return out
}

// reading reads the data that a plan names.
type reading struct {
	Job
	pace
	total int64

	mu        sync.Mutex
	stored    int64
	differing []differing
}

// differing is a readable file that differs from a manifest.
type differing struct {
	use  use
	what string
}

func (r *reading) read(ctx context.Context, p Plan) error {
	switch p.Level {
	case Sample:
		r.Events.Report(SampleBegan{Blobs: len(p.Blobs), Bytes: p.Reads})
		return r.Stock.ReadBlobs(ctx, p.Blobs, r.piece(ctx))
	case Data:
		files := distinct(p.holdings)
		r.Events.Report(ReadingBegan{Files: len(files), Bytes: p.Reads})
		group, lane := errgroup.WithContext(ctx)
		group.SetLimit(max(1, r.lanes()))
		for _, f := range files {
			group.Go(func() error {
				if lane.Err() != nil {
					return lane.Err()
				}
				return r.file(lane, f)
			})
		}
		if err := group.Wait(); err != nil || p.Set != "" {
			return err
		}
		return r.Stock.ReadRest(ctx, r.piece(ctx))
	}
	return ctx.Err()
}

func (r *reading) lanes() int {
	if r.Lanes > 0 {
		return r.Lanes
	}
	return 2
}

func (r *reading) piece(ctx context.Context) func(int64, *stored.Damage) error {
	return func(stored int64, _ *stored.Damage) error { return r.did(ctx, stored) }
}

// did counts the bytes read, and waits if a rate was requested.
func (r *reading) did(ctx context.Context, stored int64) error {
	r.mu.Lock()
	r.stored += stored
	done := r.stored
	r.mu.Unlock()
	r.Events.Report(event.Bytes{Subject: "verify", Done: done, Total: max(done, r.total)})
	return r.wait(ctx, done)
}

// file reads one file to its end. After a failure it reads the file again piece
// by piece, to learn which pieces fail, and whether the storage still answers.
func (r *reading) file(ctx context.Context, f *file) error {
	err := r.compare(ctx, f)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	times := int64(1)
	if err != nil || r.Stock.CorrectsErrors() > 0 {
		times = 3
		found, failed := r.Stock.ReadObject(ctx, f.object)
		if failed != nil {
			return failed
		}
		if err != nil && len(found) == 0 {
			if err = r.compare(ctx, f); err != nil {
				return fmt.Errorf("reading file %s of set %s fails, but reading each of its pieces succeeds: %w",
					f.uses[0].part.File, f.uses[0].set, err)
			}
		}
	}
	if err == nil {
		if err := r.Stock.Done(ctx, f.object); err != nil {
			return err
		}
	}
	return r.did(ctx, f.stored*times)
}

// compare reads a file and compares it with every manifest that names it.
func (r *reading) compare(ctx context.Context, f *file) error {
	in, err := r.Stock.Open(ctx, f.object)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	source := &counted{in: in}
	var rows int64
	var digest string
	var malformed error
	if f.format != "" {
		rows, digest, malformed = r.Digest(source, f.format)
	}
	if source.err == nil {
		_, _ = io.Copy(io.Discard, source)
	}
	if source.err != nil {
		return source.err
	}
	for _, u := range f.uses {
		what := ""
		switch {
		case source.n != f.bytes:
			what = fmt.Sprintf("it has %d bytes, but %d in its directory", source.n, f.bytes)
		case u.rows == nil || source.n != u.rows.Bytes: // level structure reports the latter
		case malformed != nil && u.rows.Rows > 0:
			what = malformed.Error()
		case rows != u.rows.Rows || digest != u.rows.Digest:
			what = fmt.Sprintf("it has %d rows with digest %s, but %d and %s in the manifest", rows, digest,
				u.rows.Rows, u.rows.Digest)
		}
		if what != "" {
			r.mu.Lock()
			r.differing = append(r.differing, differing{u, what})
			r.mu.Unlock()
		}
	}
	return nil
}

// counted counts the bytes read, and records errors of the source, to
// distinguish them from errors of the reader.
type counted struct {
	in  io.Reader
	n   int64
	err error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// pace limits the rate of reading.
type pace struct {
	rate  int64
	began time.Time
	now   func() time.Time
}

// wait returns when the rate allows done bytes since the beginning.
func (p pace) wait(ctx context.Context, done int64) error {
	if p.rate <= 0 {
		return ctx.Err()
	}
	due := p.began.Add(time.Duration(float64(done) / float64(p.rate) * float64(time.Second)))
	if ahead := due.Sub(p.now()); ahead > 0 {
		select {
		case <-time.After(ahead):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}
