package postgres

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/canton"
	"holdfast/internal/libpq"
	"holdfast/observed"
	"holdfast/target"
)

// Live reads what a running database says of itself and of its server. It
// captures nothing: a snapshot that nobody reads lies between two readings.
type Live struct {
	Address libpq.Address
	// Facts reads what Canton keeps about itself. Nil records an unknown schema.
	Facts func(ctx context.Context, tx pgx.Tx, kind holdfast.Kind) (holdfast.Facts, error)
}

// LiveReading is one reading.
type LiveReading struct {
	holdfast.Reading

	Database holdfast.Database
	Instance string        // identifies the database among all there are
	Clock    time.Duration // the server's clock minus ours
}

// Where names the database, for people.
func (l Live) Where() string { return l.Address.Where() }

// Look says what the database holds, and refuses another than the component's.
func (l Live) Look(ctx context.Context, c holdfast.Component) (observed.Outlook, error) {
	out := observed.Outlook{Component: c.Name, Database: l.Where()}
	conn, err := l.Address.Connect(ctx, libpq.Options{})
	if err != nil {
		return out, err
	}
	defer closeConn(conn)
	s, err := server(ctx, conn)
	if err != nil {
		return out, looking(l.Where()).explain(err)
	}
	found, err := canton.Recognise(ctx, conn)
	if err != nil {
		return out, looking(l.Where()).explain(err)
	}
	if err := found.Refuse(c, l.Where()); err != nil {
		return out, err
	}
	out.Found, out.Participant, out.Postgres = found.What, found.ID, s.Version
	out.Bytes, out.Instance, err = measure(ctx, conn)
	return out, looking(l.Where()).explain(err)
}

// Read reads everything in one transaction, so that its numbers belong together.
func (l Live) Read(ctx context.Context, c holdfast.Component) (LiveReading, error) {
	var out LiveReading
	conn, err := l.Address.Connect(ctx, libpq.Options{})
	if err != nil {
		return out, err
	}
	defer closeConn(conn)
	fail := func(err error) (LiveReading, error) { return out, looking(l.Where()).explain(err) }
	if err := execute(ctx, conn, patient(0)...); err != nil {
		return fail(err)
	}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
		if out.Server, err = server(ctx, tx); err != nil {
			return err
		}
		var now time.Time
		asked := time.Now()
		if err := tx.QueryRow(ctx, `SELECT pg_postmaster_start_time(), clock_timestamp()`).
			Scan(&out.Server.Started, &now); err != nil {
			return err
		}
		out.Server.Started = out.Server.Started.UTC()
		out.Clock = now.Sub(asked.Add(time.Since(asked) / 2)).Round(time.Millisecond)
		out.Facts = holdfast.Facts{Schema: "unknown", Unknown: "nobody reads facts"}
		if l.Facts != nil {
			if out.Facts, err = l.Facts(ctx, tx, c.Kind); err != nil {
				return err
			}
		}
		if out.Database, err = database(ctx, tx, out.Server.Major()); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT extract(epoch FROM pg_postmaster_start_time())::text || ' ' ||
			current_setting('port') || ' ' || oid FROM pg_database WHERE datname = current_database()`).Scan(&out.Instance)
	})
	if err != nil {
		return fail(err)
	}
	return out, nil
}

// Through is Read by another address of the same server, such as the one that its
// provider publishes. TLS is as in the connection string.
func (l Live) Through(ctx context.Context, c holdfast.Component, host string, port int) (LiveReading, error) {
	return l.At(host, port).Read(ctx, c)
}

// At is the same database of a server at another address.
func (l Live) At(host string, port int) Live {
	at := l.Address
	at.Conninfo = at.With("host", host).With("port", fmt.Sprint(port))
	if at.Get("hostaddr") != "" {
		at.Conninfo = at.With("hostaddr", "")
	}
	l.Address = at
	return l
}

func looking(where string) occasion {
	return occasion{"read " + where, "Nothing was captured.", "run the backup again"}
}

// Sessions lists who else is connected to the database.
func (l Live) Sessions(ctx context.Context) ([]target.Obstacle, error) {
	conn, err := l.Address.Connect(ctx, libpq.Options{})
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	rows, err := conn.Query(ctx, `SELECT pid, coalesce(usename, ''), coalesce(application_name, ''),
			coalesce(host(client_addr), 'this machine')
		FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
			AND leader_pid IS NULL AND coalesce(backend_type, 'client backend') = 'client backend'
			AND NOT starts_with(coalesce(application_name, ''), 'holdfast') -- our own, which the lock keeps in order
		ORDER BY pid`)
	if err != nil {
		return nil, err
	}
	var out []target.Obstacle
	var pid int
	var user, name, from string
	_, err = pgx.ForEachRow(rows, []any{&pid, &user, &name, &from}, func() error {
		out = append(out, target.Obstacle{
			What: fmt.Sprintf("%s (pid %d, user %s, from %s)", cmp.Or(name, "an unnamed program"), pid, user, from),
			End:  fmt.Sprintf("SELECT pg_terminate_backend(%d);", pid), PID: pid,
		})
		return nil
	})
	return out, err
}
