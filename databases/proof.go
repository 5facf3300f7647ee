package databases

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/step"
	"holdfast/target"
)

// entry is what the server keeps of one database.
type entry struct {
	row     string // changes whenever the server's entry does
	open    bool   // somebody may connect
	comment string
}

// querier reads; connections and transactions both do.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// entryOf reads the entry of a database. Its row is version and number of the
// line in pg_database: renaming a database, opening it, giving it to somebody
// make another version, vacuuming and labels do not.
func entryOf(ctx context.Context, q querier, database string) (e entry, err error) {
	err = q.QueryRow(ctx, `SELECT oid::text || '/' || xmin::text, datallowconn,
		coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = $1`, database).
		Scan(&e.row, &e.open, &e.comment)
	return e, err
}

// proof is that of a database which was proven and is closed since; nil of any
// other.
func (e entry) proof() *step.Proof {
	l, labelled := step.ReadLabel(e.comment)
	if !labelled || l.Role != step.New || l.Proof == nil || l.Proof.Row != e.row || e.open {
		return nil
	}
	return l.Proof
}

// seal labels a database that was built and proven, once nobody is left in it.
func (s Server) seal(ctx context.Context, database string, l step.Label, recipe string) error {
	return s.with(ctx, func(conn *pgx.Conn) error {
		if err := expel(ctx, conn, database); err != nil {
			return err
		}
		e, err := entryOf(ctx, conn, database)
		if err != nil {
			return err
		}
		if recipe != "" {
			l.Proof = &step.Proof{Recipe: recipe, Row: e.row}
		}
		_, err = conn.Exec(ctx, comment(database, &l, step.OwnComment(e.comment)))
		return err
	})
}

// expel ends every session in a database that a restore has built: nobody has
// anything to do there. Whoever may not be ended is named when it matters.
func expel(ctx context.Context, conn *pgx.Conn, database string) error {
	rows, err := conn.Query(ctx, `SELECT pid FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()`, database)
	if err != nil {
		return err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return err
	}
	for _, pid := range pids {
		_, _ = conn.Exec(ctx, `SELECT pg_terminate_backend($1)`, pid)
	}
	return ctx.Err()
}

// vacant makes sure that a database can be renamed. Out of one that a restore
// has built, others are shown first.
func vacant(ctx context.Context, conn *pgx.Conn, database string) error {
	e, err := entryOf(ctx, conn, database)
	if err != nil {
		return err
	}
	if l, labelled := step.ReadLabel(e.comment); labelled && (l.Role == step.New || l.Role == step.Naming) && !e.open {
		if err := expel(ctx, conn, database); err != nil {
			return err
		}
		return gone(ctx, conn, database)
	}
	return deserted(ctx, conn, database, toRename())
}

// gone waits for the sessions that were ended, and names those that stay.
func gone(ctx context.Context, conn *pgx.Conn, database string) error {
	for tries := 100; ; tries-- {
		list, err := obstacles(ctx, conn, database, toRename())
		if err != nil || len(list) == 0 {
			return err
		}
		if tries == 0 {
			return target.InUse(target.Held{Database: "database " + database, Obstacles: list})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ready looks for a database that an earlier run has built of the same capture
// in the same way, and that has not changed since: under its own name, or in the
// place of the live one when the swap was broken off between two servers.
func (p Target) ready(ctx context.Context, s Server, set holdfast.SetID, c holdfast.Part, d *target.Database) error {
	recipe := p.Loader(c.Component, s.Address).Recipe(c, d.Fit)
	return s.with(ctx, func(conn *pgx.Conn) error {
		for _, name := range []string{d.Database, d.New} {
			e, err := entryOf(ctx, conn, name)
			if noRows(err) {
				continue
			}
			if err != nil {
				return err
			}
			l, _ := step.ReadLabel(e.comment)
			proof := e.proof()
			if proof == nil || recipe == "" || proof.Recipe != recipe || l.Set != set || l.Database != d.Database {
				continue
			}
			d.Ready = true
			if name == d.Database {
				d.InPlace, d.New = &l.At, name
			}
			return nil
		}
		return nil
	})
}

// Reuse makes sure that a database which an earlier run has built is still what
// it has proven.
func (p Target) Reuse(ctx context.Context, set holdfast.SetID, d target.Database, c holdfast.Part) error {
	now, err := p.Look(ctx, set, c)
	if err != nil {
		return err
	}
	if now.Ready && now.New == d.New {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("database %s is no longer what an earlier run has proven", d.New),
		Why:   "Somebody has opened or changed it since the plan was made.",
		Do:    "Repeat the command: it builds the database again.",
	}
}

// Discard drops a database that was built, unless it is proven: then the next
// restore of the set goes on with it.
func (p Target) Discard(ctx context.Context, component holdfast.ComponentName, name string) (kept bool, err error) {
	s, _, err := p.server(ctx, component)
	if err != nil {
		return false, err
	}
	err = s.with(ctx, func(conn *pgx.Conn) error {
		e, err := entryOf(ctx, conn, name)
		kept = e.proof() != nil
		if noRows(err) {
			return nil
		}
		return err
	})
	if err != nil || kept {
		return kept, err
	}
	return false, p.Drop(ctx, component, name)
}
