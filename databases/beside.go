package databases

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/libpq"
	"holdfast/step"
)

// Beside lists what the node's servers have next to the node's databases, and
// what is therefore in no set: other databases, and roles that own or may do
// something. What restores have left is not among it.
func (n Live) Beside(ctx context.Context) ([]string, error) {
	servers := map[string]*server{}
	for _, c := range n.Components {
		t := n.Addresses[c.Name]
		s, err := ServerOf(ctx, t)
		if err != nil {
			return nil, err
		}
		var identity string
		err = s.with(ctx, func(conn *pgx.Conn) error {
			return conn.QueryRow(ctx, `SELECT system_identifier::text FROM pg_control_system()`).Scan(&identity)
		})
		if err != nil {
			return nil, unreadable(t, err)
		}
		if servers[identity] == nil {
			servers[identity] = &server{Server: s, name: serverOf(t)}
		}
		servers[identity].own = append(servers[identity].own, t.Database())
	}
	var out []string
	for _, s := range servers {
		lines, err := s.beside(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, lines...)
	}
	slices.Sort(out)
	return out, nil
}

// server is one of the node's, with the databases that are the node's there.
type server struct {
	Server
	name string
	own  []string
}

// usual are the databases that every server has. The first two may have been
// used all the same.
var usual = []string{"postgres", "template1", "template0"}

func (s *server) beside(ctx context.Context) (out []string, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT datname::text, pg_get_userbyid(datdba)::text,
				CASE WHEN has_database_privilege(oid, 'CONNECT') THEN coalesce(pg_database_size(oid), -1) ELSE -1 END,
				coalesce(shobj_description(oid, 'pg_database'), '')
			FROM pg_database WHERE datallowconn ORDER BY datname`)
		if err != nil {
			return err
		}
		var name, owner, comment string
		var bytes int64
		_, err = pgx.ForEachRow(rows, []any{&name, &owner, &bytes, &comment}, func() error {
			if !slices.Contains(s.own, name) && !slices.Contains(usual, name) && !isLeftover(name, comment) {
				out = append(out, fmt.Sprintf("database %s%s at %s, owned by %s", name, sized(bytes), s.name, owner))
			}
			return nil
		})
		if err != nil {
			return err
		}
		roles, err := s.roles(ctx, conn)
		out = append(out, roles...)
		return err
	})
	if err != nil {
		return nil, err
	}
	filled, err := s.filled(ctx)
	return append(out, filled...), err
}

func sized(bytes int64) string {
	if bytes < 0 {
		return ""
	}
	return fmt.Sprintf(" (%d MiB)", (bytes+1<<20-1)>>20)
}

// roles are those that somebody made: not Postgres's own, not the one that made
// the cluster, and not the one that connects, which the node's set-up names.
func (s *server) roles(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, `SELECT rolname::text FROM pg_roles
		WHERE rolname NOT LIKE 'pg\_%' AND oid <> 10 AND rolname <> current_user ORDER BY rolname`)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for i, name := range names {
		names[i] = fmt.Sprintf("role %s at %s, with its password and memberships", name, s.name)
	}
	return names, err
}

// filled are the usual databases in which somebody has made tables.
func (s *server) filled(ctx context.Context) ([]string, error) {
	var out []string
	for _, name := range usual[:2] {
		if slices.Contains(s.own, name) {
			continue
		}
		conn, err := s.Address.On(name).Connect(ctx, libpq.Options{Application: application})
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			continue // nobody but its owner may look into it
		}
		var tables int
		err = conn.QueryRow(ctx, `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'`).Scan(&tables)
		hangUp(conn)
		if err != nil {
			return nil, err
		}
		if tables > 0 {
			out = append(out, fmt.Sprintf("database %s at %s, with %d tables", name, s.name, tables))
		}
	}
	return out, nil
}

// isLeftover reports whether a database is one that a restore made or moved.
func isLeftover(name, comment string) bool {
	_, labelled := step.ReadLabel(comment)
	return labelled || strings.Contains(name, "~new~")
}
