package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/content"
	"holdfast/event"
	"holdfast/grace"
	"holdfast/internal/libpq"
	"holdfast/target"
)

// Loader puts a dump back into a fresh database and proves that it is there.
// Target names the server; the database it names is only used to connect
// while the new one is created.
type Loader struct {
	Address libpq.Address
	Tools   Tools
	Options LoadOptions
	// Facts reads the facts of the restored database, as a Dumper does.
	Facts func(ctx context.Context, tx pgx.Tx, kind holdfast.Kind) (holdfast.Facts, error)
}

// LoadOptions tune a restore.
type LoadOptions struct {
	Lanes   int    // streams written and indexes built at once; 0 means one more than cores
	Locale  string // collation and character type instead of the recorded ones
	NoOwner bool   // everything belongs to the connecting user
	// Without are objects to leave out, by the names that a manifest's needs have.
	Without []string
	Events  event.Listener
}

func (o LoadOptions) lanes() int {
	if o.Lanes > 0 {
		return o.Lanes
	}
	// One more than cores: a lane waits now and then, for its partner at the
	// other end of the connection or for a disk.
	return 1 + max(2, runtime.NumCPU())
}

// Survey looks at the target server: what the capture needs and is not there,
// and whose its objects will be.
func (l Loader) Survey(ctx context.Context, c holdfast.Part) (target.Compatibility, error) {
	if _, err := content.RowsOf(c); err != nil {
		return target.Compatibility{}, err
	}
	conn, err := l.connect(ctx)
	if err != nil {
		return target.Compatibility{}, err
	}
	defer closeConn(conn)
	p := target.Compatibility{DatabaseBytes: c.Database.Bytes, Without: l.without(c)}
	has, err := l.has(ctx, conn, c)
	if err != nil {
		return p, err
	}
	p.Server = has.Server
	p.Bound = target.BoundOf(c, has, p.Without)
	p.Differences = target.Compare(c, has, target.Choice{
		NoOwner: l.Options.NoOwner,
		Locale:  l.Options.Locale,
		Without: p.Without,
	})
	if p.Server.Major() < c.Server.Major() {
		return p, nil // nothing else matters
	}
	if err := l.roles(ctx, conn, c, &p); err != nil {
		return p, err
	}
	if _, err := l.Tools.near(l.Address).find(ctx, "pg_restore",
		max(p.Server.Major(), c.Server.Major())); err != nil {
		return p, err
	}
	return p, nil
}

// without are those of the names to leave out that this capture has.
func (l Loader) without(c holdfast.Part) []string {
	var out []string
	for _, name := range c.Database.Needs.Optional() {
		if slices.Contains(l.Options.Without, name) {
			out = append(out, name)
		}
	}
	return out
}

// Load puts the capture into the database name, which Create has made. Whatever
// fails, that database is dropped and nothing else was touched. The nil error means that every digest, every sequence and the
// facts of the restored database equal the recorded ones, and that the database
// is closed: nobody connects to it before it is opened. Lasting says that it
// stays as it is whatever happens to the server.
func (l Loader) Load(
	ctx context.Context, name string, c holdfast.Part, fit target.Compatibility, files holdfast.Files,
) (lasting bool, err error) {
	defer func() {
		if err != nil {
			late, done := grace.Period(ctx, grace.Cleanup)
			defer done()
			err = errors.Join(err, l.Drop(late, name))
		}
	}()
	rows, err := content.RowsOf(c)
	if err != nil {
		return false, err
	}
	rows = without(rows, fit.Without)
	l.Tools = l.Tools.near(l.Address)
	b := &build{Loader: l, outside: l, name: name, capture: c, rows: rows, fit: fit, files: files}
	b.Address = l.Address.On(name)
	if b.info, err = b.Address.Resolve(ctx); err != nil {
		return false, err
	}
	err = b.run(ctx)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	o := restoring(c.Component, name, l.Address.Where())
	if explained := o.explain(err); explained != err || err == nil { //nolint:errorlint // whether it was explained, not what it is
		return b.lasting, explained
	}
	return false, fmt.Errorf("%s: %w", o.what, err)
}

// Recipe is a name for all that makes a database of a capture what it is: the
// capture itself, and how it is put back. Databases of one recipe are equal.
func (l Loader) Recipe(c holdfast.Part, fit target.Compatibility) string {
	text, err := json.Marshal(struct {
		Capture       holdfast.Part
		Locale        string
		KeepOwners    bool
		MissingRoles  []string
		LostGrants    []holdfast.Grant
		Without       []string
		ServerVersion int
	}{c, l.Options.Locale, fit.KeepOwners, fit.MissingRoles, fit.LostGrants, fit.Without, fit.Server.Major()})
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// Drop drops a database that a Load made.
func (l Loader) Drop(ctx context.Context, name string) error {
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	ident := pgx.Identifier{name}.Sanitize()
	var template bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)`,
		name).Scan(&template); err != nil {
		return err
	}
	if template { // which is not dropped
		if _, err := conn.Exec(ctx, "ALTER DATABASE "+ident+" IS_TEMPLATE false"); err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+ident+" WITH (FORCE)")
	return err
}

// connect opens a session in a database other than the new one.
func (l Loader) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := l.Address.Connect(ctx, libpq.Options{Application: "holdfast restore"})
	if err != nil {
		return nil, err
	}
	if err := execute(ctx, conn, patient(0)...); err != nil {
		closeConn(conn)
		return nil, err
	}
	return conn, nil
}

// Create makes the empty database that the capture goes into, with the recorded
// encoding and locale. It lets in nobody.
func (l Loader) Create(ctx context.Context, name string, c holdfast.Part) error {
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	s, err := server(ctx, conn)
	if err != nil {
		return err
	}
	sql := createSQL(name, c.Database, s.Major(), l.Options.Locale) + " ALLOW_CONNECTIONS false"
	if isSuperuser(conn) {
		sql += " CONNECTION LIMIT 0" // which superusers pass
	}
	_, err = conn.Exec(ctx, sql)
	switch {
	case err == nil:
		return nil
	case code(err) == "42P04":
		return &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("there is a database %s already", name),
			Why:   "It may be left over from a restore that was killed; it is not overwritten.",
			Do:    "Look at it, then drop it: `holdfast restore clean`.",
		}
	case code(err) == "22023" || code(err) == "42704" || strings.Contains(err.Error(), "locale"):
		return &holdfast.Problem{
			Class: holdfast.Failed,
			What:  "create database " + name,
			Err:   err,
			Why: fmt.Sprintf("The database was made with the locale %s, which this server does not have.",
				c.Database.Collate),
			Do: "Install the locale on the server, or restore with another one: --locale C.UTF-8. Canton's columns " +
				"collate as \"C\" either way.",
		}
	case code(err) == "": // not the server's: the error says itself what to do
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  "create database " + name,
		Err:   err,
		Do:    "The message is the server's own.",
	}
}

func createSQL(name string, d holdfast.Database, major int, locale string) string {
	lit := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	sql := fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0 ENCODING %s", pgx.Identifier{name}.Sanitize(),
		lit(d.Encoding))
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
