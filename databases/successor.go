package databases

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/canton"
	"holdfast/internal/libpq"
)

// Successor is the database that a program gets which begins with nothing.
type Successor struct {
	Kind holdfast.Kind
	Was  string // the database that the program had
	// Name is the new one's: the old name, where nothing is there.
	Name string
	// Living are who is connected to the old one.
	Living []string
	// Participants are databases on the server that are called as a participant's.
	Participants []string
}

// Successors are those of the participant and of the validator app. The old
// databases are only looked at.
func (n Live) Successors(ctx context.Context) (out []Successor, err error) {
	for _, c := range n.Components {
		t, ok := n.Addresses[c.Name]
		if !ok || c.Kind != holdfast.Participant && c.Kind != holdfast.Validator {
			continue
		}
		s, err := successor(ctx, t)
		if err != nil {
			return nil, err
		}
		s.Kind = c.Kind
		out = append(out, s)
	}
	return out, nil
}

func successor(ctx context.Context, t libpq.Address) (Successor, error) {
	s := Successor{Was: t.Database(), Name: t.Database()}
	server, err := ServerOf(ctx, t)
	if err != nil {
		return s, err
	}
	var names []string
	err = server.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT datname::text FROM pg_database ORDER BY 1`)
		if err != nil {
			return err
		}
		if names, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return err
		}
		s.Living, err = connected(ctx, conn, s.Was)
		return err
	})
	if err != nil {
		return s, unreadable(t, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "participant") {
			s.Participants = append(s.Participants, name)
		}
	}
	if slices.Contains(names, s.Was) && !empty(ctx, t) {
		s.Name = nextName(s.Was, names)
	}
	return s, nil
}

// Connected are those who are connected to a database of the server that has the
// component of a kind. It need not be the one that the component has.
func (n Live) Connected(ctx context.Context, kind holdfast.Kind, database string) (out []string, err error) {
	for _, c := range n.Components {
		t, ok := n.Addresses[c.Name]
		if !ok || c.Kind != kind {
			continue
		}
		server, err := ServerOf(ctx, t)
		if err != nil {
			return nil, err
		}
		err = server.with(ctx, func(conn *pgx.Conn) error {
			out, err = connected(ctx, conn, database)
			return err
		})
		if err != nil {
			return nil, unreadable(t, err)
		}
	}
	return out, nil
}

func connected(ctx context.Context, conn *pgx.Conn, database string) (out []string, err error) {
	list, err := canton.Sessions(ctx, conn, database)
	for _, s := range list {
		if !s.Ours() {
			out = append(out, s.String()+" to database "+database)
		}
	}
	return out, err
}

// empty reports whether a database has no table. One that does not say so is not.
func empty(ctx context.Context, t libpq.Address) bool {
	conn, err := t.Connect(ctx, libpq.Options{Application: application})
	if err != nil {
		return false
	}
	defer hangUp(conn)
	found, err := canton.Recognise(ctx, conn)
	return err == nil && found.Empty
}

var notInNames = regexp.MustCompile(`[^a-z0-9_]`)

// longestBase leaves room for a number in a name of Postgres.
const longestBase = 55

// nextName is a name like that one, which no database has. It needs no quotes: the
// charts of Splice make databases without them.
func nextName(name string, taken []string) string {
	base := notInNames.ReplaceAllString(strings.ToLower(name), "_")
	base = base[:min(len(base), longestBase)]
	for n := 2; ; n++ {
		if next := fmt.Sprintf("%s_%d", base, n); !slices.Contains(taken, next) {
			return next
		}
	}
}
