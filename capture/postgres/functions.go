package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// functions judges what functions do.
type functions struct {
	conn                    *pgx.Conn
	relations, known, types map[string][]object
	late                    bool     // all rows are there
	path                    []string // the schemas where names are found
}

// know reads the names of the database.
func (f *functions) know(ctx context.Context) (err error) {
	if f.relations, err = namesOf(ctx, f.conn, `SELECT c.oid, n.nspname, c.relname FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND `+ours); err != nil {
		return err
	}
	if f.known, err = namesOf(ctx, f.conn, `SELECT p.oid, n.nspname, p.proname FROM pg_proc p
		JOIN pg_namespace n ON n.oid = p.pronamespace WHERE `+ours); err != nil {
		return err
	}
	f.types, err = namesOf(ctx, f.conn, `SELECT t.oid, n.nspname, t.typname FROM pg_type t
		JOIN pg_namespace n ON n.oid = t.typnamespace WHERE `+ours)
	return err
}

// function is one of the database's own, as its catalogue has it.
type function struct {
	oid              uint32
	schema           string
	signature        string
	language, source string
	standard         bool // its body is kept parsed, in the SQL standard's form
	path             bool // it sets its own search_path
	reads            []string
	calls            []uint32
}

func (f functions) read(ctx context.Context, oid uint32) (function, error) {
	x := function{oid: oid}
	err := f.conn.QueryRow(ctx, `SELECT p.pronamespace::regnamespace::text, p.oid::regprocedure::text, l.lanname,
			coalesce(p.prosrc, ''), p.prosqlbody IS NOT NULL,
			coalesce((SELECT bool_or(c LIKE 'search_path=%') FROM unnest(p.proconfig) c), false),
			ARRAY(SELECT d.refobjid::regclass::text FROM pg_depend d
				WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
				AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'n' ORDER BY 1),
			ARRAY(SELECT d.refobjid FROM pg_depend d
				JOIN pg_proc c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.pronamespace
				WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
				AND d.refclassid = 'pg_proc'::regclass AND d.deptype = 'n' AND `+ours+`)
		FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.oid = $1`, oid).
		Scan(&x.schema, &x.signature, &x.language, &x.source, &x.standard, &x.path, &x.reads, &x.calls)
	return x, err
}

// judge says why an expression fails for want of rows or of a search_path, and
// what to do; "" where nothing is found against it.
func (f functions) judge(ctx context.Context, e evaluated) (refusal, do string, err error) {
	found, err := f.walk(ctx, e.function, map[uint32]bool{}, 0)
	switch {
	case err != nil || found == nil:
		return "", "", err
	case found.reads != "":
		return fmt.Sprintf("its function %s reads %s, which may be empty then", found.function, found.reads),
			"A restore writes rows table by table. Have a trigger fill an ordinary column, or check the value, " +
				"instead. Then run the backup again.", nil
	}
	path := "empty"
	if len(f.path) > 0 {
		path = strings.Join(f.path, ", ")
	}
	return fmt.Sprintf("its function %s finds %s by search_path, which is %s in a restore", found.function,
			found.needs, path),
		fmt.Sprintf("ALTER FUNCTION %s SET search_path = pg_catalog, %s; or write the schema in front of the names "+
			"in it. Then run the backup again.", found.function, found.schema), nil
}

// fault is what a function does that a restore does not bear.
type fault struct {
	function string
	reads    string // a relation
	needs    string // what it names without a schema
	schema   string // where that is
}

// depthMost bounds how far calls are followed.
const depthMost = 16

// walk looks at a function and at those that it calls. Reading a table weighs
// more than a name without its schema.
func (f functions) walk(ctx context.Context, oid uint32, seen map[uint32]bool, depth int) (*fault, error) {
	if seen[oid] || depth > depthMost {
		return nil, nil
	}
	seen[oid] = true
	x, err := f.read(ctx, oid)
	if err != nil || x.language == "c" || x.language == "internal" {
		return nil, err
	}
	var b body
	if !x.standard {
		b = readBody(x.source, x.language)
	}
	if reads := f.reads(x, b); reads != "" && !f.late {
		return &fault{function: x.signature, reads: reads}, nil
	}
	inner, err := f.calls(ctx, x, b, seen, depth)
	if err != nil || inner != nil && inner.reads != "" {
		return inner, err
	}
	if x.path { // it and whatever it calls finds by its own path
		return nil, nil
	}
	if own, err := f.pathless(ctx, x, b); err != nil || own != nil {
		return own, err
	}
	return inner, nil
}

