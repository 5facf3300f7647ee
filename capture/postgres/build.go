package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"holdfast"
	"holdfast/content"
	"holdfast/internal/libpq"
	"holdfast/target"
)

// build is one database being restored.
type build struct {
	Loader         // its address is the new database
	outside Loader // in another database of the server
	name    string
	capture holdfast.Part
	rows    content.Rows
	fit     target.Compatibility
	files   holdfast.Files
	info    libpq.Conninfo
	own     []content.Global  // what belonged to the database itself
	trial   *trial            // nil: whatever fails ends the build
	lasting bool              // nothing in it is lost when the server crashes
	super   bool              // our role is a superuser in the new database
	session map[string]string // settings of every session in the new database

	done  atomic.Int64
	total int64
}

// run goes through the phases: what pg_restore makes before there are rows, all
// that is done table by table, and the rest of what comes behind the rows.
func (b *build) run(ctx context.Context) error {
	// pg_restore works in parallel only from a file it can seek in. The schema
	// holds no rows.
	desk, err := b.Tools.desk(ctx)
	if err != nil {
		return err
	}
	defer desk.clear()
	schema, err := b.fetch(ctx, b.rows.Schema, desk)
	if err != nil {
		return err
	}
	if err := b.outside.Admit(ctx, b.name); err != nil {
		return err
	}
	if err := b.owner(ctx); err != nil {
		return err
	}
	if b.own, err = b.ofDatabase(ctx); err != nil {
		return err
	}
	if err := b.privileges(ctx); err != nil {
		return err
	}
	var behind behind
	before, beforeCtx := errgroup.WithContext(ctx)
	before.Go(func() error { return b.beforeRows(beforeCtx, desk, schema) })
	before.Go(func() error {
		var err error
		behind, err = b.behind(beforeCtx, schema)
		return err
	})
	if err := before.Wait(); err != nil {
		return err
	}
	lent, err := b.lend(ctx)
	if err != nil {
		return err
	}
	checks, err := b.setAside(ctx)
	if err != nil {
		return err
	}
	if err := b.tables(ctx, behind.indexes); err != nil {
		return err
	}
	if err := b.buildLate(ctx, behind.late); err != nil {
		return err
	}
	if err := b.rest(ctx, desk, schema, behind); err != nil {
		return err
	}
	if err := b.grants(ctx, desk, schema); err != nil {
		return err
	}
	if err := b.finish(ctx, checks); err != nil {
		return err
	}
	if err := b.giveBack(ctx, lent); err != nil {
		return err
	}
	return b.end(ctx, desk, schema, behind, checks)
}

// end makes what would act on our own statements and sessions, and proves the
// database behind the last change. What is said from here on is said in sessions
// that were opened before: event triggers see no login, and settings such as
// default_transaction_read_only or a connection limit of one do not stop us.
func (b *build) end(ctx context.Context, desk desk, schema string, behind behind, checks []aside) error {
	if b.trial != nil { // there is nothing to prove, and no session is to be kept out
		return errors.Join(b.judge(ctx, checks), b.entries(ctx, desk, schema, behind.last, 1))
	}
	proof, err := b.openProof(ctx, checks)
	if err != nil {
		return err
	}
	defer proof.close()
	if err := b.entries(ctx, desk, schema, behind.last, 1); err != nil {
		return err
	}
	if err := b.shut(ctx, proof.conn); err != nil {
		return err
	}
	if err := b.settings(ctx, proof.conn); err != nil {
		return err
	}
	return proof.run(ctx)
}

// beforeRows has pg_restore make what there is before there are rows.
func (b *build) beforeRows(ctx context.Context, desk desk, schema string) error {
	which := []string{"--section=pre-data"}
	if len(b.fit.Without) > 0 {
		var list bytes.Buffer
		major := max(b.fit.Server.Major(), b.capture.Server.Major())
		if err := b.Tools.read(ctx, major, nil, &list, "the schema's list", "--list", schema); err != nil {
			return err
		}
		path, err := desk.put(ctx, "schema.kept", strings.NewReader(leaveOutOfAll(list.String(), b.fit.Without)))
		if err != nil {
			return err
		}
		which = append(which, "--use-list="+path)
	}
	return b.section(ctx, schema, 1, which...)
}

func (b *build) fetch(ctx context.Context, name string, desk desk) (string, error) {
	in, err := b.open(ctx, name)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	from := &supplier{from: in}
	path, err := desk.put(ctx, "schema.dump", from)
	return path, cmp.Or(from.end(), err)
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
	if _, err := conn.Exec(ctx,
		"ALTER DATABASE "+pgx.Identifier{b.name}.Sanitize()+" OWNER TO "+
			pgx.Identifier{b.capture.Database.Owner}.Sanitize()); err != nil {
		return fmt.Errorf("owner of the database: %w", err)
	}
	return nil
}

