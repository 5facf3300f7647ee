package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast"
)

// obstacles finds what a dump by COPY cannot carry, before anything is read.
// What makes the dump wrong is a Problem that names every object; what may be
// left out without loss is returned, to be recorded.
func obstacles(ctx context.Context, q querier, s holdfast.Server, where string) ([]holdfast.LeftOut, error) {
	refuse := func(names []string, what, why, do string) error {
		if len(names) == 0 {
			return nil
		}
		return &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("%s: %s: %s", where, what, list(names)),
			Why:   why,
			Do:    do,
		}
	}
	names := func(sql string) ([]string, error) {
		rows, err := q.Query(ctx, sql)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowTo[string])
	}
	var role string
	var inherits bool // what it was granted through pg_read_all_data, if it is a member
	err := q.QueryRow(ctx,
		`SELECT current_user, NOT pg_has_role('pg_read_all_data', 'MEMBER') OR pg_has_role('pg_read_all_data', 'USAGE')`).
		Scan(&role, &inherits)
	if err != nil {
		return nil, err
	}
	for _, o := range []struct{ sql, what, why, do string }{
		{`SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND ` + ours + `
			AND (NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
				OR EXISTS (SELECT FROM pg_extension e WHERE c.oid = ANY (e.extconfig)) OR c.oid IN (SELECT oid FROM ` + configuring + ` k))
			AND NOT (has_schema_privilege(n.oid, 'USAGE') AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END)
			ORDER BY 1`,
			"the user " + role + " may not read", "A set without them would not restore the node.",
			toRead(role, inherits, s.Major())},
		{`SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind = 'r' AND c.relrowsecurity AND ` + ours + ` AND row_security_active(c.oid) ORDER BY 1`,
			"row security hides rows from the user " + role + " in",
			"The hidden rows would be missing from the set without a trace.",
			fmt.Sprintf("As a superuser: ALTER ROLE %s BYPASSRLS;", pgx.Identifier{role}.Sanitize())},
		{`SELECT DISTINCT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
			WHERE c.relkind IN ('r', 'p', 'S', 'm') AND ` + ours + ` AND current_setting('server_encoding') <> 'UTF8'
			AND concat(n.nspname, c.relname, a.attname) ~ '[^\x01-\x7f]' ORDER BY 1`,
			"its encoding is not UTF8, and there are names beyond ASCII in",
			"The sessions that read rows speak the database's encoding, in which such names would not be found.",
			"Rename them, or leave this database to pg_dump; the databases of Canton and Splice are UTF8."},
		{`SELECT oid::text FROM pg_largeobject_metadata ORDER BY oid LIMIT 1000`,
			"it has large objects", "COPY does not carry large objects, so they would be missing.",
			"Move them into bytea columns, or leave this database to pg_dump; Canton and Splice have none."},
	} {
		found, err := names(o.sql)
		if err != nil {
			return nil, err
		}
		if err := refuse(found, o.what, o.why, o.do); err != nil {
			return nil, err
		}
	}
	if s.Standby {
		unlogged, err := names(`SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'S') AND c.relpersistence = 'u' AND ` + ours + ` ORDER BY 1`)
		if err != nil {
			return nil, err
		}
		if err := refuse(unlogged, "it is a standby, which does not have what is unlogged",
			"They would be missing from the set.",
			"Point the connection at the primary."); err != nil {
			return nil, err
		}
	}
	return leftOut(names)
}

// toRead is what lets a role read everything. One that is a member of
// pg_read_all_data already and does not inherit gains nothing by another GRANT.
func toRead(role string, inherits bool, major int) string {
	name := pgx.Identifier{role}.Sanitize()
	switch {
	case inherits:
		return fmt.Sprintf("As a superuser: GRANT pg_read_all_data TO %s; (docs/operate.md has the narrower grants).",
			name)
	case major >= 16: // a GRANT says whether it is inherited
		return fmt.Sprintf("The role has pg_read_all_data and does not inherit it. As a superuser: GRANT "+
			"pg_read_all_data TO %s WITH INHERIT TRUE;", name)
	}
	return fmt.Sprintf("The role has pg_read_all_data and does not inherit it. As a superuser: ALTER ROLE "+
		"%s INHERIT;", name)
}

// leftOut names what is not in a dump and need not be.
func leftOut(names func(string) ([]string, error)) ([]holdfast.LeftOut, error) {
	var out []holdfast.LeftOut
	for _, o := range []struct{ sql, reason string }{
		{`SELECT 'foreign table ' || format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind = 'f' AND ` + ours + ` ORDER BY 1`,
			"its definition is kept; its rows are on another server"},
		{`SELECT 'subscription ' || quote_ident(s.subname) FROM (SELECT subname, subdbid FROM pg_subscription) s
			JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database() ORDER BY 1`,
			"a restored copy that subscribed would take changes away from the original"},
		{`SELECT 'tablespace of ' || format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.reltablespace <> 0 AND c.relkind IN ('r', 'i', 'm') AND ` + ours + ` ORDER BY 1`,
			"a restore puts everything into the default tablespace"},
		{`SELECT 'prepared transaction ' || quote_literal(gid) FROM pg_prepared_xacts
			WHERE database = current_database() ORDER BY prepared`,
			"it is neither committed nor rolled back, so nobody sees its changes yet"},
		{`SELECT 'replication slot ' || quote_ident(slot_name) FROM pg_replication_slots
			WHERE database = current_database() AND NOT temporary ORDER BY slot_name`,
			"it stays with the live database; whoever reads it needs a new one after a restore"},
	} {
		found, err := names(o.sql)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			out = append(out, holdfast.LeftOut{Name: name, Reason: o.reason})
		}
	}
	return out, nil
}

// list joins names, the first few of many.
func list(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
