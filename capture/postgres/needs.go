package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"holdfast"
)

// readNeeds reads what a server must have for the database to come back whole.
func readNeeds(ctx context.Context, q querier, major int) (*holdfast.Needs, error) {
	n := &holdfast.Needs{}
	var err error
	if n.Extensions, err = extensions(ctx, q); err != nil {
		return nil, err
	}
	if n.Locales, err = locales(ctx, q, major); err != nil {
		return nil, err
	}
	if n.Privileged, err = privileged(ctx, q, major); err != nil {
		return nil, err
	}
	others, err := values[string](ctx, q, `SELECT rolname::text FROM (`+
		ownersSQL("pg_event_trigger", "pg_publication", "pg_foreign_data_wrapper")+`) u JOIN pg_roles r ON r.oid = u.role`)
	if err != nil {
		return nil, err
	}
	for i, o := range n.Privileged {
		n.Privileged[i].Sole = o.SuperOwner && !slices.Contains(others, o.Owner)
	}
	own, inherited, err := checksAside(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, a := range append(own, inherited...) {
		n.Checks = append(n.Checks, a.String())
	}
	if n.Settings, err = values[string](ctx, q, `SELECT DISTINCT split_part(unnest(s.setconfig), '=', 1) FROM pg_db_role_setting s
		JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database() ORDER BY 1`); err != nil {
		return nil, err
	}
	if n.Tablespaces, err = values[string](ctx, q, `SELECT DISTINCT spcname::text FROM pg_tablespace t WHERE spcname !~ '^pg_'
		AND (EXISTS (SELECT FROM pg_class WHERE reltablespace = t.oid)
			OR EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND dattablespace = t.oid)) ORDER BY 1`); err != nil {
		return nil, err
	}
	if n.Limits, err = limits(ctx, q); err != nil {
		return nil, err
	}
	err = q.QueryRow(ctx, `SELECT coalesce(max(pg_total_relation_size(c.oid)), 0) FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND `+ours).Scan(&n.Largest)
	return n, err
}

// values are what a query of one column answers.
func values[T any](ctx context.Context, q querier, sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

// limits reads what the server was compiled with.
func limits(ctx context.Context, q querier) (l holdfast.Limits, err error) {
	err = q.QueryRow(ctx, `SELECT current_setting('block_size')::int, current_setting('max_index_keys')::int,
		current_setting('max_function_args')::int, current_setting('max_identifier_length')::int`).
		Scan(&l.Block, &l.IndexKeys, &l.Arguments, &l.Identifier)
	return l, err
}

// preloaded selects the libraries that the server loaded at its start, by their
// file names; none where the role may not see them.
const preloaded = `(SELECT regexp_replace(trim(both ' "' from unnest(string_to_array(setting, ','))), '^.*/', '') AS library
	FROM pg_settings WHERE name = 'shared_preload_libraries')`

// extensions reads the extensions but the one that every database has.
func extensions(ctx context.Context, q querier) ([]holdfast.Extension, error) {
	rows, err := q.Query(ctx, `SELECT e.extname::text, e.extversion, n.nspname::text,
		EXISTS (SELECT FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass
			JOIN `+preloaded+` l ON l.library = regexp_replace(regexp_replace(p.probin, '^.*/', ''), '\.(so|dylib|dll)$', '')
			WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'),
		ARRAY(SELECT format('%I.%I', cn.nspname, c.relname) FROM pg_class c JOIN pg_namespace cn ON cn.oid = c.relnamespace
			WHERE c.oid = ANY (e.extconfig)
				OR c.oid IN (SELECT k.oid FROM `+configuring+` k WHERE k.extension = e.extname) ORDER BY 1)
		FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql' ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[holdfast.Extension])
}

// collationColumns are where the catalogue has a collation's locale, by major.
func collationColumns(major int) string {
	icu := `''`
	switch {
	case major >= 17:
		icu = `colllocale`
	case major >= 15:
		icu = `colliculocale`
	}
	return `CASE collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END,
		coalesce(nullif(` + icu + `, ''), collcollate, ''), coalesce(collctype, '')`
}

// locales reads the collations in use: the database's own, those that somebody
// made, and those that every server is thought to have but that columns name.
func locales(ctx context.Context, q querier, major int) ([]holdfast.Locale, error) {
	// "C" and "POSIX" are everywhere, and have no version.
	rows, err := q.Query(ctx, `SELECT format('%I.%I', n.nspname, c.collname), n.nspname !~ '^pg_', `+collationColumns(major)+`,
			coalesce(pg_collation_actual_version(c.oid), '')
		FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
		WHERE c.collname NOT IN ('default', 'C', 'POSIX', 'ucs_basic') AND (
			n.nspname !~ '^pg_' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_collation'::regclass AND d.objid = c.oid AND d.deptype = 'e')
			OR c.oid IN (
				SELECT a.attcollation FROM pg_attribute a WHERE a.attrelid >= 16384 AND NOT a.attisdropped
				UNION SELECT unnest(i.indcollation) FROM pg_index i
				UNION SELECT t.typcollation FROM pg_type t WHERE t.oid >= 16384)) ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[holdfast.Locale])
	if err != nil {
		return nil, err
	}
	d, err := databaseLocale(ctx, q, major)
	return append([]holdfast.Locale{d}, out...), err
}

// databaseLocale is the locale of the database connected to.
func databaseLocale(ctx context.Context, q querier, major int) (l holdfast.Locale, err error) {
	provider, locale, version := `'libc'`, `datcollate`, `''`
	if major >= 15 {
		icu := `daticulocale`
		if major >= 17 {
			icu = `datlocale`
		}
		provider = `CASE datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END`
		locale = `coalesce(nullif(` + icu + `, ''), datcollate)`
		version = `coalesce(pg_database_collation_actual_version(oid), '')`
	}
	err = q.QueryRow(ctx, `SELECT `+provider+`, `+locale+`, datctype, `+version+` FROM pg_database
		WHERE datname = current_database()`).Scan(&l.Provider, &l.Collate, &l.CType, &l.Version)
	return l, err
}

// privileged reads what only a superuser makes, by the names that pg_restore has
// for them.
func privileged(ctx context.Context, q querier, major int) ([]holdfast.Object, error) {
	schemas := ` OR EXISTS (SELECT FROM pg_publication_namespace WHERE pnpubid = p.oid)`
	if major < 15 {
		schemas = ``
	}
	const own = ` o.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e' AND d.classid = `
	rows, err := q.Query(ctx, `
		SELECT 'event trigger ' || evtname, pg_get_userbyid(evtowner)::text, 'it acts on what everybody does', true
			FROM pg_event_trigger o WHERE`+own+`'pg_event_trigger'::regclass)
		UNION ALL SELECT 'publication ' || pubname, pg_get_userbyid(pubowner)::text, 'it publishes tables of everybody', true
			FROM pg_publication p WHERE puballtables`+schemas+`
		UNION ALL SELECT CASE o.prokind WHEN 'p' THEN 'procedure ' WHEN 'a' THEN 'aggregate ' ELSE 'function ' END || n.nspname || '.' || o.proname
				|| '(' || array_to_string(ARRAY(SELECT format_type(t, NULL) FROM unnest(o.proargtypes) t), ', ') || ')',
			pg_get_userbyid(o.proowner)::text, CASE WHEN l.lanpltrusted THEN 'it claims to leak nothing, or supports the planner'
				ELSE 'its language ' || l.lanname || ' may do what the server may' END, false
			FROM pg_proc o JOIN pg_language l ON l.oid = o.prolang JOIN pg_namespace n ON n.oid = o.pronamespace
			WHERE (NOT l.lanpltrusted AND o.prokind <> 'a' OR o.proleakproof OR o.prosupport <> 0) AND`+own+`'pg_proc'::regclass)
		UNION ALL SELECT 'procedural language ' || lanname, pg_get_userbyid(lanowner)::text, 'it is not trusted', false
			FROM pg_language o WHERE NOT lanpltrusted AND`+own+`'pg_language'::regclass)
		UNION ALL SELECT 'foreign data wrapper ' || fdwname, pg_get_userbyid(fdwowner)::text, 'it reaches other servers', true
			FROM pg_foreign_data_wrapper o WHERE`+own+`'pg_foreign_data_wrapper'::regclass)
		UNION ALL SELECT 'access method ' || amname, '', 'it stores rows its own way', false
			FROM pg_am o WHERE`+own+`'pg_am'::regclass)
		UNION ALL SELECT 'operator class ' || n.nspname || '.' || opcname, pg_get_userbyid(opcowner)::text, 'it decides what indexes hold', false
			FROM pg_opclass o JOIN pg_namespace n ON n.oid = opcnamespace WHERE`+own+`'pg_opclass'::regclass)
		UNION ALL SELECT 'type ' || n.nspname || '.' || typname, pg_get_userbyid(typowner)::text, 'it is made of functions in C', false
			FROM pg_type o JOIN pg_namespace n ON n.oid = typnamespace WHERE typtype = 'b' AND typelem = 0 AND typisdefined AND`+own+`'pg_type'::regclass)
		UNION ALL SELECT 'text search parser ' || n.nspname || '.' || prsname, '', 'it is made of functions in C', false
			FROM pg_ts_parser o JOIN pg_namespace n ON n.oid = prsnamespace WHERE`+own+`'pg_ts_parser'::regclass)
		UNION ALL SELECT 'text search template ' || n.nspname || '.' || tmplname, '', 'it is made of functions in C', false
			FROM pg_ts_template o JOIN pg_namespace n ON n.oid = tmplnamespace WHERE`+own+`'pg_ts_template'::regclass)
		ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (o holdfast.Object, err error) {
		return o, row.Scan(&o.Name, &o.Owner, &o.Why, &o.SuperOwner)
	})
}
