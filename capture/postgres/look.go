package postgres

import (
	"context"

	"holdfast"
	"holdfast/canton"
	"holdfast/internal/libpq"
)

// Look tells what the database holds and what a dump of it would read, and
// refuses what cannot be dumped. It reads catalogues only and locks nothing.
func (d Dumper) Look(ctx context.Context, c holdfast.Component) (holdfast.Outlook, error) {
	conn, err := d.Target.Connect(ctx, libpq.Options{})
	if err != nil {
		return holdfast.Outlook{}, err
	}
	defer closeConn(conn)
	fail := func(err error) (holdfast.Outlook, error) { return holdfast.Outlook{}, explain(d.Target.Where(), err) }
	s, err := server(ctx, conn)
	if err != nil {
		return fail(err)
	}
	if err := execute(ctx, conn, "SET lock_timeout = '5s'"); err != nil {
		return fail(err)
	}
	left, err := obstacles(ctx, conn, s, d.Target.Where())
	if err != nil {
		return fail(err)
	}
	found, err := canton.Recognise(ctx, conn)
	if err != nil {
		return fail(err)
	}
	if err := found.Refuse(c, d.Target.Where()); err != nil {
		return fail(err)
	}
	if _, err := d.Tools.find(ctx, "pg_dump", s.Major()); err != nil {
		return fail(err)
	}
	out := holdfast.Outlook{Component: c.Name, Found: found.What, Participant: found.ID, Database: d.Target.Where(), Postgres: s.Version, LeftOut: left}
	if err := conn.QueryRow(ctx, `SELECT pg_database_size(current_database())`).Scan(&out.Bytes); err != nil {
		return fail(err)
	}
	list, err := tables(ctx, conn)
	if err != nil {
		return fail(err)
	}
	for _, t := range list {
		out.Tables = append(out.Tables, holdfast.TableSize{Name: t.ident(), Bytes: t.bytes, Format: t.format})
	}
	return out, nil
}
