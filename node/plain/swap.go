package plain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/internal/libpq"
)

// Role says what a database beside the live ones is there for.
type Role string

// The roles of databases that a restore makes or moves.
const (
	New    Role = "new"    // being built, or built and not yet in place
	Before Role = "before" // was live until a set replaced it
	Undone Role = "undone" // was live for a while, until the one before it came back
)

// Label is what a database's comment says about it.
type Label struct {
	Role      Role                   `json:"holdfast"`
	Database  string                 `json:"database"` // whose place it took, had or is to take
	Component holdfast.ComponentName `json:"component"`
	Set       holdfast.SetID         `json:"set"`
	At        time.Time              `json:"at"`
}

// Leftover is a labelled database on one of the node's servers.
type Leftover struct {
	Label
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Session is somebody connected to a database.
type Session struct {
	PID         int       `json:"pid"`
	User        string    `json:"user"`
	Application string    `json:"application"`
	From        string    `json:"from"`
	Since       time.Time `json:"since"`
}

func (s Session) String() string {
	name := s.Application
	if name == "" {
		name = "an unnamed program"
	}
	return fmt.Sprintf("%s (pid %d, user %s, from %s)", name, s.PID, s.User, s.From)
}

const nameLimit = 63 // bytes; NAMEDATALEN - 1

// NameBeside is the name of a database beside live: "participant-4~new~<set>".
// Where that is too long for Postgres, live is cut and told apart by a hash.
func NameBeside(live string, role Role, set holdfast.SetID) string {
	suffix := "~" + string(role) + "~" + string(set)
	if len(live)+len(suffix) <= nameLimit {
		return live + suffix
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(live))
	mark := fmt.Sprintf("~%08x", h.Sum32())
	return strings.ToValidUTF8(live[:nameLimit-len(suffix)-len(mark)], "") + mark + suffix
}

// Server is one Postgres server, reached through a database that stays while
// others are renamed.
type Server struct {
	Target libpq.Target
}

// ServerOf returns the server of a component's database, reached through the
// database "postgres", or "template1" where that does not exist.
func ServerOf(ctx context.Context, t libpq.Target) (Server, error) {
	var first error
	for _, name := range []string{"postgres", "template1"} {
		s := Server{t.On(name)}
		conn, err := s.connect(ctx)
		if err == nil {
			hangUp(conn)
			return s, nil
		}
		first = errors.Join(first, err)
	}
	return Server{}, &holdfast.Problem{Class: holdfast.Refused, What: "no database to stand on while others are renamed", Err: first,
		Why: "A database cannot be renamed from within.", Do: "Allow this user to connect to the database postgres."}
}

func (s Server) connect(ctx context.Context) (*pgx.Conn, error) {
	return s.Target.Connect(ctx, libpq.Options{Application: "holdfast restore"})
}

// with runs fn with a connection.
func (s Server) with(ctx context.Context, fn func(*pgx.Conn) error) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	return fn(conn)
}

// Exists reports whether the server has the database.
func (s Server) Exists(ctx context.Context, database string) (there bool, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, database).Scan(&there)
	})
	return there, err
}

// Sessions lists who is connected to a database.
func (s Server) Sessions(ctx context.Context, database string) (list []Session, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		list, err = sessions(ctx, conn, database)
		return err
	})
	return list, err
}

func sessions(ctx context.Context, conn *pgx.Conn, database string) ([]Session, error) {
	rows, err := conn.Query(ctx, `SELECT pid, coalesce(usename, ''), coalesce(application_name, ''), coalesce(host(client_addr), 'this machine'), coalesce(backend_start, now())
		FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend' ORDER BY pid`, database)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Session])
}

// SetLabel writes a database's label.
func (s Server) SetLabel(ctx context.Context, database string, l Label) error {
	return s.with(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, comment(database, &l))
		return err
	})
}

func comment(database string, l *Label) string {
	text := "NULL"
	if l != nil {
		encoded, _ := json.Marshal(l) // plain values encode
		text = "'" + strings.ReplaceAll(string(encoded), "'", "''") + "'"
	}
	return "COMMENT ON DATABASE " + pgx.Identifier{database}.Sanitize() + " IS " + text
}

// Leftovers lists the databases of the server that restores of the database
// live have made or moved: those labelled so, and those that carry the name of
// one being built, whose restore was killed before it could label it.
func (s Server) Leftovers(ctx context.Context, live string) (out []Leftover, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT datname::text, coalesce(shobj_description(oid, 'pg_database'), ''), CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) ELSE 0 END
			FROM pg_database WHERE shobj_description(oid, 'pg_database') LIKE '{"holdfast":%' OR datname LIKE '%~new~%' ORDER BY datname`)
		if err != nil {
			return err
		}
		var l Leftover
		var text string
		_, err = pgx.ForEachRow(rows, []any{&l.Name, &text, &l.Bytes}, func() error {
			l.Label = Label{}
			if json.Unmarshal([]byte(text), &l.Label) != nil {
				set := holdfast.SetID(l.Name[strings.LastIndex(l.Name, "~")+1:])
				if NameBeside(live, New, set) != l.Name {
					return nil
				}
				l.Label = Label{Role: New, Database: live, Set: set}
			}
			if l.Database == live && l.Name != live {
				out = append(out, l)
			}
			return nil
		})
		return err
	})
	return out, err
}

// drop drops a leftover.
func (s Server) drop(ctx context.Context, l Leftover) error {
	return s.with(ctx, func(conn *pgx.Conn) error {
		list, err := sessions(ctx, conn, l.Name)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			return InUse(l.Name, list)
		}
		_, err = conn.Exec(ctx, "DROP DATABASE "+pgx.Identifier{l.Name}.Sanitize())
		return err
	})
}

// Move renames one database, and sets or clears its label.
type Move struct {
	From, To string
	Label    *Label // nil: the database is live again and carries none
}

// Move makes all moves of one server in one transaction, so that nobody ever
// sees one without the others. Anybody connected to a database that is to be
// renamed stops it before anything happens.
func (s Server) Move(ctx context.Context, moves []Move) error {
	return s.with(ctx, func(conn *pgx.Conn) error {
		for _, m := range moves {
			list, err := sessions(ctx, conn, m.From)
			if err != nil {
				return err
			}
			if len(list) > 0 {
				return InUse(m.From, list)
			}
		}
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '10s'"); err != nil {
				return err
			}
			for _, m := range moves {
				if _, err := tx.Exec(ctx, "ALTER DATABASE "+pgx.Identifier{m.From}.Sanitize()+" RENAME TO "+pgx.Identifier{m.To}.Sanitize()); err != nil {
					return fmt.Errorf("rename database %s to %s: %w", m.From, m.To, err)
				}
				if _, err := tx.Exec(ctx, comment(m.To, m.Label)); err != nil {
					return fmt.Errorf("label database %s: %w", m.To, err)
				}
			}
			return nil
		})
	})
}

// InUse is the refusal to rename a database that somebody is connected to.
func InUse(database string, list []Session) error {
	var who []string
	for _, s := range list {
		who = append(who, s.String())
	}
	return &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("database %s is in use by %s", database, strings.Join(who, ", ")),
		Why: "A running participant or validator app would write into the database that is being replaced.",
		Do:  "Stop the validator app and the participant, close other sessions, and try again."}
}
