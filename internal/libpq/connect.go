package libpq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"holdfast"
)

// Address is a database to connect to. Password and Dial may be nil: the
// password is then that of the connection string, of PGPASSWORD or of the
// password file, and the network is dialled as usual.
type Address struct {
	Conninfo
	Password holdfast.SecretFunc
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	// Reroute is given the error of a server that was reached and refused. True:
	// Dial goes another way now, and it is tried again. Nil: there is one way.
	Reroute func(error) bool
	// Silence is how long the server may send nothing before it is asked for the
	// last time whether it is at work; 0 for watchdog.DefaultLimit.
	Silence time.Duration
	// Run runs Postgres's client programs where the server is, such as in its
	// container; nil: they run on this machine.
	Run Runner
}

// Runner runs a program on another machine or in a container and returns its
// exit code. The variables are added to those that are there.
type Runner func(ctx context.Context, env []string, in io.Reader, out, complaint io.Writer, argv ...string) (int, error)

// Resolve reads the password where it rests, once, so that the Conninfo can be
// handed to child processes.
func (t Address) Resolve(ctx context.Context) (Conninfo, error) {
	if t.Password == nil {
		return t.Conninfo, nil
	}
	password, err := t.Password(ctx)
	if err != nil {
		return Conninfo{}, err
	}
	return t.WithPassword(password), nil
}

// On returns the same target with another database.
func (t Address) On(database string) Address {
	t.Conninfo = t.With("dbname", database)
	return t
}

// Options are what one use of a connection needs beyond the defaults.
type Options struct {
	Application string                    // shown in pg_stat_activity; "holdfast" if empty
	Settings    map[string]string         // run-time parameters of the session
	Wrap        func(io.Reader) io.Reader // put between the socket and the protocol's reader
	Notice      func(*pgconn.Notice)      // hears what the server only remarks, such as warnings
}

// hardened are the settings of every session, ours and those of the client
// programs: a search path and a reading of literals of our own, and no policy of
// a table, so that nothing of the database's runs in the place of Postgres's as
// our role, and none of the limits that a role or a database may have for its
// programs. They are given when the session starts, before any statement, and
// end with it. Temporary objects come last: unnamed they would come first.
var hardened = map[string]string{
	"search_path":                         "pg_catalog,pg_temp",
	"standard_conforming_strings":         "on",
	"row_security":                        "off",
	"statement_timeout":                   "0",
	"lock_timeout":                        "0",
	"idle_session_timeout":                "0",
	"idle_in_transaction_session_timeout": "0",
	"default_transaction_read_only":       "off",
}

// Hardened returns a copy for a client program, whose sessions start with the
// settings of ours. What the connection string sets itself comes before them.
func (c Conninfo) Hardened() Conninfo {
	options := []string{c.values["options"]}
	for _, name := range sortedKeys(hardened) {
		options = append(options, "-c "+name+"="+hardened[name])
	}
	return c.With("options", strings.TrimSpace(strings.Join(options, " ")))
}

