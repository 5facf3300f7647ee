package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast"
)

// finish does what needs the rows of all tables: sequences, CHECKs that were set
// aside, materialized views, and the statistics of what is no table.
func (b *build) finish(ctx context.Context, checks []aside) error {
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if err := b.setSequences(ctx, conn); err != nil {
		return err
	}
	if err := b.putBack(ctx, conn, checks); err != nil {
		return err
	}
	if b.trial != nil {
		return b.refreshEmpty(ctx, conn)
	}
	for _, v := range b.rows.Views {
		if _, err := conn.Exec(ctx,
			"REFRESH MATERIALIZED VIEW "+pgx.Identifier{v.Schema, v.Name}.Sanitize()); err != nil {
			return fmt.Errorf("materialized view %s.%s: %w", v.Schema, v.Name, err)
		}
	}
	return b.analyzeRest(ctx, conn)
}

// setSequences sets every sequence to where it stood.
func (b *build) setSequences(ctx context.Context, conn *pgx.Conn) error {
	var sets []string
	for _, s := range b.rows.Sequences {
		sets = append(sets, fmt.Sprintf("pg_catalog.setval('%s'::pg_catalog.regclass, %d, %t)",
			strings.ReplaceAll(pgx.Identifier{s.Schema, s.Name}.Sanitize(), "'", "''"), s.Last, s.Called))
	}
	for chunk := range slices.Chunk(sets, 100) {
		set := "SELECT " + strings.Join(chunk, ", ")
		_, err := conn.Exec(ctx, set)
		if err := b.tried(err, stop{Obstacle: holdfast.Obstacle{Object: "sequences", Definition: set}}); err != nil {
			return fmt.Errorf("sequences: %w", err)
		}
	}
	return nil
}

// analyze gathers a table's statistics.
func (b *build) analyze(ctx context.Context, conn *pgx.Conn, table string) error {
	if _, err := conn.Exec(ctx, "ANALYZE "+table); err != nil {
		return fmt.Errorf("gather statistics: %w", err)
	}
	return nil
}

// analyzeRest gathers the statistics of what holds rows without being a table of
// the capture: materialized views, and partitioned tables, whose own statistics
// come from their partitions, which Postgres reads again for them.
func (b *build) analyzeRest(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx,
		`SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('m', 'p') AND c.relpersistence <> 't' ORDER BY c.relkind, c.relpages DESC`)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := b.analyze(ctx, conn, name); err != nil {
			return err
		}
	}
	return nil
}

// laterFacts are those that sets did not record from the beginning. What a set
// does not know cannot differ from it.
var laterFacts = map[string]bool{"dars": true, "created_at": true, "no_pruning": true}

// factsDiffer compares the facts of a restored database with the recorded
// ones, and returns the former if they differ, or "".
func factsDiffer(got, want holdfast.Facts) string {
	a, errA := json.Marshal(got)
	b, errB := json.Marshal(want)
	var now, then any
	if err := errors.Join(errA, errB, json.Unmarshal(a, &now), json.Unmarshal(b, &then)); err != nil {
		return err.Error()
	}
	if sameFacts(now, then) {
		return ""
	}
	return string(a)
}

func sameFacts(now, then any) bool {
	switch then := then.(type) {
	case map[string]any:
		now, ok := now.(map[string]any)
		if !ok {
			return false
		}
		for key := range now {
			if _, known := then[key]; !known && !laterFacts[key] {
				return false
			}
		}
		for key, value := range then {
			if found, ok := now[key]; !ok || !sameFacts(found, value) {
				return false
			}
		}
		return true
	case []any:
		now, ok := now.([]any)
		return ok && slices.EqualFunc(now, then, sameFacts)
	}
	return now == then
}
