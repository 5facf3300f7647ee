package databases

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast"
	"holdfast/internal/libpq"
	"holdfast/step"
	"holdfast/target"
)

// application is what a restore calls its sessions.
const application = "holdfast restore"

const nameLimit = 63 // bytes; NAMEDATALEN - 1

// NameOf is the name of a database next to live: "participant-4~new~<set>".
// Where that is too long for Postgres, live is cut and a hash of it keeps the
// name unique.
func NameOf(live string, role step.Role, set holdfast.SetID) string {
	suffix := "~" + string(role) + "~" + string(set)
	if len(live)+len(suffix) <= nameLimit {
		return live + suffix
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(live))
	mark := fmt.Sprintf("~%08x", h.Sum32())
	return strings.ToValidUTF8(live[:nameLimit-len(suffix)-len(mark)], "") + mark + suffix
}

// freeName is NameOf with a number where that name is taken, as after the
// same set was restored, undone and restored again.
func (s Server) freeName(ctx context.Context, live string, role step.Role, set holdfast.SetID) (string, error) {
	for n := 1; ; n++ {
		name := numbered(live, role, set, n)
		taken, err := s.Exists(ctx, name)
		if err != nil || !taken {
			return name, err
		}
	}
}

func numbered(live string, role step.Role, set holdfast.SetID, n int) string {
	if n > 1 {
		role = step.Role(fmt.Sprintf("%s%d", role, n))
	}
	return NameOf(live, role, set)
}

// Server is one Postgres server, reached through a database that stays while
// others are renamed.
type Server struct {
	Address libpq.Address
}

// ServerOf returns the server of a component's database, reached through the
// database "postgres", or "template1" where that does not exist.
func ServerOf(ctx context.Context, t libpq.Address) (Server, error) {
	s, conn, err := serverOn(ctx, t, application)
	if err == nil {
		hangUp(conn)
	}
	return s, err
}

// serverOn is ServerOf with the session in which the server was found.
func serverOn(ctx context.Context, t libpq.Address, application string) (Server, *pgx.Conn, error) {
	var first error
	for _, name := range []string{"postgres", "template1"} {
		s := Server{t.On(name)}
		conn, err := s.Address.Connect(ctx, libpq.Options{Application: application})
		if err == nil {
			return s, conn, nil
		}
		if class := holdfast.ClassOf(err); class != holdfast.Usage && class != holdfast.WrongKey {
			return Server{}, nil, err // for every database alike
		}
		first = errors.Join(first, err)
	}
	return Server{}, nil, &holdfast.Problem{
		Class: holdfast.Refused, What: "cannot connect to database postgres or template1", Err: first,
		Why: "A database cannot be renamed from within.",
		Do: "As a superuser: GRANT CONNECT ON DATABASE postgres TO the user of this connection; " +
			"then repeat the command.",
	}
}

func (s Server) connect(ctx context.Context) (*pgx.Conn, error) {
	return s.Address.Connect(ctx, libpq.Options{Application: application})
}

// identity says which server it is, however it is reached: two connection
// strings of one server lead to one identity, and a copy of a server has another.
func (s Server) identity(ctx context.Context) (id string, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		id, err = identity(ctx, conn)
		return err
	})
	return id, err
}

func identity(ctx context.Context, conn *pgx.Conn) (id string, err error) {
	const started = `extract(epoch FROM pg_postmaster_start_time())::text`
	err = conn.QueryRow(ctx, `SELECT (SELECT system_identifier FROM pg_control_system()) || ' ' || `+started).Scan(&id)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42501" { // somebody has revoked what everybody may ask
		err = conn.QueryRow(ctx, "SELECT "+started).Scan(&id)
	}
	return id, err
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

// SetLabel writes a database's label.
func (s Server) SetLabel(ctx context.Context, database string, l step.Label) error {
	return s.with(ctx, func(conn *pgx.Conn) error {
		e, err := entryOf(ctx, conn, database)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, comment(database, &l, step.OwnComment(e.comment)))
		return err
	})
}

