package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast/grace"
	"holdfast/target"
)

// Admit lets this restore into a new database and keeps others out, who would
// hold it when it is to be renamed: monitoring finds new databases by itself. A
// limit of no connections is passed by superusers alone; without that right,
// only the owner keeps the right to connect.
func (l Loader) Admit(ctx context.Context, name string) error {
	ident := pgx.Identifier{name}.Sanitize()
	return l.say(ctx, "open database "+name,
		"REVOKE CONNECT, TEMPORARY ON DATABASE "+ident+" FROM PUBLIC",
		"ALTER DATABASE "+ident+" ALLOW_CONNECTIONS true")
}

// say runs statements in another database; those about rights only where the
// limit of connections does not do.
func (l Loader) say(ctx context.Context, what string, statements ...string) error {
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	for _, sql := range statements {
		if isSuperuser(conn) && !strings.HasPrefix(sql, "ALTER") {
			continue
		}
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// Bind makes the extensions that are bound to the name of an empty database,
// which has this name for the moment, and closes it again. pg_restore passes over
// an extension that is there.
func (l Loader) Bind(ctx context.Context, name string, list []target.Bound) error {
	err := errors.Join(l.Admit(ctx, name), l.extend(ctx, name, list))
	late, done := grace.Period(ctx, grace.Cleanup)
	defer done()
	return errors.Join(err, l.say(late, "close database "+name,
		"ALTER DATABASE "+pgx.Identifier{name}.Sanitize()+" ALLOW_CONNECTIONS false"))
}

func (l Loader) extend(ctx context.Context, name string, list []target.Bound) error {
	within := l
	within.Address = l.Address.On(name)
	conn, err := within.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	for _, b := range list {
		schema := "public"
		if strings.HasPrefix(b.Schema, "pg_") { // others are made later, by pg_restore
			schema = b.Schema
		}
		sql := fmt.Sprintf("CREATE EXTENSION %s SCHEMA %s", pgx.Identifier{b.Extension}.Sanitize(), schema)
		if err := execute(ctx, conn, sql); err != nil {
			return fmt.Errorf("extension %s: %w", b.Extension, err)
		}
	}
	return nil
}