// reads is a relation that the function reads or writes, "" for none.
func (f functions) reads(x function, b body) string {
	if x.standard && len(x.reads) > 0 {
		return x.reads[0]
	}
	for _, n := range b.relations {
		if found := matching(f.relations, n, x.schema); len(found) > 0 {
			return found[0].String()
		}
	}
	return ""
}

// calls looks at what a function calls.
func (f functions) calls(
	ctx context.Context, x function, b body, seen map[uint32]bool, depth int,
) (found *fault, err error) {
	calls := x.calls
	for _, n := range b.calls {
		for _, o := range matching(f.known, n, x.schema) {
			calls = append(calls, o.oid)
		}
	}
	for _, c := range calls {
		inner, err := f.walk(ctx, c, seen, depth+1)
		if err != nil || inner != nil && inner.reads != "" {
			return inner, err
		}
		if found == nil {
			found = inner
		}
	}
	return found, nil
}

// own asks whether Postgres has such a name itself, which comes before others.
const own = `SELECT EXISTS (SELECT FROM %[1]s WHERE %[2]sname = $1 AND %[2]snamespace = 'pg_catalog'::regnamespace)`

// pathless finds what a function without a search_path of its own would not
// find: of SQL the server says it, of others their text.
func (f functions) pathless(ctx context.Context, x function, b body) (*fault, error) {
	for _, part := range []struct {
		names             []name
		known             map[string][]object
		catalogue, prefix string
	}{
		{b.calls, f.known, "pg_proc", "pro"},
		{b.types, f.types, "pg_type", "typ"},
		{b.relations, f.relations, "pg_class", "rel"},
	} {
		for _, n := range part.names {
			found := matching(part.known, n, x.schema)
			onPath := func(o object) bool { return slices.Contains(f.path, o.schema) }
			if n.schema != "" || len(found) == 0 || slices.ContainsFunc(part.known[n.name], onPath) {
				continue
			}
			var there bool
			if err := f.conn.QueryRow(ctx, fmt.Sprintf(own, part.catalogue, part.prefix), n.name).Scan(&there); err != nil {
				return nil, err
			}
			if !there {
				schema := pgx.Identifier{found[0].schema}.Sanitize()
				return &fault{function: x.signature, needs: n.name, schema: schema}, nil
			}
		}
	}
	if x.language != "sql" || x.standard {
		return nil, nil
	}
	return f.validated(ctx, x)
}

// validated has the server look at the body of a function in SQL, as it does
// when the function is first called.
func (f functions) validated(ctx context.Context, x function) (*fault, error) {
	var definition, schema string
	if err := f.conn.QueryRow(ctx, `SELECT pg_get_functiondef(oid), quote_ident(pronamespace::regnamespace::text)
		FROM pg_proc WHERE oid = $1`, x.oid).Scan(&definition, &schema); err != nil {
		return nil, err
	}
	err := execute(ctx, f.conn, "BEGIN", "SET LOCAL check_function_bodies = on", definition, "ROLLBACK")
	if err == nil {
		return nil, nil
	}
	if rolled := execute(ctx, f.conn, "ROLLBACK"); rolled != nil {
		return nil, rolled
	}
	switch code(err) {
	case "42883", "42704", "42P01": // a function, an operator, a type or dictionary, a table
		return &fault{function: x.signature, needs: "its names (" + errorLine(err) + ")", schema: schema}, nil
	}
	return nil, nil
}

// namesOf reads objects by their names without schema.
func namesOf(ctx context.Context, conn *pgx.Conn, sql string) (map[string][]object, error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	out := map[string][]object{}
	var o object
	_, err = pgx.ForEachRow(rows, []any{&o.oid, &o.schema, &o.name.name}, func() error {
		out[o.name.name] = append(out[o.name.name], o)
		return nil
	})
	return out, err
}

// object is one of the database's own.
type object struct {
	oid uint32
	name
}

// matching are the objects that a name may mean in a function of that schema:
// one without a schema means those next to it, where there are such.
func matching(list map[string][]object, n name, schema string) []object {
	of := func(schema string) []object {
		return slices.DeleteFunc(slices.Clone(list[n.name]), func(o object) bool { return o.schema != schema })
	}
	if n.schema != "" {
		return of(n.schema)
	}
	if near := of(schema); len(near) > 0 {
		return near
	}
	return list[n.name]
}
