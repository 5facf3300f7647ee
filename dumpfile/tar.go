package dumpfile

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"

	"holdfast/pgdump"
)

// isTar recognises a tar archive of pg_dump -Ft by its first member, the table
// of contents.
func (r *reading) isTar(in *input) bool {
	return bytes.HasPrefix(in.peek(headroom), []byte("toc.dat\x00"))
}

// tar reads what pg_dump -Ft writes: the table of contents, a file for each
// table, and a script for psql with the same content.
func (r *reading) tar(ctx context.Context, in *input) {
	r.dump.Form = pgdump.Tar
	d := r.newDatabase()
	members := tar.NewReader(in)
	var a *archive
	files := map[string]*entry{}
	script := false
	for {
		h, err := members.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.tarEnds(in, err)
			break
		}
		switch e := files[h.Name]; {
		case a == nil:
			if a, err = r.member(ctx, members, d); err != nil {
				r.brokenContents(err)
				return
			}
			for _, e := range a.order {
				files[e.file] = e
			}
		case h.Name == "restore.sql":
			script = true
		case e == nil || e.found:
		default:
			e.found = true
			r.file(ctx, members, d, e)
		}
	}
	if a == nil {
		r.fault(pgdump.Truncated, "it ends before its table of contents")
		return
	}
	for _, e := range a.order {
		if !e.found {
			r.fault(pgdump.Truncated, "the data of %s are missing", e)
		}
	}
	if !script {
		r.fault(pgdump.Truncated, "it ends before its last member, restore.sql")
	}
}

func (r *reading) tarEnds(in *input, err error) {
	switch {
	case in.err != nil && !errors.Is(in.err, io.EOF): // the owner of the stream reports its error
	case errors.Is(err, io.ErrUnexpectedEOF):
		r.fault(pgdump.Truncated, "it ends within a member")
	default:
		r.fault(pgdump.Damaged, "its tar archive is damaged: %v", err)
	}
}

// member reads the table of contents.
func (r *reading) member(ctx context.Context, from io.Reader, d *database) (*archive, error) {
	in := newInput(ctx, from)
	defer in.close()
	a, err := r.archive(in, d)
	if err == nil && a.format != formatTar && a.format != formatDirectory {
		err = errArchive
	}
	return a, err
}

// file reads the data of an entry from its own file.
func (r *reading) file(ctx context.Context, from io.Reader, d *database, e *entry) {
	in := newInput(ctx, from)
	r.data(d, e, in)
	in.close()
	r.dump.Read += in.at()
	if !errors.Is(in.err, io.EOF) {
		r.broken("the data of "+e.String(), in.err)
	}
}
