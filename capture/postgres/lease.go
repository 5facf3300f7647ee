package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast"
	"holdfast/internal/libpq"
)

// lease is a connection with an open transaction that holds the locks of one
// group's tables and reads in the common snapshot. TRUNCATE and most DDL do
// not respect snapshots, so the locks are taken before the snapshot is; a
// transaction may lock first and import a snapshot afterwards, because LOCK
// TABLE needs none.
//
// Every lane has a lease of its own for every group: a lane that had to ask for
// a lock while somebody already waits behind ours would wait behind him, and he
// for us.
type lease struct {
	conn *pgx.Conn
	wire *wire
}

// patient are the settings that take our own timeouts, and the habits of roles
// and databases that would stop us, away from the server's defaults.
func patient(major int) []string {
	settings := []string{
		"SET statement_timeout = 0", "SET lock_timeout = 0", "SET idle_in_transaction_session_timeout = 0",
		"SET idle_session_timeout = 0",
		"SET default_transaction_read_only = off", "SET synchronous_commit = off",
	}
	if major >= 17 {
		settings = append(settings, "SET transaction_timeout = 0")
	}
	return settings
}

// reading are the settings of every session that reads or writes rows: they
// pin the text form of values and keep scans in block order.
func reading(encoding string, major int) []string {
	return append([]string{
		"SET client_encoding = '" + encoding + "'",
		"SET datestyle = 'ISO, YMD'", "SET intervalstyle = 'postgres'", "SET timezone = 'UTC'",
		"SET bytea_output = 'hex'",
		"SET extra_float_digits = 3", "SET lc_monetary = 'C'", "SET xmloption = 'content'",
		"SET synchronize_seqscans = off", "SET enable_seqscan = off",
		"SET enable_bitmapscan = off",
		"SET enable_indexscan = off", "SET max_parallel_workers_per_gather = 0", "SET jit = off",
	}, patient(major)...)
}

// connectReader opens a connection whose rows are read by a wire.
func connectReader(ctx context.Context, t libpq.Address, application, encoding string, major int) (*lease, error) {
	l := &lease{}
	conn, err := t.Connect(ctx, libpq.Options{Application: application, Wrap: func(r io.Reader) io.Reader {
		l.wire = newWire(r)
		return l.wire
	}})
	if err != nil {
		return nil, err
	}
	l.conn = conn
	if err := execute(ctx, conn, reading(encoding, major)...); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func execute(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	_, err := conn.PgConn().Exec(ctx, strings.Join(statements, "; ")).ReadAll()
	return err
}

// lock opens the transaction and takes ACCESS SHARE on the tables.
func (l *lease) lock(ctx context.Context, tables []relation, timeout time.Duration) error {
	statements := []string{fmt.Sprintf("SET lock_timeout = %d", timeout.Milliseconds()),
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
	var names []string
	for _, r := range tables {
		names = append(names, "ONLY "+r.ident())
	}
	if len(names) > 0 {
		statements = append(statements, "LOCK TABLE "+strings.Join(names, ", ")+" IN ACCESS SHARE MODE")
	}
	return execute(ctx, l.conn, statements...)
}

// enter makes the transaction read in the snapshot.
func (l *lease) enter(ctx context.Context, snapshot string) error {
	return execute(ctx, l.conn, "SET TRANSACTION SNAPSHOT '"+snapshot+"'")
}

// read runs one unit's COPY.
func (l *lease) read(ctx context.Context, sql, format string, out io.Writer) (stream, error) {
	return copyOut(ctx, l.conn.PgConn(), l.wire, sql, format, out)
}

// readRows runs the COPY of a strip.
func (l *lease) readRows(ctx context.Context, sql string, out holdfast.Splicer) (stream, error) {
	return copyRows(ctx, l.conn.PgConn(), l.wire, sql, out)
}

// close gives the locks back by ending the session. It is called on every way
// out, a cancelled one included, so it takes no context of the caller's.
func (l *lease) close() {
	if l == nil || l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = l.conn.Close(ctx)
}

// lockTimedOut reports whether a lock was not granted in time.
func lockTimedOut(err error) bool { return code(err) == "55P03" }

// vanished reports whether an object was dropped between planning and locking.
func vanished(err error) bool {
	switch code(err) {
	case "42P01", "3F000", "42703": // undefined table, schema, column
		return true
	}
	return false
}

func code(err error) string {
	if pg := refused(err); pg != nil {
		return pg.Code
	}
	return ""
}

// refused is the server's own error, nil where it is another's.
func refused(err error) *pgconn.PgError {
	var pg *pgconn.PgError
	errors.As(err, &pg)
	return pg
}
