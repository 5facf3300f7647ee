package postgres

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"holdfast"
	"holdfast/internal/libpq"
)

// Loader puts a dump back into a fresh database and proves that it is there.
// Target names the server; the database it names is only used to connect
// while the new one is created.
type Loader struct {
	Target  libpq.Target
	Tools   Tools
	Options LoadOptions
	// Facts reads the facts of the restored database, as a Dumper does.
	Facts func(ctx context.Context, tx pgx.Tx, kind holdfast.Kind) (holdfast.Facts, error)
}

// LoadOptions tune a restore.
type LoadOptions struct {
	Lanes    int    // streams written and indexes built at once; 0 means the number of cores
	Locale   string // collation and character type instead of the recorded ones
	NoOwner  bool   // everything belongs to the connecting user
	Progress holdfast.Progress
}

func (o LoadOptions) lanes() int {
	if o.Lanes > 0 {
		return o.Lanes
	}
	return max(2, runtime.NumCPU())
}

// Survey looks at the target server: whether it can take the capture, and
// whose its objects will be.
func (l Loader) Survey(ctx context.Context, c holdfast.Capture) (holdfast.Fit, error) {
	conn, err := l.Target.Connect(ctx, libpq.Options{Application: "holdfast restore"})
	if err != nil {
		return holdfast.Fit{}, err
	}
	defer closeConn(conn)
	p := holdfast.Fit{DatabaseBytes: c.Database.Bytes}
	if p.Server, err = server(ctx, conn); err != nil {
		return p, err
	}
	where := l.Target.Where()
	switch {
	case p.Server.Standby:
		return p, &holdfast.Problem{Class: holdfast.Refused, What: where + " is a standby", Why: "Nothing can be created on it.", Do: "Name the primary."}
	case p.Server.Major() < c.Server.Major():
		return p, &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("%s runs Postgres %s, the capture of %s is from %s", where, p.Server.Version, c.Component, c.Server.Version),
			Why: "A dump goes into the same or a newer major version, not into an older one.", Do: fmt.Sprintf("Restore to a server of version %d or later: --to.", c.Server.Major())}
	}
	var super, createdb bool
	if err := conn.QueryRow(ctx, `SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user`).Scan(&super, &createdb); err != nil {
		return p, err
	}
	if !super && !createdb {
		return p, &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("the user of %s may not create databases", where),
			Why: "A restore builds beside the old database, never over it.", Do: "ALTER ROLE ... CREATEDB, or restore as another user: --to."}
	}
	if err := l.roles(ctx, conn, c, &p); err != nil {
		return p, err
	}
	if _, err := l.Tools.beside(l.Target).find(ctx, "pg_restore", max(p.Server.Major(), c.Server.Major())); err != nil {
		return p, err
	}
	return p, nil
}

// Load creates the database name, which must not exist, and puts the capture
// into it. Whatever fails, the new database is dropped again and nothing else
// was touched. The nil error means that every digest, every sequence and the
// facts of the restored database equal the recorded ones.
func (l Loader) Load(ctx context.Context, name string, c holdfast.Capture, fit holdfast.Fit, files holdfast.Files) (err error) {
	if err := l.create(ctx, name, c.Database); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Drop(context.WithoutCancel(ctx), name))
		}
	}()
	l.Tools = l.Tools.beside(l.Target)
	b := &build{Loader: l, name: name, capture: c, fit: fit, files: files}
	b.Target = l.Target.On(name)
	if b.info, err = b.Target.Resolve(ctx); err != nil {
		return err
	}
	err = b.run(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	o := restoring(c.Component, name, l.Target.Where())
	if explained := o.explain(err); explained != err || err == nil {
		return explained
	}
	return fmt.Errorf("%s: %w", o.what, err)
}

// Drop drops a database that a Load made.
func (l Loader) Drop(ctx context.Context, name string) error {
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
	return err
}

// connect opens a session in a database beside the new one.
func (l Loader) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := l.Target.Connect(ctx, libpq.Options{Application: "holdfast restore"})
	if err != nil {
		return nil, err
	}
	if err := execute(ctx, conn, patient(0)...); err != nil {
		closeConn(conn)
		return nil, err
	}
	return conn, nil
}