// comment is the statement that labels a database, or gives it back the
// operator's own comment where it gets no label.
func comment(database string, l *step.Label, own string) string {
	if l != nil {
		labelled := *l
		labelled.Comment = own
		encoded, _ := json.Marshal(labelled) // plain values encode
		own = string(encoded)
	}
	text := "NULL"
	if own != "" {
		text = "'" + strings.ReplaceAll(own, "'", "''") + "'"
	}
	return "COMMENT ON DATABASE " + pgx.Identifier{database}.Sanitize() + " IS " + text
}

// Leftovers lists the databases of the server that restores of the database
// live have made or moved: those labelled so, and those that carry the name of
// one being built or rehearsed, whose run was killed before it could label it.
func (s Server) Leftovers(ctx context.Context, live string) (out []step.Leftover, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT datname::text, coalesce(shobj_description(oid, 'pg_database'), ''),
			CASE WHEN has_database_privilege(oid, 'CONNECT') THEN coalesce(pg_database_size(oid), 0) ELSE 0 END,
			ARRAY(SELECT slot_name::text FROM pg_replication_slots WHERE database = datname ORDER BY 1),
			oid::text || '/' || xmin::text, datallowconn
			FROM pg_database WHERE shobj_description(oid, 'pg_database') LIKE '{"holdfast":%'
			OR datname LIKE '%~new~%' OR datname LIKE '%~rehearsal~%'
			ORDER BY datname`)
		if err != nil {
			return err
		}
		var l step.Leftover
		var e entry
		_, err = pgx.ForEachRow(rows, []any{&l.Name, &e.comment, &l.Bytes, &l.Slots, &e.row, &e.open}, func() error {
			var labelled bool
			if l.Label, labelled = step.ReadLabel(e.comment); !labelled {
				set := holdfast.SetID(l.Name[strings.LastIndex(l.Name, "~")+1:])
				roles := []step.Role{step.New, step.Rehearsal}
				i := slices.IndexFunc(roles, func(r step.Role) bool { return NameOf(live, r, set) == l.Name })
				if i < 0 {
					return nil
				}
				l.Label = step.Label{Role: roles[i], Database: live, Set: set}
			}
			l.Proof = e.proof() // nil when somebody has changed the database since
			if l.Database == live && (l.Name != live || l.Role == step.Naming) {
				out = append(out, l)
			}
			return nil
		})
		return err
	})
	return out, err
}

// drop drops a leftover.
func (s Server) drop(ctx context.Context, l step.Leftover) error {
	return s.with(ctx, func(conn *pgx.Conn) error {
		if l.Role == step.New || l.Role == step.Naming {
			if err := expel(ctx, conn, l.Name); err != nil {
				return err
			}
		}
		if err := deserted(ctx, conn, l.Name, toDrop()); err != nil {
			return err
		}
		if err := unslotted(ctx, conn, l.Name); err != nil {
			return err
		}
		ident := pgx.Identifier{l.Name}.Sanitize()
		if err := untemplated(ctx, conn, l.Name); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "DROP DATABASE "+ident)
		return err
	})
}

// untemplated makes a database that was a template an ordinary one: a template
// is not dropped.
func untemplated(ctx context.Context, conn *pgx.Conn, database string) error {
	var template bool
	err := conn.QueryRow(ctx, `SELECT datistemplate FROM pg_database WHERE datname = $1`, database).Scan(&template)
	if err == nil && template {
		_, err = conn.Exec(ctx, "ALTER DATABASE "+pgx.Identifier{database}.Sanitize()+" IS_TEMPLATE false")
	}
	return err
}

// unslotted refuses to drop a database from which somebody replicates.
func unslotted(ctx context.Context, conn *pgx.Conn, database string) error {
	var slots, undo string
	err := conn.QueryRow(ctx, `SELECT coalesce(string_agg(format('%I (pid %s)', slot_name, active_pid), ', '), ''),
		coalesce(string_agg(format('SELECT pg_terminate_backend(%s); SELECT pg_drop_replication_slot(%L);', active_pid, slot_name), ' '), '')
		FROM pg_replication_slots WHERE database = $1 AND active`, database).Scan(&slots, &undo)
	if err != nil || slots == "" {
		return err
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("database %s has replication slots in use: %s", database, slots),
		Why:   "Whoever replicates from it would stop in the middle.",
		Do:    "Stop what replicates, or end it: " + undo + " Then repeat the command.",
	}
}

// Move makes all moves of one server in one transaction, so that nobody ever
// sees one without the others. Whatever holds a database that is to be renamed
// stops it before anything happens. When the connection is lost while the
// transaction is committed, a query finds out what became of it.
func (s Server) Move(ctx context.Context, moves []step.Move) error {
	err := s.with(ctx, func(conn *pgx.Conn) error {
		for _, m := range moves {
			if m.From == m.To {
				continue
			}
			if err := vacant(ctx, conn, m.From); err != nil {
				return err
			}
		}
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '10s'"); err != nil {
				return err
			}
			for _, m := range moves {
				if err := s.move(ctx, tx, m); err != nil {
					return err
				}
			}
			return nil
		})
	})
	var answered *pgconn.PgError
	var refused *holdfast.Problem
	if err == nil || errors.As(err, &answered) || errors.As(err, &refused) {
		return err
	}
	if done, lookErr := s.moved(context.WithoutCancel(ctx), moves); lookErr == nil && done {
		return nil
	}
	return err
}

// move makes one of them. A proven database that stays closed stays proven.
func (s Server) move(ctx context.Context, tx pgx.Tx, m step.Move) error {
	before, err := entryOf(ctx, tx, m.From)
	if err != nil {
		return err
	}
	to := "ALTER DATABASE " + pgx.Identifier{m.To}.Sanitize()
	if m.From != m.To {
		rename := "ALTER DATABASE " + pgx.Identifier{m.From}.Sanitize() + " RENAME TO " + pgx.Identifier{m.To}.Sanitize()
		if _, err := tx.Exec(ctx, rename); err != nil {
			return s.renaming(ctx, m, err)
		}
	}
	if m.Access != step.Unchanged {
		if _, err := tx.Exec(ctx, fmt.Sprintf("%s ALLOW_CONNECTIONS %t", to, m.Access == step.Everybody)); err != nil {
			return fmt.Errorf("%s database %s: %w", m.Access, m.To, err)
		}
	}
	label := m.Label
	if proof := before.proof(); proof != nil && label != nil && label.Role == step.New && m.Access != step.Everybody {
		after, err := entryOf(ctx, tx, m.To)
		if err != nil {
			return err
		}
		sealed := *label
		sealed.Proof = &step.Proof{Recipe: proof.Recipe, Row: after.row}
		label = &sealed
	}
	if _, err := tx.Exec(ctx, comment(m.To, label, step.OwnComment(before.comment))); err != nil {
		return fmt.Errorf("label database %s: %w", m.To, err)
	}
	return nil
}

// decisive is the move that shows whether all were made: the last that renames
// takes its database from a name that nothing else gets.
func decisive(moves []step.Move) step.Move {
	for _, m := range slices.Backward(moves) {
		if m.From != m.To {
			return m
		}
	}
	return moves[len(moves)-1]
}

// moved reports whether the moves were made.
func (s Server) moved(ctx context.Context, moves []step.Move) (made bool, err error) {
	if len(moves) == 0 {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	last := decisive(moves)
	err = s.with(ctx, func(conn *pgx.Conn) error {
		e, err := entryOf(ctx, conn, last.To)
		if noRows(err) {
			return nil
		}
		made = err == nil && (last.Access == step.Unchanged || e.open == (last.Access == step.Everybody))
		return err
	})
	if err != nil || !made || last.From == last.To {
		return made, err
	}
	there, err := s.Exists(ctx, last.From)
	return !there, err
}

func noRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// renaming explains a rename that failed. Somebody may have connected after we
// had looked.
func (s Server) renaming(ctx context.Context, m step.Move, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "55006" { // object in use
		list, _ := s.Obstacles(ctx, m.From)
		return target.InUse(target.Held{Database: "database " + m.From, Obstacles: list})
	}
	return fmt.Errorf("rename database %s to %s: %w", m.From, m.To, err)
}
