package postgres

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/content"
)

// schemaReading is what a schema was written from. pg_dump writes it from the
// system tables, so while no row of theirs changed it would write the same again.
type schemaReading struct {
	Program string           `json:"program"` // what wrote it, and how it was called
	Rows    map[string]int64 `json:"rows"`    // by system table
	// Names is a digest of the names of roles. Their table may be read by few, and
	// the view of it does not show which rows are young.
	Names string    `json:"names"`
	Read  time.Time `json:"read"` // from the database, by the wall clock
	young int64     // rows that are not below the horizon of the earlier capture
}

// holds says whether a later capture may compare with it.
func (s schemaReading) holds() bool { return s.Program != "" && len(s.Rows) > 0 }

// same says whether no row changed since the earlier reading: the rule of strips,
// applied to system tables.
func (s schemaReading) same(was schemaReading) bool {
	return s.holds() && s.young == 0 && s.Program == was.Program && s.Names == was.Names && maps.Equal(s.Rows, was.Rows)
}

// notOfSchemas are system tables of a database that pg_dump writes nothing from.
var notOfSchemas = []string{
	"pg_largeobject", "pg_largeobject_metadata", // rows of the database
	"pg_statistic", "pg_statistic_ext_data", // what ANALYZE gathers
	"pg_subscription_rel", // see --no-subscriptions
	"pg_user_mapping",     // may be read by few: see foreignServers
}

// foreignServers is the table without whose rows there are no user mappings.
const foreignServers = "pg_foreign_server"

// schemaOptions are how pg_dump is called, apart from what differs each time.
var schemaOptions = []string{"--schema-only", "--format=custom", "--compress=0", "--no-subscriptions"}

// readSchemaGround counts, in the dump's snapshot, the rows of the system tables
// that a schema is written from. Where not all may be read, nothing is returned,
// and pg_dump writes the schema.
func (r *run) readSchemaGround(ctx context.Context) (schemaReading, error) {
	if !r.ground.holds() {
		return schemaReading{}, nil
	}
	tx, err := r.common.Begin(ctx)
	if err != nil {
		return schemaReading{}, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	horizon := r.ground.horizon()
	if r.old != nil {
		horizon = r.old.horizon
	}
	out, err := schemaReading{}, error(nil)
	if r.old != nil && r.old.still && r.old.schema.holds() {
		out = r.old.schema // nothing was written in system tables either
	} else {
		out, err = countSystemRows(ctx, tx, horizon)
	}
	if code(err) != "" {
		return schemaReading{}, nil // the role may not ask
	}
	if err != nil || len(out.Rows) == 0 {
		return schemaReading{}, err
	}
	out.Program, err = r.Tools.near(r.Address).called(ctx, "pg_dump", r.server.Major(), schemaOptions)
	out.Read = r.clock().Wall
	return out, err
}

// countSystemRows counts them. Below the horizon every transaction had ended when
// the earlier capture looked.
func countSystemRows(ctx context.Context, tx pgx.Tx, horizon string) (schemaReading, error) {
	rows, err := tx.Query(ctx, `SELECT relname::text, has_table_privilege(oid, 'SELECT') FROM pg_class
		WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'
			AND (NOT relisshared OR relname = 'pg_tablespace') AND relname <> ALL ($1::text[])`, notOfSchemas)
	if err != nil {
		return schemaReading{}, err
	}
	var name string
	var readable bool
	var ask []string
	all := true
	if _, err = pgx.ForEachRow(rows, []any{&name, &readable}, func() error {
		all = all && readable
		ask = append(ask, fmt.Sprintf(
			"SELECT '%s', count(*), count(*) FILTER (WHERE age(xmin) <= age('%s'::xid)) FROM pg_catalog.%[1]s", name, horizon))
		return nil
	}); err != nil || !all {
		return schemaReading{}, err
	}
	out := schemaReading{Rows: map[string]int64{}}
	if rows, err = tx.Query(ctx, strings.Join(ask, " UNION ALL "), pgx.QueryExecModeSimpleProtocol); err != nil {
		return schemaReading{}, err
	}
	var count, young int64
	if _, err = pgx.ForEachRow(rows, []any{&name, &count, &young}, func() error {
		out.Rows[name] = count
		out.young += young
		return nil
	}); err != nil || out.Rows[foreignServers] > 0 {
		return schemaReading{}, err
	}
	err = tx.QueryRow(ctx, `SELECT md5(string_agg(oid || ' ' || rolname, ',' ORDER BY oid)) FROM pg_roles`).Scan(&out.Names)
	return out, err
}

// carrySchema stores the earlier set's schema again, if pg_dump would write the
// same.
func (r *run) carrySchema(ctx context.Context) (bool, error) {
	if r.old == nil || !r.schemaRead.same(r.old.schema) {
		return false, nil
	}
	text, err := r.old.schemaText(ctx)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		return false, nil //nolint:nilerr // what cannot be found is read from the database
	}
	r.schemaRead.Read = r.old.schema.Read
	r.mu.Lock()
	r.taken.Schema = true
	r.mu.Unlock()
	return true, r.put(ctx, r.file("schema.dump"), func(w io.Writer) error {
		r.digest = newSchemaDigest(w)
		_, err := r.digest.Write(text)
		return err
	})
}

// schemaText reads the schema of the earlier set.
func (e *earlier) schemaText(ctx context.Context) ([]byte, error) {
	rows, err := content.RowsOf(e.Part)
	if err != nil {
		return nil, err
	}
	in, err := e.Files.Open(ctx, rows.Schema)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	return io.ReadAll(in)
}

// called says which program it is and how it is called. Where it runs next to the
// server it is the server's, whose version the ground has.
func (t Tools) called(ctx context.Context, program string, major int, options []string) (string, error) {
	path, err := t.find(ctx, program, major)
	if err != nil || t.Elsewhere != nil {
		return strings.Join(slices.Concat([]string{program}, options), " "), err
	}
	return strings.Join(slices.Concat([]string{t.saysVersion(ctx, path)}, options), " "), nil
}
