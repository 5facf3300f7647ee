package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// lent are the functions that a restored database brings with it and that
// Postgres would run as whoever writes the rows, which is our role, perhaps a
// superuser: those of checks, of domains, of generated columns, of bounds of
// partitions, and of casts that a foreign key needs. Any function may stand
// behind one of these, through an operator or a cast, so all are taken. Those of
// indexes and materialized views Postgres itself runs as their owner.
const lent = `SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	WHERE p.oid >= 16384 AND p.prokind = 'f' AND NOT p.prosecdef AND l.lanname NOT IN ('internal', 'c')
	AND p.proowner <> current_user::regrole AND pg_has_role(p.proowner, 'MEMBER')
	AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
	AND NOT EXISTS (SELECT FROM pg_depend d
		WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')`

// lend has the database's functions run as their owners until they are given
// back: within such a function no other role can be taken on, unlike after SET
// ROLE. It returns their names.
func (b *build) lend(ctx context.Context) ([]string, error) {
	if !b.fit.KeepOwners {
		return nil, nil // all is ours: they would run as our role either way
	}
	conn, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	rows, err := conn.Query(ctx, lent)
	if err != nil {
		return nil, err
	}
	functions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	return functions, alter(ctx, conn, functions, "SECURITY DEFINER")
}

// giveBack has them run again as whoever calls them.
func (b *build) giveBack(ctx context.Context, functions []string) error {
	if len(functions) == 0 {
		return nil
	}
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	return alter(ctx, conn, functions, "SECURITY INVOKER")
}

func alter(ctx context.Context, conn *pgx.Conn, functions []string, how string) error {
	if len(functions) == 0 {
		return nil
	}
	var statements []string
	for _, f := range functions {
		statements = append(statements, "ALTER FUNCTION "+f+" "+how)
	}
	if err := execute(ctx, conn, strings.Join(statements, "; ")); err != nil {
		return fmt.Errorf("functions of the database: %w", err)
	}
	return nil
}
