package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/content"
)

// querier reads; connections and transactions both do.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// relation is one table to be read.
type relation struct {
	oid       uint32
	schema    string
	name      string
	ranged    bool   // ranges of its blocks can be read
	counted   bool   // rows can be asked by which transaction they were inserted
	epoch     string // of its stored rows; "" where they are never taken over
	logged    bool   // what is written to it is in the write-ahead log
	file      heapFile
	blocks    int64  // of its main fork
	bytes     int64  // with its TOAST table
	extension string // whose configuration it is
	condition string // of an extension's configuration table
	columns   []column
	format    string
}

type column struct {
	name     string
	datatype uint32
	typeName string
}

func (r relation) ident() string { return pgx.Identifier{r.schema, r.name}.Sanitize() }

func (r relation) columnNames() []string {
	var names []string
	for _, c := range r.columns {
		names = append(names, c.name)
	}
	return names
}

// selection is the list of columns for a SELECT; it may be empty, as a table
// without columns still has rows.
func selection(columns []string) string {
	var quoted []string
	for _, c := range columns {
		quoted = append(quoted, pgx.Identifier{c}.Sanitize())
	}
	return strings.Join(quoted, ", ")
}

// ours is the filter for what a dump of a database's own objects covers.
const ours = `n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'`

// plannedCalls selects tables for whose queries the planner looks into functions
// or operators of somebody's own: those that an index or statistics is on. It
// does so even for a query that has no use for either, and with our search path,
// by which the body of a function may not find what it calls. A COPY of the
// table itself is not planned.
const plannedCalls = `EXISTS (
			SELECT FROM (SELECT 'pg_class'::regclass AS class, i.indexrelid AS oid FROM pg_index i WHERE i.indrelid = c.oid
				UNION ALL SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext s WHERE s.stxrelid = c.oid) x
			JOIN pg_depend d ON d.classid = x.class AND d.objid = x.oid
				AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass))`

// tables reads every table whose rows belong into a dump: ordinary tables and
// partitions that are not an extension's, and those that an extension declares
// as its configuration, with the condition it gives.
func tables(ctx context.Context, q querier) ([]relation, error) {
	rows, err := q.Query(ctx, `
		SELECT c.oid, n.nspname, c.relname, coalesce(am.amname = 'heap', false) AND NOT `+plannedCalls+`, has_table_privilege(c.oid, 'SELECT'),
		       coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::bigint, coalesce(pg_table_size(c.oid), 0),
		       coalesce(e.extension, ''), coalesce(e.condition, '')
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN pg_am am ON am.oid = c.relam
		LEFT JOIN (SELECT extname::text AS extension, unnest(extconfig) AS oid, unnest(extcondition) AS condition FROM pg_extension) e ON e.oid = c.oid
		WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND `+ours+`
		  AND (e.oid IS NOT NULL OR NOT EXISTS (
		       SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
		ORDER BY n.nspname, c.relname`)
	if err != nil {
		return nil, err
	}
	var out []relation
	var r relation
	_, err = pgx.ForEachRow(rows, []any{
		&r.oid, &r.schema, &r.name, &r.ranged, &r.counted, &r.blocks, &r.bytes, &r.extension, &r.condition,
	},
		func() error {
			out = append(out, r)
			return nil
		})
	if err != nil || len(out) == 0 {
		return out, err
	}
	return out, columnsOf(ctx, q, out)
}

// columnsOf reads the columns of the tables, generated ones left out, and
// chooses the tables' formats.
func columnsOf(ctx context.Context, q querier, list []relation) error {
	index := map[uint32]*relation{}
	var oids []uint32
	for i := range list {
		index[list[i].oid] = &list[i]
		oids = append(oids, list[i].oid)
	}
	rows, err := q.Query(ctx, `
		SELECT a.attrelid, a.attname, a.atttypid, format_type(a.atttypid, a.atttypmod)
		FROM pg_attribute a
		WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
		ORDER BY a.attrelid, a.attnum`, oids)
	if err != nil {
		return err
	}
	var relid uint32
	var c column
	used := map[uint32]bool{}
	if _, err := pgx.ForEachRow(rows, []any{&relid, &c.name, &c.datatype, &c.typeName}, func() error {
		index[relid].columns = append(index[relid].columns, c)
		used[c.datatype] = true
		return nil
	}); err != nil {
		return err
	}
	types, err := datatypes(ctx, q, used)
	if err != nil {
		return err
	}
	for i := range list {
		var oids []uint32
		for j, c := range list[i].columns {
			oids = append(oids, c.datatype)
			// A domain's values are printed as those of the type it rests on.
			if base := baseOf(c.datatype, types); base != c.datatype {
				list[i].columns[j].typeName = types[base].name
			}
		}
		list[i].format = formatOf(oids, types)
	}
	return nil
}

