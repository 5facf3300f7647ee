package sandbox

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/internal/libpq"
)

// Superusers makes roles superusers that have to be, as owners of what only a
// superuser owns.
func (s *Server) Superusers(ctx context.Context, names []string) error {
	conn, err := s.Address.Connect(ctx, libpq.Options{Application: "holdfast drill"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, name := range names {
		if _, err := conn.Exec(ctx, "ALTER ROLE "+pgx.Identifier{name}.Sanitize()+" SUPERUSER"); err != nil {
			return fmt.Errorf("make role %s a superuser: %w", name, err)
		}
	}
	return nil
}

// Roles creates the missing roles, so that restored objects keep their owners.
// None of these roles may connect.
func (s *Server) Roles(ctx context.Context, names []string) error {
	conn, err := s.Address.Connect(ctx, libpq.Options{Application: "holdfast drill"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, name := range names {
		if strings.HasPrefix(name, "pg_") { // Postgres's own
			continue
		}
		const query = `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`
		var exists bool
		if err := conn.QueryRow(ctx, query, name).Scan(&exists); err != nil {
			return err
		}
		if exists {
			continue
		}
		if _, err := conn.Exec(ctx, "CREATE ROLE "+pgx.Identifier{name}.Sanitize()+" NOLOGIN"); err != nil {
			return fmt.Errorf("create role %s: %w", name, err)
		}
	}
	return nil
}

// queryTimeout limits one query.
const queryTimeout = 10 * time.Minute

// Ask runs a query in a database of the server.
func (s *Server) Ask(ctx context.Context, database, sql string) (holdfast.Finding, error) {
	return Ask(ctx, s.Address.On(database), sql)
}

// Ask runs a query in a database, in a read-only transaction. It holds if it
// returns no row, or one row with the single value true.
func Ask(ctx context.Context, at libpq.Address, sql string) (holdfast.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	conn, err := at.Connect(ctx, libpq.Options{Application: "holdfast drill"})
	if err != nil {
		return holdfast.Finding{}, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return holdfast.Finding{}, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	rows, err := tx.Query(ctx, sql)
	if err != nil {
		return holdfast.Finding{}, err
	}
	defer rows.Close()
	var first []any
	n := 0
	for rows.Next() {
		if n++; n == 1 {
			if first, err = rows.Values(); err != nil {
				return holdfast.Finding{}, err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return holdfast.Finding{}, err
	}
	answer, single := any(nil), n == 1 && len(first) == 1
	if single {
		answer = first[0]
	}
	switch truth, isTruth := answer.(bool); {
	case n == 0:
		return holdfast.Finding{Verdict: holdfast.Holds, Evidence: "no row"}, nil
	case single && isTruth && truth:
		return holdfast.Finding{Verdict: holdfast.Holds, Evidence: "true"}, nil
	}
	text := fmt.Sprint(first)
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return holdfast.Finding{Verdict: holdfast.Violated, Evidence: fmt.Sprintf("%d rows, the first: %s", n, text)}, nil
}
