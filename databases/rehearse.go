package databases

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/internal/libpq"
	"holdfast/step"
	"holdfast/target"
)

// rehearsing is what the session is called that stands in a rehearsal's
// database as long as the rehearsal goes on.
const rehearsing = "holdfast rehearsal"

// Rehearsal is a server where schemas are rehearsed: that of the component's
// live database, or a temporary one.
type Rehearsal struct {
	Target
	// What says where that is: "in a sandbox"; "" next to the live database.
	What string
}

// Rehearse loads the schema of a capture into an empty database next to the
// component's, and drops it. An error says why that is not possible here.
func (r Rehearsal) Rehearse(
	ctx context.Context, set holdfast.SetID, c holdfast.Part, files holdfast.Files,
) (holdfast.Rehearsal, error) {
	s, t, err := r.server(ctx, c.Component)
	if err != nil {
		return holdfast.Rehearsal{}, err
	}
	out := holdfast.Rehearsal{Set: set, At: r.Now().UTC().Round(0), Place: r.What}
	if out.Place == "" {
		out.Place = "next to " + t.Where()
	}
	loader := r.Loader(c.Component, s.Address)
	fit, err := fitFor(ctx, loader, c)
	if err != nil {
		return out, err
	}
	out.Server = holdfast.Server{Version: fit.Server.Version, Number: fit.Server.Number}
	if err := s.clearRehearsals(ctx, loader, t.Database()); err != nil {
		return out, err
	}
	began := time.Now()
	name := NameOf(t.Database(), step.Rehearsal, set)
	if err := loader.Create(ctx, name, c); err != nil {
		return out, cmp.Or(target.Refuse(fit.Differences), err) // the survey says what to do
	}
	for _, b := range fit.Bound { // the live database has the name
		out.Bound = append(out.Bound, b.Extension)
		fit.Without = append(fit.Without, holdfast.Extension{Name: b.Extension}.Word())
	}
	out.Obstacles, err = r.within(ctx, s, loader, name, set, c, fit, files)
	err = errors.Join(err, loader.Drop(context.WithoutCancel(ctx), name))
	out.Took = time.Since(began)
	return out, err
}

// fitFor is what a restore would find on the server. Where the connecting user
// may not act for the owners, a restore gives everything to that user.
func fitFor(ctx context.Context, loader Loader, c holdfast.Part) (target.Compatibility, error) {
	fit, err := loader.Survey(ctx, c)
	if len(fit.UnfitOwners) > 0 {
		fit.KeepOwners = false
	}
	return fit, err
}

// within labels the database, and keeps a session in it while the schema is
// loaded: by that another run knows that it is in use.
func (r Rehearsal) within(
	ctx context.Context, s Server, loader Loader, name string, set holdfast.SetID, c holdfast.Part,
	fit target.Compatibility, files holdfast.Files,
) ([]holdfast.Obstacle, error) {
	if err := loader.Admit(ctx, name); err != nil {
		return nil, err
	}
	guard, err := s.Address.On(name).Connect(ctx, libpq.Options{Application: rehearsing})
	if err != nil {
		return nil, err
	}
	defer hangUp(guard)
	t, err := r.given(c.Component)
	if err != nil {
		return nil, err
	}
	label := step.Label{
		Role: step.Rehearsal, Database: t.Database(), Component: c.Component, Set: set, At: r.Now(),
	}
	if err := s.SetLabel(ctx, name, label); err != nil {
		return nil, err
	}
	return loader.Rehearse(ctx, name, c, fit, files)
}

// clearRehearsals drops what rehearsals that were killed have left, and
// nothing that a session of one still stands in.
func (s Server) clearRehearsals(ctx context.Context, loader Loader, live string) error {
	left, err := s.Leftovers(ctx, live)
	if err != nil {
		return err
	}
	for _, l := range left {
		if l.Role != step.Rehearsal {
			continue
		}
		going, err := s.attended(ctx, l.Name)
		if err != nil {
			return err
		}
		if going {
			continue
		}
		if err := loader.Drop(ctx, l.Name); err != nil {
			return err
		}
	}
	return nil
}

// attended reports whether a rehearsal's session stands in the database.
func (s Server) attended(ctx context.Context, database string) (there bool, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = $1 AND application_name = $2)`, database, rehearsing).Scan(&there)
	})
	return there, err
}