// create makes the empty database with the recorded encoding and locale.
func (l Loader) create(ctx context.Context, name string, d holdfast.Database) error {
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	s, err := server(ctx, conn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, createSQL(name, d, s.Major(), l.Options.Locale))
	switch {
	case err == nil:
		return nil
	case code(err) == "42P04":
		return &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("there is a database %s already", name),
			Why: "It may be left over from a restore that was killed; it is not overwritten.", Do: "Look at it, then drop it: `holdfast restore clean`."}
	case code(err) == "22023" || code(err) == "42704" || strings.Contains(err.Error(), "locale"):
		return &holdfast.Problem{Class: holdfast.Failed, What: "create database " + name, Err: err,
			Why: fmt.Sprintf("The database was made with the locale %s, which this server does not have.", d.Collate),
			Do:  "Install the locale on the server, or restore with another one: --locale C.UTF-8. Canton's columns collate as \"C\" either way."}
	}
	return &holdfast.Problem{Class: holdfast.Failed, What: "create database " + name, Err: err, Do: "The message is the server's own."}
}

func createSQL(name string, d holdfast.Database, major int, locale string) string {
	lit := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	sql := fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0 ENCODING %s", pgx.Identifier{name}.Sanitize(), lit(d.Encoding))
	if locale != "" {
		return sql + " LC_COLLATE " + lit(locale) + " LC_CTYPE " + lit(locale)
	}
	sql += " LC_COLLATE " + lit(d.Collate) + " LC_CTYPE " + lit(d.CType)
	if major >= 15 {
		sql += " LOCALE_PROVIDER " + d.Provider
		switch d.Provider {
		case "icu":
			sql += " ICU_LOCALE " + lit(d.Locale)
			if d.Rules != "" {
				sql += " ICU_RULES " + lit(d.Rules)
			}
		case "builtin":
			sql += " BUILTIN_LOCALE " + lit(d.Locale)
		}
	}
	return sql
}

// build is one database being restored.
type build struct {
	Loader
	name    string
	capture holdfast.Capture
	fit     holdfast.Fit
	files   holdfast.Files
	info    libpq.Conninfo

	done  atomic.Int64
	total int64
}

// run goes through the phases. Indexes come after the rows, since building one
// from all rows is far cheaper than keeping it up row by row.
func (b *build) run(ctx context.Context) error {
	// pg_restore works in parallel only from a file it can seek in. The schema
	// holds no rows.
	desk, err := b.Tools.desk(ctx)
	if err != nil {
		return err
	}
	defer desk.clear()
	schema, err := b.fetch(ctx, b.capture.Schema, desk)
	if err != nil {
		return err
	}
	if err := b.owner(ctx); err != nil {
		return err
	}
	if err := b.section(ctx, schema, 1, "--section=pre-data"); err != nil {
		return err
	}
	if err := b.rows(ctx); err != nil {
		return err
	}
	if err := b.indexes(ctx, desk, schema); err != nil {
		return err
	}
	if err := b.grants(ctx, desk, schema); err != nil {
		return err
	}
	if err := b.finish(ctx); err != nil {
		return err
	}
	// Last, since a setting such as default_transaction_read_only would stop us.
	return b.settings(ctx)
}

func (b *build) fetch(ctx context.Context, name string, desk desk) (string, error) {
	in, err := b.open(ctx, name)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	from := &supplier{Reader: in}
	path, err := desk.put(ctx, "schema.dump", from)
	return path, cmp.Or(from.err, err)
}

// open opens a file of the set.
func (b *build) open(ctx context.Context, name string) (io.ReadCloser, error) {
	in, err := b.files.Open(ctx, name)
	if err != nil {
		return nil, stored{fmt.Errorf("file %s: %w", name, err)}
	}
	return in, nil
}