// shut closes the database to everybody, superusers included, and takes back
// what kept others out until then. Sessions that are open stay.
func (b *build) shut(ctx context.Context, inside *pgx.Conn) error {
	err := inside.QueryRow(ctx,
		`SELECT NOT EXISTS (SELECT FROM pg_class WHERE relkind = 'r' AND relpersistence = 'u')`).Scan(&b.lasting)
	if err != nil {
		return err
	}
	ident := pgx.Identifier{b.name}.Sanitize()
	return b.outside.say(ctx, "close database "+b.name,
		"ALTER DATABASE "+ident+" ALLOW_CONNECTIONS false CONNECTION LIMIT -1",
		"GRANT CONNECT, TEMPORARY ON DATABASE "+ident+" TO PUBLIC")
}

// ofDatabase reads what belonged to the old database itself, and reports what
// does not look like it.
func (b *build) ofDatabase(ctx context.Context) ([]content.Global, error) {
	in, err := b.open(ctx, b.rows.Globals)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	text, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return nil, stored{fmt.Errorf("file %s: %w", b.rows.Globals, err)}
	}
	own, foreign := ofDatabase(string(text), b.capture.Database.Name, b.fit.MissingRoles)
	for _, statement := range foreign {
		b.Options.Events.Report(StatementLeftOut{b.capture.Component, statement})
	}
	return own, nil
}

// searchPath is the statement that gives a session the search path of the
// database's own programs, behind pg_catalog: what Postgres itself calls cannot be
// shadowed. The database's settings are applied only at the end.
func (b *build) searchPath() string {
	for _, g := range b.own {
		if g.Kind == content.Setting && g.Role == "" && g.Setting == "search_path" {
			return "SET search_path TO pg_catalog, " + g.Value
		}
	}
	return `SET search_path TO pg_catalog, "$user", public` // as Postgres has it
}

// settings applies the settings of the old database to the new one, and what
// else belonged to it. What the server does not take, because only a superuser
// may set it or because it has no such setting or value, is left out and reported.
func (b *build) settings(ctx context.Context, conn *pgx.Conn) error {
	for _, g := range b.own {
		statement := g.On(b.name)
		_, err := conn.Exec(ctx, statement)
		switch code(err) {
		case "42501", "42704", "42602", "22023": // right, name, reserved name, value
			b.Options.Events.Report(SettingLeftOut{b.capture.Component, statement, err})
			continue
		}
		if err != nil {
			return fmt.Errorf("setting of the database (%s): %w", statement, err)
		}
	}
	return nil
}

// connect opens a session in the new database.
func (b *build) connect(ctx context.Context) (*pgx.Conn, error) { return b.connectWith(ctx, nil) }

// connectWith opens one whose notices somebody listens to.
func (b *build) connectWith(ctx context.Context, notice func(*pgconn.Notice)) (*pgx.Conn, error) {
	conn, err := b.Address.Connect(ctx, libpq.Options{
		Application: "holdfast restore",
		Settings:    b.session,
		Notice:      notice,
	})
	if err != nil {
		return nil, err
	}
	if err := execute(ctx, conn, patient(b.fit.Server.Major())...); err != nil {
		closeConn(conn)
		return nil, err
	}
	return conn, nil
}

// privileges finds out what only a superuser may set for the sessions in the new
// database: event triggers that come with it do not run, not even when a session
// starts.
func (b *build) privileges(ctx context.Context) error {
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if b.super = isSuperuser(conn); !b.super {
		return nil
	}
	b.session = map[string]string{"deadlock_timeout": hurry}
	if b.fit.Server.Major() >= 17 {
		b.session["event_triggers"] = "off"
	}
	return nil
}

func isSuperuser(conn *pgx.Conn) bool { return conn.PgConn().ParameterStatus("is_superuser") == "on" }

// hurry makes autovacuum, which finds much to do in a database that is being
// restored, give way sooner to an index that is to be built: it does so to
// whoever has waited for it that long. Only a superuser may set it.
const hurry = "100" // milliseconds of deadlock_timeout

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
	closeConn(conn)
	if err != nil {
		return err
	}
	settings := fmt.Sprintf("-c maintenance_work_mem=%dkB -c max_parallel_maintenance_workers=%d "+
		"-c synchronous_commit=off", memory>>10, max(0, b.Options.lanes()-jobs))
	for _, name := range slices.Sorted(maps.Keys(b.session)) {
		settings += " -c " + name + "=" + b.session[name]
	}
	info := b.info.With("options", strings.TrimSpace(b.info.Get("options")+" "+settings))
	major := max(b.fit.Server.Major(), b.capture.Server.Major())
	forgiving, err := b.forgiving(ctx, major)
	if err != nil {
		return err
	}
	switch {
	case b.trial != nil:
		args = append(args, "--verbose") // which names the objects that errors are about
	case !forgiving:
		args = append(args, "--exit-on-error")
	}
	err = b.Tools.run(ctx, major, info, "holdfast restore", nil, "pg_restore",
		append(args, schema)...)
	var tool *toolFailed
	switch failed := errors.As(err, &tool); {
	case failed && b.trial != nil:
		return b.said(ctx, tool)
	case failed && forgiving && onlyUnknownTimeout(tool):
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