// datatypes reads what formatOf needs of the types in use and of the types
// that domains among them rest on.
func datatypes(ctx context.Context, q querier, used map[uint32]bool) (map[uint32]datatype, error) {
	var oids []uint32
	for oid := range used {
		oids = append(oids, oid)
	}
	rows, err := q.Query(ctx, `
		WITH RECURSIVE t AS (
			SELECT oid, typtype, typbasetype FROM pg_type WHERE oid = ANY ($1::oid[])
			UNION
			SELECT b.oid, b.typtype, b.typbasetype FROM t JOIN pg_type b ON b.oid = t.typbasetype)
		SELECT oid, typtype::text, typbasetype, format_type(oid, NULL) FROM t`, oids)
	if err != nil {
		return nil, err
	}
	out := map[uint32]datatype{}
	var d datatype
	var kind string
	_, err = pgx.ForEachRow(rows, []any{&d.oid, &kind, &d.base, &d.name}, func() error {
		d.kind = kind[0]
		out[d.oid] = d
		return nil
	})
	return out, err
}

// configuring selects the sequences that are configuration of an extension: those
// that it declares, and those that number the rows of its configuration tables.
// pg_dump leaves out the latter, and the next row gets a number that is taken.
const configuring = `(SELECT DISTINCT ON (s.oid) s.oid, e.extname::text AS extension
	FROM (SELECT extname, unnest(extconfig) AS oid FROM pg_extension) e
	JOIN pg_class c ON c.oid = e.oid
	LEFT JOIN pg_attrdef a ON a.adrelid = c.oid
	LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
		AND d.refobjid = c.oid AND d.deptype IN ('a', 'i') -- owned by a column
		OR d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid AND d.refclassid = 'pg_class'::regclass -- a default's
	JOIN pg_class s ON s.relkind = 'S' AND s.oid IN (c.oid, d.objid, d.refobjid) ORDER BY s.oid)`