// owner gives the new database to its old owner, where that role exists: its
// schemas can only belong to roles that may create them.
func (b *build) owner(ctx context.Context) error {
	if !b.fit.KeepOwners {
		return nil
	}
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+pgx.Identifier{b.name}.Sanitize()+" OWNER TO "+pgx.Identifier{b.capture.Database.Owner}.Sanitize()); err != nil {
		return fmt.Errorf("owner of the database: %w", err)
	}
	return nil
}

// settings applies the settings of the old database to the new one. Those that
// only a superuser may set, or that this server does not know, are left out.
func (b *build) settings(ctx context.Context) error {
	in, err := b.open(ctx, b.capture.Globals)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	text, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return stored{fmt.Errorf("file %s: %w", b.capture.Globals, err)}
	}
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	for _, statement := range ofDatabase(string(text), b.capture.Database.Name, b.name, b.fit.MissingRoles) {
		if _, err := conn.Exec(ctx, statement); err != nil && code(err) != "42501" && code(err) != "42704" {
			return fmt.Errorf("setting of the database (%s): %w", statement, err)
		}
	}
	return nil
}

// connect opens a session in the new database.
func (b *build) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := b.Target.Connect(ctx, libpq.Options{Application: "holdfast restore"})
	if err != nil {
		return nil, err
	}
	if err := execute(ctx, conn, patient(b.fit.Server.Major())...); err != nil {
		closeConn(conn)
		return nil, err
	}
	if isSuperuser(conn) {
		if err := execute(ctx, conn, "SET "+hurry); err != nil {
			closeConn(conn)
			return nil, err
		}
	}
	return conn, nil
}

func isSuperuser(conn *pgx.Conn) bool { return conn.PgConn().ParameterStatus("is_superuser") == "on" }

// hurry makes autovacuum, which finds much to do in a database that is being
// restored, give way sooner to an index that is to be built: it does so to
// whoever has waited for it that long. Only a superuser may set it.
const hurry = "deadlock_timeout=100" // milliseconds

// indexes has pg_restore restore what comes behind the rows: indexes and
// constraints first, several at once, then the rest one by one. Attaching the
// indexes of partitions to those of their parents locks both, and two at once
// have been seen to deadlock.
func (b *build) indexes(ctx context.Context, desk desk, schema string) error {
	var list bytes.Buffer
	if err := b.Tools.list(ctx, max(b.fit.Server.Major(), b.capture.Server.Major()), schema, &list); err != nil {
		return err
	}
	first, rest := splitList(list.String())
	for _, part := range []struct {
		entries string
		jobs    int
	}{{first, b.Options.lanes()}, {rest, 1}} {
		path, err := desk.put(ctx, "schema.list", strings.NewReader(part.entries))
		if err != nil {
			return err
		}
		if err := b.section(ctx, schema, part.jobs, "--section=post-data", "--use-list="+path); err != nil {
			return err
		}
	}
	return nil
}

// splitList divides pg_restore's list of a dump's entries into those that may
// be restored side by side and the others. An entry reads "3456; 1259 16403
// INDEX schema name owner".
func splitList(list string) (parallel, serial string) {
	var first, rest strings.Builder
	for _, line := range strings.SplitAfter(list, "\n") {
		if strings.HasPrefix(line, ";") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) > 4 && (fields[3] == "INDEX" && fields[4] != "ATTACH" || fields[3] == "CONSTRAINT") {
			first.WriteString(line)
		} else {
			rest.WriteString(line)
		}
	}
	return first.String(), rest.String()
}

