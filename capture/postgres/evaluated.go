package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast"
)

// A restore evaluates some expressions for every row that it writes or indexes:
// checks, generated columns, keys of indexes and of partitions, expressions of
// statistics. Postgres lets them call functions that it believes to look at
// their arguments alone. A function that reads a table finds it empty, because
// rows come table by table; one that finds its names by search_path does not
// find them, because a restore writes rows without one. CHECKs that are set
// aside and indexes that are built late have the rows of all tables, and the
// search_path of the database. An empty database says nothing of all this.

// judge finds what the schema would stop at once there are rows.
func (b *build) judge(ctx context.Context, checks []aside) error {
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if err := execute(ctx, conn, "SET search_path = ''"); err != nil {
		return err
	}
	list, err := evaluatedIn(ctx, conn)
	if err != nil || len(list) == 0 {
		return err
	}
	f := functions{conn: conn}
	if err := f.know(ctx); err != nil {
		return err
	}
	var late []evaluated
	early := slices.DeleteFunc(slices.Clone(list), func(e evaluated) bool {
		if !e.late(checks) {
			return false
		}
		late = append(late, e)
		return true
	})
	if err := b.evaluate(ctx, f, early); err != nil {
		return err
	}
	f.late = true
	if err := execute(ctx, conn, b.searchPath()); err != nil {
		return err
	}
	if err := conn.QueryRow(ctx, `SELECT current_schemas(false)::text[]`).Scan(&f.path); err != nil {
		return err
	}
	return b.evaluate(ctx, f, late)
}

// refreshMost is how long a materialized view of empty tables may take: one
// that reads from elsewhere may take for ever.
const refreshMost = "10s"

// refreshEmpty fills the materialized views. Of what fails only that counts
// which does not come from there being no rows.
func (b *build) refreshEmpty(ctx context.Context, conn *pgx.Conn) error {
	for _, v := range b.rows.Views {
		statement := "REFRESH MATERIALIZED VIEW " + pgx.Identifier{v.Schema, v.Name}.Sanitize()
		err := execute(ctx, conn, "BEGIN", "SET LOCAL statement_timeout = '"+refreshMost+"'", statement, "COMMIT")
		if err == nil {
			continue
		}
		if conn.IsClosed() {
			return err
		}
		if err := execute(ctx, conn, "ROLLBACK"); err != nil {
			return err
		}
		if !evenEmpty(code(err)) {
			continue
		}
		s := stopAt("MATERIALIZED VIEW", v.Schema+"."+v.Name)
		s.Definition = statement + ";"
		if err := b.trial.stopped(err, s); err != nil {
			return err
		}
	}
	return nil
}

// evenEmpty reports whether an error would come with rows as well: what is
// missing or not allowed, a server that does not answer.
func evenEmpty(code string) bool {
	for _, class := range []string{"42", "08", "HV", "58", "3F", "0A"} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}

// evaluated is an expression that a restore evaluates, with the function that
// it calls.
type evaluated struct {
	kind, object, definition string
	function                 uint32
}

// late reports whether the expression is evaluated when all rows are there.
func (e evaluated) late(checks []aside) bool {
	switch e.kind {
	case "check":
		return slices.ContainsFunc(checks, func(a aside) bool { return a.String() == e.object })
	case "index":
		return index{statement: e.definition}.calls()
	}
	return false
}

// evaluate judges the expressions by the functions that they call.
func (b *build) evaluate(ctx context.Context, f functions, list []evaluated) error {
	for _, e := range list {
		if b.trial.stopsAt(e.object) {
			continue
		}
		refusal, do, err := f.judge(ctx, e)
		if err != nil {
			return err
		}
		if refusal == "" {
			continue
		}
		b.trial.add(stop{kind: e.kind, Obstacle: holdfast.Obstacle{
			Object: e.object, Definition: e.definition, Refusal: refusal, Do: do,
		}})
	}
	return nil
}

// evaluatedIn lists the expressions that call functions which are not
// Postgres's own. A check that is NOT VALID comes when all rows are there.
func evaluatedIn(ctx context.Context, conn *pgx.Conn) ([]evaluated, error) {
	rows, err := conn.Query(ctx, `
		WITH root AS (
			SELECT 'check' AS kind, 'pg_constraint'::regclass AS class, oid,
			       format('constraint %s on %s', conname,
			         CASE WHEN contypid <> 0 THEN contypid::regtype::text ELSE conrelid::regclass::text END) AS object,
			       format('ALTER %s ADD CONSTRAINT %I %s',
			         CASE WHEN contypid <> 0 THEN 'DOMAIN ' || contypid::regtype ELSE 'TABLE ' || conrelid::regclass END,
			         conname, pg_get_constraintdef(oid)) AS definition
			FROM pg_constraint WHERE contype = 'c' AND convalidated AND conislocal
			UNION ALL
			SELECT 'column', 'pg_attrdef'::regclass, d.oid,
			       format('generated column %I of table %s', a.attname, d.adrelid::regclass),
			       format('%I GENERATED ALWAYS AS (%s)', a.attname, pg_get_expr(d.adbin, d.adrelid))
			FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
			WHERE a.attgenerated <> ''
			UNION ALL
			SELECT 'index', 'pg_class'::regclass, indexrelid,
			       format('index %s of table %s', indexrelid::regclass, indrelid::regclass), pg_get_indexdef(indexrelid)
			FROM pg_index
			UNION ALL
			SELECT 'partition', 'pg_class'::regclass, partrelid,
			       format('partition key of table %s', partrelid::regclass), 'PARTITION BY ' || pg_get_partkeydef(partrelid)
			FROM pg_partitioned_table
			UNION ALL
			SELECT 'statistics', 'pg_statistic_ext'::regclass, oid,
			       format('statistics %I of table %s', stxname, stxrelid::regclass), pg_get_statisticsobjdef(oid)
			FROM pg_statistic_ext
		), used AS (
			SELECT r.kind, r.object, r.definition, d.refclassid, d.refobjid FROM root r
			JOIN pg_depend d ON d.classid = r.class AND d.objid = r.oid AND d.deptype IN ('n', 'a')
		), called AS (
			SELECT kind, object, definition, refobjid AS function FROM used WHERE refclassid = 'pg_proc'::regclass
			UNION
			SELECT kind, object, definition, o.oprcode FROM used
			JOIN pg_operator o ON o.oid = refobjid AND refclassid = 'pg_operator'::regclass
			UNION
			SELECT kind, object, definition, a.amproc FROM used
			JOIN pg_opclass c ON c.oid = refobjid AND refclassid = 'pg_opclass'::regclass
			JOIN pg_amproc a ON a.amprocfamily = c.opcfamily
		)
		SELECT kind, object, definition, function::oid FROM called
		JOIN pg_proc p ON p.oid = function JOIN pg_namespace n ON n.oid = p.pronamespace
		JOIN pg_language l ON l.oid = p.prolang
		WHERE l.lanname NOT IN ('c', 'internal') AND `+ours+` ORDER BY 2, 4`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e evaluated, err error) {
		return e, row.Scan(&e.kind, &e.object, &e.definition, &e.function)
	})
}