// sequences reads the position of every sequence but those that are an extension's
// own business.
// Which sequences there are is part of a snapshot, where they stand is not: read
// in the snapshot, they are those of the schema, and no row is ahead of them.
func sequences(ctx context.Context, q querier) ([]content.Sequence, error) {
	rows, err := q.Query(ctx, `
		SELECT n.nspname, c.relname, coalesce(k.extension, '') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN `+configuring+` k ON k.oid = c.oid
		WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND `+ours+`
		  AND (k.oid IS NOT NULL OR NOT EXISTS (
		       SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
		ORDER BY 1, 2`)
	if err != nil {
		return nil, err
	}
	var out []content.Sequence
	var s content.Sequence
	if _, err = pgx.ForEachRow(rows, []any{&s.Schema, &s.Name, &s.Extension}, func() error {
		out = append(out, s)
		return nil
	}); err != nil {
		return nil, err
	}
	var parts []string
	for i, s := range out {
		parts = append(parts,
			fmt.Sprintf("SELECT %d AS i, last_value, is_called FROM %s", i,
				pgx.Identifier{s.Schema, s.Name}.Sanitize()))
	}
	for chunk := range slices.Chunk(parts, 100) {
		rows, err := q.Query(ctx, strings.Join(chunk, " UNION ALL "))
		if err != nil {
			return nil, err
		}
		var i int
		var last int64
		var called bool
		if _, err := pgx.ForEachRow(rows, []any{&i, &last, &called}, func() error {
			out[i].Last, out[i].Called = last, called
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// populatedViews reads the materialized views that hold rows, each after those
// it depends on.
func populatedViews(ctx context.Context, q querier) ([]content.View, error) {
	rows, err := q.Query(ctx, `
		WITH RECURSIVE v AS (
			SELECT c.oid, 0 AS depth FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND `+ours+`
			UNION
			-- a view depends on what its rule reads, through other views too
			SELECT r.ev_class, v.depth + 1 FROM v
			JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid AND d.classid = 'pg_rewrite'::regclass
			JOIN pg_rewrite r ON r.oid = d.objid
			WHERE r.ev_class <> v.oid AND v.depth < 64)
		SELECT n.nspname, c.relname FROM v JOIN pg_class c ON c.oid = v.oid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'm' AND c.relispopulated GROUP BY 1, 2 ORDER BY max(v.depth), 1, 2`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[content.View])
}

// server reads what a manifest records about the server.
func server(ctx context.Context, q querier) (holdfast.Server, error) {
	var s holdfast.Server
	err := q.QueryRow(ctx,
		`SELECT current_setting('server_version'), current_setting('server_version_num')::int, pg_is_in_recovery()`).
		Scan(&s.Version, &s.Number, &s.Standby)
	if err != nil {
		return s, err
	}
	var allowed bool
	if err := q.QueryRow(ctx,
		`SELECT has_function_privilege('pg_control_system()', 'EXECUTE') AND has_function_privilege('pg_control_checkpoint()', 'EXECUTE')`).Scan(&allowed); err != nil || !allowed {
		return s, err
	}
	err = q.QueryRow(ctx,
		`SELECT (SELECT system_identifier::text FROM pg_control_system()), (SELECT timeline_id FROM pg_control_checkpoint())`).Scan(&s.SystemID, &s.Timeline)
	return s, err
}

// database reads what CREATE DATABASE needs, and the roles its objects name.
// The columns on locales changed with Postgres 15 and 17.
func database(ctx context.Context, q querier, major int) (holdfast.Database, error) {
	provider, locale, rules := `'c'`, `NULL`, `NULL`
	switch {
	case major >= 17:
		provider, locale, rules = `datlocprovider::text`, `datlocale`, `daticurules`
	case major >= 16:
		provider, locale, rules = `datlocprovider::text`, `daticulocale`, `daticurules`
	case major >= 15:
		provider, locale = `datlocprovider::text`, `daticulocale`
	}
	var d holdfast.Database
	err := q.QueryRow(ctx,
		`SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype,
		CASE `+provider+` WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END, coalesce(`+locale+
			`, ''), coalesce(`+rules+`, ''),
		pg_database_size(oid) FROM pg_database WHERE datname = current_database()`).
		Scan(&d.Name, &d.Owner, &d.Encoding, &d.Collate, &d.CType, &d.Provider, &d.Locale, &d.Rules, &d.Bytes)
	if err != nil {
		return d, err
	}
	if err := rolesOf(ctx, q, &d); err != nil {
		return d, err
	}
	return d, nil
}

// rolesOf reads which roles the database's objects name: those that own some,
// and what is granted to those that do not.
func rolesOf(ctx context.Context, q querier, d *holdfast.Database) error {
	owners := ownersSQL()
	named := func(roles string) ([]string, error) {
		rows, err := q.Query(ctx,
			`SELECT r.rolname::text FROM (`+roles+
				`) u JOIN pg_roles r ON r.oid = u.role WHERE r.rolname !~ '^pg_' ORDER BY 1`)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowTo[string])
	}
	var err error
	if d.Owners, err = named(owners); err != nil {
		return err
	}
	if d.Roles, err = named(owners + ` UNION SELECT s.refobjid FROM ` + here); err != nil {
		return err
	}
	rows, err := q.Query(ctx, `SELECT r.rolname::text, array_agg(DISTINCT g.object ORDER BY g.object) FROM (
			SELECT s.refobjid, coalesce(pg_describe_object(s.classid, s.objid, s.objsubid), 'an object') AS object FROM `+here+` AND s.deptype IN ('a', 'r')
		) g JOIN pg_roles r ON r.oid = g.refobjid WHERE r.rolname !~ '^pg_' GROUP BY 1 ORDER BY 1`)
	if err != nil {
		return err
	}
	d.Grants, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (g holdfast.Grant, err error) {
		return g, row.Scan(&g.Role, &g.On)
	})
	return err
}

// here selects what names roles in the database. The server's first superuser is
// pinned: what belongs to it is not in pg_shdepend. In a container it may well be
// the application's role.
const here = `pg_shdepend s JOIN pg_database d ON d.datname = current_database() AND s.refclassid = 'pg_authid'::regclass
	AND (s.dbid = d.oid OR s.dbid = 0 AND s.classid = 'pg_database'::regclass AND s.objid = d.oid)`

// ownersSQL selects the roles that own something which is in none of the
// catalogues less.
func ownersSQL(less ...string) string {
	sql := `SELECT s.refobjid AS role FROM ` + here + ` AND s.deptype = 'o'`
	for _, name := range less {
		sql += ` AND s.classid <> '` + name + `'::regclass`
	}
	sql += ` UNION SELECT datdba FROM pg_database WHERE datname = current_database()`
	for _, o := range owned {
		if slices.Contains(less, o.catalogue) {
			continue
		}
		sql += fmt.Sprintf(` UNION SELECT %[2]s FROM %[1]s o WHERE oid >= 16384 AND NOT EXISTS (
			SELECT FROM pg_depend d WHERE d.classid = '%[1]s'::regclass AND d.objid = o.oid AND d.deptype = 'e')%[3]s`,
			o.catalogue, o.owner, o.itself)
	}
	return sql
}

// owned are the catalogues of what a role may own, numbered from 16384 on where
// it is not Postgres's own.
var owned = []struct{ catalogue, owner, itself string }{
	{"pg_class", "relowner", ` AND relkind NOT IN ('i', 'I', 't')`}, // which belong with their table
	{"pg_namespace", "nspowner", ""},
	{"pg_proc", "proowner", ""},
	{"pg_type", "typowner", ` AND typrelid = 0 AND typelem = 0`}, // so do a row's type and its array
	{"pg_operator", "oprowner", ""},
	{"pg_opclass", "opcowner", ""},
	{"pg_opfamily", "opfowner", ""},
	{"pg_collation", "collowner", ""},
	{"pg_conversion", "conowner", ""},
	{"pg_ts_dict", "dictowner", ""},
	{"pg_ts_config", "cfgowner", ""},
	{"pg_statistic_ext", "stxowner", ""},
	{"pg_publication", "pubowner", ""},
	{"pg_event_trigger", "evtowner", ""},
	{"pg_foreign_server", "srvowner", ""},
	{"pg_foreign_data_wrapper", "fdwowner", ""},
}