// Connect opens a connection to a server itself: one that a pooler stands in
// front of is refused, because settings and locks of a session would reach the
// node's own programs. Statements are not prepared, so that changing schemas do
// no harm. A failure is a Problem that says whether the server, the database,
// the user or the password is at fault. A server that falls silent later is given
// up, unless it is at work.
func (t Address) Connect(ctx context.Context, o Options) (*pgx.Conn, error) {
	config, err := t.configFor(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &session{server: t, options: o}
	config.DialFunc = s.guarded(config.DialFunc)
	conn, err := pgx.ConnectConfig(ctx, config)
	for tries := 3; err != nil && tries > 0 && t.Reroute != nil && ctx.Err() == nil && t.Reroute(err); tries-- {
		conn, err = pgx.ConnectConfig(ctx, config)
	}
	if err != nil {
		return nil, t.explain(err)
	}
	s.pid.Store(conn.PgConn().PID())
	ctx, cancel := context.WithTimeout(ctx, config.ConnectTimeout)
	defer cancel()
	if err := t.itself(ctx, conn); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

// configFor is how a session of that use is opened.
func (t Address) configFor(ctx context.Context, o Options) (*pgx.ConnConfig, error) {
	info, err := t.Resolve(ctx)
	if err != nil {
		return nil, fmt.Errorf("password for %s: %w", t.Where(), err)
	}
	config, err := info.config()
	if err != nil {
		return nil, &holdfast.Problem{
			Class: holdfast.Usage,
			What:  fmt.Sprintf("the connection string of %s is not usable", t.Where()),
			Err:   redact(err, info.password),
			Do: "See the libpq documentation on connection strings. " +
				"Passwords with special characters belong in a file: `password: file:/path`.",
		}
	}
	if t.Dial != nil {
		config.DialFunc = t.Dial
		config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	}
	if t.Silence > 0 {
		config.ConnectTimeout = min(config.ConnectTimeout, t.Silence)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	maps.Copy(config.RuntimeParams, hardened)
	config.RuntimeParams["application_name"] = cmp.Or(o.Application, "holdfast")
	maps.Copy(config.RuntimeParams, o.Settings)
	if o.Notice != nil {
		config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { o.Notice(n) }
	}
	if o.Wrap != nil {
		config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
			return pgproto3.NewFrontend(o.Wrap(r), w)
		}
	}
	return config, nil
}

func redact(err error, password holdfast.Secret) error {
	if password.IsEmpty() {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), password.Reveal(), "[secret]"))
}

func (t Address) explain(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	p := &holdfast.Problem{
		Class: holdfast.Unreachable,
		What:  "cannot connect to " + t.Where(),
		Err:   err,
		Do:    "Check host, port and that the server is up: `pg_isready` with the same values.",
	}
	var way *holdfast.Problem
	if errors.As(err, &way) && way.Do != "" { // of Dial, which knows what it goes through
		p.Class, p.Err, p.Do = way.Class, errors.New(way.What), way.Do
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if refusedByPooler(pg) {
			return t.pooled()
		}
		p.Err = fmt.Errorf("%s (%s)", pg.Message, pg.Code)
		switch pg.Code {
		case "28P01":
			p.Class = holdfast.WrongKey
			p.Do = "Check the user and the source of its password. pg_hba.conf decides which users may connect from here."
		case "28000":
			p.Class = holdfast.WrongKey
			p.Do = "Check that the user may log in, and that pg_hba.conf lets it in from here. " +
				"The line to add above what rejects it: `" + t.letIn(pg.Message) + "`; then SELECT pg_reload_conf()."
		case "3D000":
			p.Class, p.Do = holdfast.Usage, "List the server's databases with `psql -l` and correct the name."
		case "42501":
			p.Class, p.Do = holdfast.WrongKey, "GRANT CONNECT ON DATABASE to this user."
		case "53300":
			p.Do = "Raise max_connections of the server, or lower `dump.connections` in holdfast.yaml."
		case "55000": // of a database that lets nobody in
			p.Class = holdfast.Refused
			p.Do = "Its ALLOW_CONNECTIONS is false. If a restore was interrupted, finish it: `holdfast restore SET --yes`."
		case "57P01", "57P02", "57P03":
			p.Do = "The server is starting, stopping or recovering: try again when it is ready."
		}
	}
	return p
}

// letIn is the line of pg_hba.conf that lets this connection in. A server names
// the address that it refuses, in whatever language.
func (t Address) letIn(refusal string) string {
	from := "ADDRESS/32"
	for _, word := range strings.FieldsFunc(refusal, func(r rune) bool { return strings.ContainsRune(" \"'«»„“”,;", r) }) {
		if at, err := netip.ParseAddr(word); err == nil {
			from = netip.PrefixFrom(at, at.BitLen()).String()
			break
		}
	}
	quote := func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
	return fmt.Sprintf("host %s %s %s scram-sha-256", quote(t.Database()), quote(t.Get("user")), from)
}
