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

// Roles makes the roles that are not there, so that restored objects belong to
// whom they belonged. None of them may connect.
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
		var there bool
		if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, name).Scan(&there); err != nil {
			return err
		}
		if there {
			continue
		}
		if _, err := conn.Exec(ctx, "CREATE ROLE "+pgx.Identifier{name}.Sanitize()+" NOLOGIN"); err != nil {
			return fmt.Errorf("make role %s: %w", name, err)
		}
	}
	return nil
}

// askLimit is how long one question may take.
const askLimit = 10 * time.Minute

// Ask runs a question in a database, for reading only. It holds when it returns
// no row, or one row with one value that is true.
func (s *Server) Ask(ctx context.Context, database, sql string) (holdfast.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	conn, err := s.Address.On(database).Connect(ctx, libpq.Options{Application: "holdfast drill"})
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
