package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/content"
)

// aside is a CHECK that is not in place while rows are written, because what it
// calls may look into tables whose rows are not there yet.
type aside struct {
	on         string // "TABLE zoo.kinds", "DOMAIN zoo.kind"
	name       string
	definition string
	comment    string
}

// String names it as --without does.
func (a aside) String() string {
	return fmt.Sprintf("constraint %s on %s", a.name, strings.TrimPrefix(strings.TrimPrefix(a.on, "TABLE "), "DOMAIN "))
}

// checksAside lists such CHECKs of a session without a search path: those that
// tables and domains have by themselves, and those that tables inherit.
func checksAside(ctx context.Context, q querier) (own, inherited []aside, err error) {
	rows, err := q.Query(ctx, content.ChecksElsewhere)
	if err != nil {
		return nil, nil, err
	}
	var a aside
	var inherits bool
	_, err = pgx.ForEachRow(rows, []any{&inherits, &a.on, &a.name, &a.definition, &a.comment}, func() error {
		if inherits {
			inherited = append(inherited, a)
		} else {
			own = append(own, a)
		}
		return nil
	})
	return own, inherited, err
}

// setAside takes such CHECKs out of a database that holds no rows yet. The
// tables hold none, so whatever is missing here is missing from no row.
func (b *build) setAside(ctx context.Context) ([]aside, error) {
	conn, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	var out []aside
	for stuck := map[string]bool{}; ; {
		// One that a table inherits goes with that of its parent; one that it has by
		// itself as well is found by the next look.
		own, _, err := checksAside(ctx, conn)
		if err != nil {
			return nil, err
		}
		own = slices.DeleteFunc(own, func(a aside) bool { return stuck[a.String()] })
		if len(own) == 0 {
			return out, nil
		}
		for _, a := range own {
			if stuck[a.String()] = !a.returns(ctx, conn, b.searchPath()); stuck[a.String()] {
				continue
			}
			if err := execute(ctx, conn, a.drop()); err != nil {
				return nil, fmt.Errorf("%s: %w", a, err)
			}
			if !slices.Contains(b.fit.Without, a.String()) {
				out = append(out, a)
			}
		}
	}
}

// returns tries whether a CHECK that is taken out can be put back and validated.
// Postgres does not validate one of a domain that an array or a composite type
// of some column is made of: it has to stay. What the others call is looked up by
// the search path that they will be validated with; taking it back resets that.
func (a aside) returns(ctx context.Context, conn *pgx.Conn, path string) bool {
	if !a.domain() {
		return true
	}
	err := execute(ctx, conn, "BEGIN", a.drop(), a.add(), path, a.validate())
	return errors.Join(err, execute(ctx, conn, "ROLLBACK")) == nil
}

func (a aside) drop() string {
	return fmt.Sprintf("ALTER %s DROP CONSTRAINT %s", a.on, pgx.Identifier{a.name}.Sanitize())
}

func (a aside) add() string {
	return fmt.Sprintf("ALTER %s ADD CONSTRAINT %s %s NOT VALID", a.on, pgx.Identifier{a.name}.Sanitize(), a.definition)
}

func (a aside) validate() string {
	return fmt.Sprintf("ALTER %s VALIDATE CONSTRAINT %s", a.on, pgx.Identifier{a.name}.Sanitize())
}

// putBack puts the CHECKs in place, the last one taken first, and has Postgres
// validate them: all tables have their rows now. Functions find what they look
// into as the database's own programs do. Nothing else is said with that search
// path, in which the database's own functions come in the place of Postgres's.
func (b *build) putBack(ctx context.Context, conn *pgx.Conn, list []aside) error {
	for _, a := range slices.Backward(list) {
		statements := []string{a.add()}
		if a.comment != "" {
			on := a.on[len("TABLE "):]
			if a.domain() {
				on = a.on
			}
			statements = append(statements, fmt.Sprintf("COMMENT ON CONSTRAINT %s ON %s IS %s",
				pgx.Identifier{a.name}.Sanitize(), on, literal(a.comment)))
		}
		if err := b.tried(execute(ctx, conn, statements...), a.stop()); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
	}
	if err := execute(ctx, conn, b.searchPath()); err != nil {
		return err
	}
	for _, a := range slices.Backward(list) {
		if err := b.tried(execute(ctx, conn, a.validate()), a.stop()); err != nil {
			return a.doesNotHold(err)
		}
	}
	return execute(ctx, conn, "RESET search_path")
}

// stop is where a restore stops if the CHECK is refused.
func (a aside) stop() stop {
	s := stopAt("CHECK", a.name)
	s.Object, s.Definition = a.String(), a.add()
	return s
}

func (a aside) domain() bool { return a.on[0] == 'D' }

// doesNotHold is the failure of a CHECK on the rows of the set.
func (a aside) doesNotHold(err error) error {
	return &holdfast.Problem{
		Class: holdfast.NotProven,
		What:  a.String() + " does not hold for the rows of the set",
		Err:   err,
		Why: "It held when each row was written. What it calls says otherwise now, as with a CHECK on the time or on " +
			"what another database has.",
		Do: fmt.Sprintf("Restore without it, and add it afterwards: `--without '%s'`, then %s;", a, a.add()),
	}
}

// inPlace proves that the CHECKs are as they were, and valid.
func inPlace(ctx context.Context, conn *pgx.Conn, list []aside) error {
	if len(list) == 0 {
		return nil
	}
	own, inherited, err := checksAside(ctx, conn)
	if err != nil {
		return err
	}
	now := append(own, inherited...)
	for _, a := range list {
		if !slices.Contains(now, a) {
			return mismatch(a.String(), "missing, not valid, or with another definition", a.definition)
		}
	}
	return nil
}
