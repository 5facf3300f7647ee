package databases

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/target"
)

// looker lists one kind of what Postgres refuses to rename or to drop a database
// for.
type looker func(ctx context.Context, conn *pgx.Conn, database string) ([]target.Obstacle, error)

// toRename are the kinds of what a rename is refused for. Autovacuum is none:
// Postgres ends it by itself.
func toRename() []looker { return []looker{everybody, prepared, subscribed} }

// toDrop are those of a DROP.
func toDrop() []looker { return append(toRename(), subscriptions) }

// Obstacles lists what a rename of a database would be refused for.
func (s Server) Obstacles(ctx context.Context, database string) (list []target.Obstacle, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		list, err = obstacles(ctx, conn, database, toRename())
		return err
	})
	return list, err
}

// look lists what a rename of a database would be refused for, and what would
// follow it to its new name.
func (s Server) look(ctx context.Context, database, as string) (refused, stays []target.Obstacle, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		if refused, err = obstacles(ctx, conn, database, toRename()); err != nil {
			return err
		}
		stays, err = follows(ctx, conn, database, as)
		return err
	})
	return refused, stays, err
}

// obstacles lists all that the lookers find.
func obstacles(ctx context.Context, conn *pgx.Conn, database string, looks []looker) (list []target.Obstacle, err error) {
	for _, look := range looks {
		found, err := look(ctx, conn, database)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

// everybody lists who is connected to a database.
func everybody(ctx context.Context, conn *pgx.Conn, database string) ([]target.Obstacle, error) {
	return sessions(ctx, conn, database, "")
}

// sessions lists who is connected to a database, programs of the server
// included, but for those whose name begins so. Those of subscriptions end with them.
func sessions(ctx context.Context, conn *pgx.Conn, database, except string) ([]target.Obstacle, error) {
	rows, err := conn.Query(ctx, `SELECT pid, coalesce(usename, ''), coalesce(application_name, ''),
			coalesce(host(client_addr), 'this machine'), coalesce(backend_type, 'client backend')
		FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() AND leader_pid IS NULL
			AND usesysid IS NOT NULL -- one that is not let in yet; a rename waits for it
			AND coalesce(backend_type, '') NOT LIKE 'autovacuum%'
			AND coalesce(backend_type, '') NOT LIKE 'logical replication%'
			AND ($2 = '' OR NOT starts_with(coalesce(application_name, ''), $2)) ORDER BY pid`, database, except)
	if err != nil {
		return nil, err
	}
	var list []target.Obstacle
	var pid int
	var user, name, from, kind string
	_, err = pgx.ForEachRow(rows, []any{&pid, &user, &name, &from, &kind}, func() error {
		list = append(list, session(database, pid, user, name, from, kind))
		return nil
	})
	return list, err
}

// session is one of them, with the statement that ends it.
func session(database string, pid int, user, name, from, kind string) target.Obstacle {
	end := fmt.Sprintf("SELECT pg_terminate_backend(%d);", pid)
	switch {
	case kind == "client backend" && name == "":
		name = "an unnamed program"
	case kind == "client backend":
	case kind == "walsender":
		name = strings.TrimSpace("replication client " + name)
	default:
		// A program of the server comes back within a second or so, unless the
		// database lets nobody in. The swap renames it all the same.
		name, from = kind, "the server itself"
		end = "ALTER DATABASE " + pgx.Identifier{database}.Sanitize() + " ALLOW_CONNECTIONS false; " + end
	}
	return target.Obstacle{What: fmt.Sprintf("%s (pid %d, user %s, from %s)", name, pid, user, from), End: end, PID: pid}
}

// prepared lists the prepared transactions of a database. They hold it for ever
// and have no session.
func prepared(ctx context.Context, conn *pgx.Conn, database string) ([]target.Obstacle, error) {
	rows, err := conn.Query(ctx, `SELECT gid, owner::text, prepared FROM pg_prepared_xacts
		WHERE database = $1 ORDER BY prepared, gid`, database)
	if err != nil {
		return nil, err
	}
	var list []target.Obstacle
	var gid, owner string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&gid, &owner, &at}, func() error {
		list = append(list, target.Obstacle{
			What: fmt.Sprintf("prepared transaction %s (user %s, since %s)", gid, owner, at.UTC().Format(time.RFC3339)),
			End:  "ROLLBACK PREPARED " + quoted(gid) + ";", In: database,
		})
		return nil
	})
	return list, err
}

// subscribed lists the subscriptions whose workers connect to a database, now
// or in a moment.
func subscribed(ctx context.Context, conn *pgx.Conn, database string) ([]target.Obstacle, error) {
	return listed(ctx, conn, `SELECT s.subname::text, 'subscription ' || s.subname,
			'ALTER SUBSCRIPTION ' || quote_ident(s.subname) || ' DISABLE;', d.datname::text
		FROM (SELECT subname, subdbid, subenabled FROM pg_subscription) s JOIN pg_database d ON d.oid = s.subdbid
		WHERE d.datname = $1 AND s.subenabled ORDER BY 1`, database)
}

// subscriptions lists those for which a database cannot be dropped.
func subscriptions(ctx context.Context, conn *pgx.Conn, database string) ([]target.Obstacle, error) {
	return listed(ctx, conn, `SELECT s.subname::text, 'subscription ' || s.subname, `+dropSubscription+`, d.datname::text
		FROM (SELECT subname, subdbid, subenabled FROM pg_subscription) s JOIN pg_database d ON d.oid = s.subdbid
		WHERE d.datname = $1 AND NOT s.subenabled ORDER BY 1`, database)
}

// follows lists what follows a database to its new name, as which it may be
// removed: a subscription takes changes that the restored database then lacks.
func follows(ctx context.Context, conn *pgx.Conn, database, as string) ([]target.Obstacle, error) {
	return listed(ctx, conn, `SELECT s.subname::text, 'subscription ' || s.subname, `+dropSubscription+`, $2::text
		FROM (SELECT subname, subdbid FROM pg_subscription) s JOIN pg_database d ON d.oid = s.subdbid
		WHERE d.datname = $1 ORDER BY 1`, database, as)
}

// dropSubscription leaves the publisher's slot alone: the restored database may
// read it by now.
const dropSubscription = `format('ALTER SUBSCRIPTION %1$I DISABLE; ALTER SUBSCRIPTION %1$I SET (slot_name = NONE);'
	' DROP SUBSCRIPTION %1$I;', s.subname)`

// listed reads obstacles: a name to sort by, what, the statement, where.
func listed(ctx context.Context, conn *pgx.Conn, sql string, args ...any) ([]target.Obstacle, error) {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	var list []target.Obstacle
	var o target.Obstacle
	var name string
	_, err = pgx.ForEachRow(rows, []any{&name, &o.What, &o.End, &o.In}, func() error {
		list = append(list, o)
		return nil
	})
	return list, err
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// deserted makes sure that nothing holds a database. Sessions of our own that
// were closed a moment ago, or of a check, may still be on their way out.
func deserted(ctx context.Context, conn *pgx.Conn, database string, looks []looker) error {
	inUse := func(list []target.Obstacle) error {
		return target.InUse(target.Held{Database: "database " + database, Obstacles: list})
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		list, err := obstacles(ctx, conn, database, looks)
		if err != nil || len(list) == 0 {
			return err
		}
		strangers, err := sessions(ctx, conn, database, "holdfast")
		if err != nil {
			return err
		}
		lasting := slices.ContainsFunc(list, func(o target.Obstacle) bool { return o.PID == 0 })
		if len(strangers) > 0 || lasting || time.Now().After(deadline) {
			return inUse(list)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
