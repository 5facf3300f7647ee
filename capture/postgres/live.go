package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/canton"
	"holdfast/internal/libpq"
	"holdfast/observed"
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
	return l.readAt(ctx, l.Address, c)
}

// Through is Read by another address of the same server, such as the one that its
// provider publishes. TLS is as in the connection string.
func (l Live) Through(ctx context.Context, c holdfast.Component, host string, port int) (LiveReading, error) {
	at := l.Address
	at.Conninfo = at.With("host", host).With("port", fmt.Sprint(port))
	if at.Get("hostaddr") != "" {
		at.Conninfo = at.With("hostaddr", "")
	}
	return l.readAt(ctx, at, c)
}

func (l Live) readAt(ctx context.Context, at libpq.Address, c holdfast.Component) (LiveReading, error) {
	var out LiveReading
	conn, err := at.Connect(ctx, libpq.Options{})
	if err != nil {
		return out, err
	}
	defer closeConn(conn)
	fail := func(err error) (LiveReading, error) { return out, looking(at.Where()).explain(err) }
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

func looking(where string) occasion {
	return occasion{"read " + where, "Nothing was captured.", "run the backup again"}
}
