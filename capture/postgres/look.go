package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/canton"
	"holdfast/internal/libpq"
	"holdfast/observed"
)

// lookPatience is how long a look waits for a locked table: longer than most of
// what locks tables takes, and short enough for a person.
const lookPatience = 5 * time.Second

// Look finds out what the database holds and what a dump of it would read, and
// refuses what cannot be dumped. It reads catalogues only and locks nothing;
// who keeps a table locked meanwhile is named.
func (d Dumper) Look(ctx context.Context, c holdfast.Component) (observed.Outlook, error) {
	conn, err := d.Address.Connect(ctx, libpq.Options{})
	if err != nil {
		return observed.Outlook{}, err
	}
	defer closeConn(conn)
	fail := func(err error) (observed.Outlook, error) {
		if lockTimedOut(err) {
			return observed.Outlook{}, d.locked(ctx, conn, err)
		}
		return observed.Outlook{}, explain(d.Address.Where(), err)
	}
	if err := execute(ctx, conn,
		append(patient(0), fmt.Sprintf("SET lock_timeout = %d", lookPatience.Milliseconds()))...); err != nil {
		return fail(err)
	}
	s, err := server(ctx, conn)
	if err != nil {
		return fail(err)
	}
	left, err := obstacles(ctx, conn, s, d.Address.Where())
	if err != nil {
		return fail(err)
	}
	found, err := canton.Recognise(ctx, conn)
	if err != nil {
		return fail(err)
	}
	if err := found.Refuse(c, d.Address.Where()); err != nil {
		return fail(err)
	}
	if _, err := d.Tools.near(d.Address).find(ctx, "pg_dump", s.Major()); err != nil {
		return fail(err)
	}
	out := observed.Outlook{
		Component:   c.Name,
		Found:       found.What,
		Participant: found.ID,
		Database:    d.Address.Where(),
		Postgres:    s.Version,
		LeftOut:     left,
	}
	if out.Bytes, out.Instance, err = measure(ctx, conn); err != nil {
		return fail(err)
	}
	list, err := tables(ctx, conn)
	if err != nil {
		return fail(err)
	}
	for _, t := range list {
		out.Tables = append(out.Tables, observed.TableSize{Name: t.ident(), Bytes: t.bytes, Format: t.format})
	}
	return out, nil
}

// measure says how large the database is, and what identifies it among all: the
// server's start and the database's number there, which any role may read.
func measure(ctx context.Context, conn *pgx.Conn) (bytes int64, instance string, err error) {
	err = conn.QueryRow(ctx, `SELECT pg_database_size(oid),
			extract(epoch FROM pg_postmaster_start_time())::text || ' ' || current_setting('port') || ' ' || oid
		FROM pg_database WHERE datname = current_database()`).Scan(&bytes, &instance)
	return bytes, instance, err
}

// locked names who keeps us from looking.
func (d Dumper) locked(ctx context.Context, conn *pgx.Conn, cause error) error {
	return &holdfast.Problem{
		Class: holdfast.Busy,
		What:  fmt.Sprintf("%s: a table has been locked for more than %v", d.Address.Where(), lookPatience),
		Err:   cause,
		Why: "A backup reads every table, and cannot read one that is locked exclusively (TRUNCATE, ALTER TABLE, " +
			"VACUUM FULL, LOCK TABLE).",
		Do: "Exclusive locks are held or requested by: " + holders(ctx,
			conn) + ". Wait for them, or end one with SELECT pg_terminate_backend(PID); then run the backup again.",
	}
}

// holders describes the sessions that hold or ask for exclusive locks on
// relations of the database. When a query began is shown to its own user and to
// pg_monitor.
func holders(ctx context.Context, conn *pgx.Conn) string {
	// A statement that failed may have left a transaction behind.
	var sessions string
	err := execute(ctx, conn, "ROLLBACK")
	err = errors.Join(err, conn.QueryRow(ctx, `SELECT coalesce(string_agg(
			CASE WHEN l.pid IS NULL THEN format('a prepared transaction on %s (SELECT * FROM pg_prepared_xacts)', l.relation::regclass)
			ELSE format('session %s on %s (application %s, user %s%s%s)', l.pid, l.relation::regclass,
				coalesce(nullif(a.application_name, ''), 'unnamed'), coalesce(a.usename::text, 'unknown'),
				', query since ' || date_trunc('second', a.query_start), ', ' || a.state) ||
				CASE WHEN NOT l.granted THEN ', which waits for session ' || array_to_string(pg_blocking_pids(l.pid), ', ') ELSE '' END
			END, '; ' ORDER BY l.granted DESC, l.pid, l.relation), 'nobody any more')
		FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation'
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&sessions))
	if err != nil {
		return "unknown sessions (" + err.Error() + ")"
	}
	return sessions
}
