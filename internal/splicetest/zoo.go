package splicetest

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/zoo.sql
	zooSQL string
	//go:embed sql/zoo_types.sql
	zooTypesSQL string
	//go:embed sql/zoo_hard.sql
	zooHardSQL string
)

// Zoo fills an empty database with one of everything that a dump may meet, as
// far as the server has it: schema zoo_types has a table for every type of
// pg_catalog, schema zoo the kinds of tables and what hangs on them, and a
// schema with a quoted name has the names nobody should choose.
func Zoo(ctx context.Context, dsn string) error {
	if err := execute(ctx, dsn, zooTypesSQL); err != nil {
		return fmt.Errorf("zoo of types: %w", err)
	}
	if err := execute(ctx, dsn, zooSQL); err != nil {
		return fmt.Errorf("zoo of tables: %w", err)
	}
	return nil
}

// ZooHard adds what COPY alone cannot carry, in schema zoo_hard: large objects,
// a foreign table and a user mapping.
func ZooHard(ctx context.Context, dsn string) error { return execute(ctx, dsn, zooHardSQL) }

// Fingerprint is what a database holds, in a form to compare with another's: for
// each ordinary table, partition and filled materialized view, by its quoted
// name, the number of rows and a digest of their text that does not depend on
// their order; for each sequence its state.
func Fingerprint(ctx context.Context, dsn string) (map[string]string, error) {
	prints := map[string]string{}
	err := withConn(ctx, dsn, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx,
			"set timezone = 'UTC'; set extra_float_digits = 1; set bytea_output = 'hex'; set search_path = pg_catalog"); err != nil {
			return err
		}
		rows, err := conn.Query(ctx, `select format('%I.%I', n.nspname, c.relname), case
			when c.relkind = 'S' then format('select last_value || '' '' || is_called from %I.%I', n.nspname, c.relname)
			else format('select count(*) || '' '' || coalesce(sum((''x'' || substr(md5(t::text), 1, 15))::bit(60)::bigint), 0) from only %I.%I t', n.nspname, c.relname) end
			from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where (c.relkind in ('r', 'S') or c.relkind = 'm' and c.relispopulated) and c.relpersistence <> 't'
			  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' order by 1`)
		if err != nil {
			return err
		}
		queries := map[string]string{}
		var name, query string
		if _, err := pgx.ForEachRow(rows, []any{&name, &query}, func() error {
			queries[name] = query
			return nil
		}); err != nil {
			return err
		}
		for name, query := range queries {
			var state string
			if err := conn.QueryRow(ctx, query).Scan(&state); err != nil {
				return fmt.Errorf("fingerprint of %s: %w", name, err)
			}
			prints[name] = state
		}
		return nil
	})
	return prints, err
}
