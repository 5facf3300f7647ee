package postgres

import (
	"context"
	"fmt"
	"io"
)

// Script writes one section of a schema dump, "pre-data" or "post-data", to w
// as SQL for psql, as pg_restore prints it. schema is the file that a Dumper
// calls schema.dump, of a server of that major version. With owners, the
// script also says whom its objects belong to and are granted to. No server is
// asked.
func (t Tools) Script(
	ctx context.Context, major int, schema io.Reader, section string, owners bool, w io.Writer,
) error {
	args := []string{"--section=" + section, "--no-tablespaces", "--file=-"}
	if !owners {
		args = append(args, "--no-owner", "--no-privileges")
	}
	return t.read(ctx, major, schema, w, "the schema's "+section, args...)
}

// list writes pg_restore's list of the entries that come behind the rows.
func (t Tools) list(ctx context.Context, major int, schema string, w io.Writer) error {
	return t.read(ctx, major, nil, w, "the schema's list", "--list", "--section=post-data", schema)
}

// read runs pg_restore on a schema dump, without a server.
func (t Tools) read(ctx context.Context, major int, in io.Reader, out io.Writer, what string, args ...string) error {
	path, err := t.find(ctx, "pg_restore", major)
	if err != nil {
		return err
	}
	complaint := &tail{most: 4 << 10}
	ok, err := t.start(ctx, "", nil, in, out, complaint, append([]string{path}, args...)...)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("pg_restore of %s: %w", what, err)
	case !ok:
		return fmt.Errorf("pg_restore of %s: %s", what, complaint)
	}
	return nil
}