// section has pg_restore restore the part of the schema that which chooses.
func (b *build) section(ctx context.Context, schema string, jobs int, which ...string) error {
	args := append(which, "--no-tablespaces")
	if jobs > 1 {
		args = append(args, fmt.Sprintf("--jobs=%d", jobs))
	}
	if !b.fit.KeepOwners {
		args = append(args, "--no-owner")
	}
	if b.picksGrants() {
		args = append(args, "--no-privileges")
	}
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	memory, err := b.indexMemory(ctx, conn, jobs)
	super := isSuperuser(conn)
	closeConn(conn)
	if err != nil {
		return err
	}
	settings := fmt.Sprintf("-c maintenance_work_mem=%dkB -c max_parallel_maintenance_workers=%d -c synchronous_commit=off -c statement_timeout=0 -c lock_timeout=0"+
		" -c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=off", memory>>10, max(0, b.Options.lanes()-jobs))
	if super {
		settings += " -c " + hurry
	}
	info := b.info.With("options", strings.TrimSpace(b.info.Get("options")+" "+settings))
	major := max(b.fit.Server.Major(), b.capture.Server.Major())
	forgiving, err := b.forgiving(ctx, major)
	if err != nil {
		return err
	}
	if !forgiving {
		args = append(args, "--exit-on-error")
	}
	err = b.Tools.run(ctx, major, info, []string{"PGAPPNAME=holdfast restore"}, nil, nil, "pg_restore", append(args, schema)...)
	var tool *toolFailed
	if forgiving && errors.As(err, &tool) && onlyUnknownTimeout(tool) {
		return nil
	}
	return err
}

// forgiving says whether pg_restore will stumble over its own first statement:
// since version 17 it sets transaction_timeout, whatever the server.
func (b *build) forgiving(ctx context.Context, major int) (bool, error) {
	if b.fit.Server.Major() >= 17 {
		return false, nil
	}
	path, err := b.Tools.find(ctx, "pg_restore", major)
	return err == nil && b.Tools.versionOf(ctx, path) >= 17, err
}

// onlyUnknownTimeout reads what pg_restore complained of before it ended:
// whether every error that it passed over was that one. It is told by the
// statement, as the server may speak any language.
func onlyUnknownTimeout(t *toolFailed) bool {
	errors := strings.Count(t.complaint, "error: ")
	return !t.cut && errors > 0 && strings.Contains(t.complaint, "errors ignored on restore") &&
		errors == strings.Count(t.complaint, "Command was: SET transaction_timeout = 0;")
}

// rows loads every table, the largest first, and proves each right after its
// last row, while its pages are still in memory.
//
// A table is loaded by one lane in one transaction, which lets Postgres write
// its rows frozen: nobody has to come back later to mark them visible, and the
// proof and the index builds, which read them next, leave the pages clean. Only
// a table that would keep one lane busy when all others are done is shared
// between lanes, segment by segment.
func (b *build) rows(ctx context.Context) error {
	tables := slices.Clone(b.capture.Tables)
	slices.SortStableFunc(tables, func(a, z holdfast.Table) int { return cmp.Compare(z.Bytes, a.Bytes) })
	for _, t := range tables {
		b.total += 2 * t.Bytes
	}
	share := b.total / 2 / int64(b.Options.lanes())
	jobs := make(chan job)
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		defer close(jobs)
		for _, t := range tables {
			for _, j := range divide(t, share) {
				select {
				case jobs <- j:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		return nil
	})
	for range b.Options.lanes() {
		work.Go(func() error {
			l, err := connectReader(ctx, b.Target, "holdfast restore", b.capture.Database.Encoding, b.fit.Server.Major())
			if err != nil {
				return err
			}
			defer l.close()
			for j := range jobs {
				if err := b.load(ctx, l, j); err != nil {
					return err
				}
				if j.left.Add(-1) > 0 {
					continue
				}
				if err := b.prove(ctx, l, j.table); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// job is what one lane loads at once: a whole table, or a segment of one.
type job struct {
	table    holdfast.Table
	segments []holdfast.Segment
	whole    bool
	left     *atomic.Int64 // jobs of the table that are not done
}

// divide makes the jobs of a table: one, unless it is larger than share bytes.
func divide(t holdfast.Table, share int64) []job {
	left := &atomic.Int64{}
	if t.Bytes <= share || len(t.Segments) < 2 {
		left.Store(1)
		return []job{{t, t.Segments, true, left}}
	}
	left.Store(int64(len(t.Segments)))
	var jobs []job
	for i := range t.Segments {
		jobs = append(jobs, job{t, t.Segments[i : i+1], false, left})
	}
	return jobs
}

// load writes the rows of a job.
func (b *build) load(ctx context.Context, l *lease, j job) error {
	ident := pgx.Identifier{j.table.Schema, j.table.Name}.Sanitize()
	// An extension made the rows that its configuration table has already.
	frozen := j.whole && j.table.Rows > 0 && j.table.Condition == ""
	if frozen {
		if err := execute(ctx, l.conn, "BEGIN", "TRUNCATE ONLY "+ident); err != nil {
			return fmt.Errorf("table %s: %w", ident, err)
		}
	}
	for _, s := range j.segments {
		if err := b.segment(ctx, l, j.table, s, frozen); err != nil {
			return fmt.Errorf("table %s, file %s: %w", ident, s.File, err)
		}
	}
	if frozen {
		if err := execute(ctx, l.conn, "COMMIT"); err != nil {
			return fmt.Errorf("table %s: %w", ident, err)
		}
	}
	return nil
}

// segment writes the rows of one file.
func (b *build) segment(ctx context.Context, l *lease, t holdfast.Table, s holdfast.Segment, frozen bool) error {
	defer b.report(s.Bytes)
	if s.Rows == 0 {
		return nil
	}
	in, err := b.open(ctx, s.File)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	from := &supplier{Reader: in}
	into := pgx.Identifier{t.Schema, t.Name}.Sanitize()
	if len(t.Columns) > 0 {
		into += " (" + selection(t.Columns) + ")"
	}
	tag, err := l.conn.PgConn().CopyFrom(ctx, from, fmt.Sprintf("COPY %s FROM STDIN (FORMAT %s, FREEZE %t)", into, t.Format, frozen))
	if err := cmp.Or(from.err, err); err != nil {
		return err
	}
	if tag.RowsAffected() != s.Rows {
		return fmt.Errorf("%d rows were written, the manifest has %d", tag.RowsAffected(), s.Rows)
	}
	return nil
}

func (b *build) report(bytes int64) {
	b.Options.Progress.Report(holdfast.Step{Subject: "restore " + string(b.capture.Component), Done: b.done.Add(bytes), Total: b.total})
}

// prove reads a restored table back and compares it with the manifest.
func (b *build) prove(ctx context.Context, l *lease, t holdfast.Table) error {
	got, err := digestTable(ctx, l, t)
	if err != nil {
		return err
	}
	if got.rows != t.Rows || got.digest != t.Digest {
		return mismatch(fmt.Sprintf("table %s of %s", pgx.Identifier{t.Schema, t.Name}.Sanitize(), b.capture.Component),
			fmt.Sprintf("%d rows, digest %s", got.rows, got.digest), fmt.Sprintf("%d rows, digest %s", t.Rows, t.Digest))
	}
	b.report(t.Bytes)
	return nil
}

func digestTable(ctx context.Context, l *lease, t holdfast.Table) (stream, error) {
	where := ""
	if t.Condition != "" {
		where = " " + t.Condition
	}
	got, err := l.read(ctx, copySQL(pgx.Identifier{t.Schema, t.Name}.Sanitize(), t.Columns, where, t.Format), t.Format, nil)
	if err != nil {
		return got, fmt.Errorf("read table %s.%s back: %w", t.Schema, t.Name, err)
	}
	return got, nil
}

func mismatch(what, got, want string) error {
	return &holdfast.Problem{Class: holdfast.NotProven, What: fmt.Sprintf("%s came back different: %s; the manifest has %s", what, got, want),
		Why: "What was restored is not what was captured, so it must not be used.",
		Do:  "Try another set: `holdfast list`. Keep this one, and report it."}
}

// finish sets the sequences, fills materialized views, gathers statistics, and
// compares what the database says about itself with the manifest.
func (b *build) finish(ctx context.Context) error {
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	var sets []string
	for _, s := range b.capture.Sequences {
		sets = append(sets, fmt.Sprintf("pg_catalog.setval('%s'::pg_catalog.regclass, %d, %t)",
			strings.ReplaceAll(pgx.Identifier{s.Schema, s.Name}.Sanitize(), "'", "''"), s.Last, s.Called))
	}
	for chunk := range slices.Chunk(sets, 100) {
		if _, err := conn.Exec(ctx, "SELECT "+strings.Join(chunk, ", ")); err != nil {
			return fmt.Errorf("sequences: %w", err)
		}
	}
	for _, v := range b.capture.Views {
		if _, err := conn.Exec(ctx, "REFRESH MATERIALIZED VIEW "+pgx.Identifier{v.Schema, v.Name}.Sanitize()); err != nil {
			return fmt.Errorf("materialized view %s.%s: %w", v.Schema, v.Name, err)
		}
	}
	if err := b.analyze(ctx, conn); err != nil {
		return fmt.Errorf("gather statistics: %w", err)
	}
	got, err := sequences(ctx, conn)
	if err != nil {
		return err
	}
	if !slices.Equal(got, b.capture.Sequences) {
		return mismatch("the sequences of "+string(b.capture.Component), fmt.Sprint(got), fmt.Sprint(b.capture.Sequences))
	}
	if b.Facts == nil {
		return nil
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	facts, err := b.Facts(ctx, tx, b.capture.Kind)
	if err != nil {
		return err
	}
	if diff := factsDiffer(facts, b.capture.Facts); diff != "" {
		return mismatch("what "+string(b.capture.Component)+" says about itself", diff, "other facts")
	}
	return nil
}

// analyze gathers statistics as ANALYZE alone does, of several tables at once.
func (b *build) analyze(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `SELECT format('%I.%I', n.nspname, c.relname), c.relkind = 'p' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' ORDER BY c.relpages DESC`)
	if err != nil {
		return err
	}
	var name string
	var parent bool
	var single, parents []string
	if _, err := pgx.ForEachRow(rows, []any{&name, &parent}, func() error {
		if parent {
			parents = append(parents, name)
		} else {
			single = append(single, name)
		}
		return nil
	}); err != nil {
		return err
	}
	queue := make(chan string, len(single))
	for _, name := range single {
		queue <- name
	}
	close(queue)
	work, lane := errgroup.WithContext(ctx)
	for range b.Options.lanes() {
		work.Go(func() error {
			conn, err := b.connect(lane)
			if err != nil {
				return err
			}
			defer closeConn(conn)
			for name := range queue {
				if _, err := conn.Exec(lane, "ANALYZE "+name); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	// A partitioned table's own statistics come from its partitions, which
	// Postgres then reads again.
	for _, name := range parents {
		if _, err := conn.Exec(ctx, "ANALYZE "+name); err != nil {
			return err
		}
	}
	return nil
}

// indexMemory is how much memory one of jobs index builds may use: what the
// machine has, when the server is on it, else what the server's own settings
// suggest; never less than the server would use by itself.
func (b *build) indexMemory(ctx context.Context, conn *pgx.Conn, jobs int) (int64, error) {
	var own, shared int64
	if err := conn.QueryRow(ctx, `SELECT pg_size_bytes(current_setting('maintenance_work_mem')), pg_size_bytes(current_setting('shared_buffers'))`).Scan(&own, &shared); err != nil {
		return 0, err
	}
	const most = 1 << 30
	share := shared / int64(4*jobs)
	if free := availableMemory(); free > 0 && isLocal(conn.PgConn()) {
		share = free / int64(4*jobs)
	}
	return max(own, min(share, most)), nil
}

func isLocal(conn *pgconn.PgConn) bool {
	address := conn.Conn().RemoteAddr()
	return address.Network() == "unix" || strings.HasPrefix(address.String(), "127.") || strings.HasPrefix(address.String(), "[::1]")
}

// availableMemory is what Linux says could be used without swapping; 0 when it
// does not say.
func availableMemory() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(text), "\n") {
		var kb int64
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	return 0
}

// factsDiffer compares the facts of a restored database with the recorded
// ones and names the first difference, or returns "".
func factsDiffer(got, want holdfast.Facts) string {
	a, errA := json.Marshal(got)
	b, errB := json.Marshal(want)
	if err := errors.Join(errA, errB); err != nil {
		return err.Error()
	}
	if string(a) == string(b) {
		return ""
	}
	return string(a)
}
