package databases

import (
	"context"
	"errors"
	"slices"

	"holdfast"
	"holdfast/step"
	"holdfast/target"
)

// name finds out whether a database has the name of the restored one, and what
// that means for extensions that are bound to this name.
func (s Server) name(ctx context.Context, set holdfast.SetID, d *target.Database) (err error) {
	if d.Live, err = s.stands(ctx, d.Database); err != nil {
		return err
	}
	if !d.Live {
		if err := s.renamed(ctx, set, d); err != nil {
			return err
		}
	}
	if !d.Ready { // what is built has them
		d.Fit.Differences = append(slices.Clone(d.Fit.Differences),
			target.Naming(d.Fit.Bound, serverOf(s.Address), d.Database, d.Live, d.Previous)...)
	}
	return nil
}

// stands reports whether there is a database, other than one that has the name
// for a moment or kept it when its run was killed.
func (s Server) stands(ctx context.Context, database string) (bool, error) {
	e, there, err := s.entry(ctx, database)
	l, _ := step.ReadLabel(e.comment)
	return there && l.Role != step.Naming, err
}

// renamed finds the former database where the operator gave it the name that a
// restore would have given it.
func (s Server) renamed(ctx context.Context, set holdfast.SetID, d *target.Database) error {
	for n := 1; ; n++ {
		name := numbered(d.Database, step.Previous, set, n)
		e, there, err := s.entry(ctx, name)
		if err != nil || !there {
			return err
		}
		if _, labelled := step.ReadLabel(e.comment); !labelled {
			d.Renamed, d.Previous = true, name
			return nil
		}
	}
}

// entry is the server's entry of a database, if there is one.
func (s Server) entry(ctx context.Context, database string) (e entry, there bool, err error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return e, false, err
	}
	defer hangUp(conn)
	e, err = entryOf(ctx, conn, database)
	if noRows(err) {
		return entry{}, false, nil
	}
	return e, err == nil, err
}

// bind makes the extensions that are bound to the name of the live database.
// The new one has this name meanwhile. Its label says so: whatever kills us, the
// next run knows it.
func (s Server) bind(ctx context.Context, loader Loader, d target.Database, label step.Label) error {
	if len(d.Fit.Bound) == 0 {
		return nil
	}
	naming, fresh := label, label
	naming.Role, fresh.Role = step.Naming, step.New
	if err := s.Move(ctx, []step.Move{{From: d.New, To: d.Database, Label: &naming}}); err != nil {
		return err
	}
	if err := loader.Bind(ctx, d.Database, d.Fit.Bound); err != nil {
		return err
	}
	return s.Move(ctx, []step.Move{{From: d.Database, To: d.New, Label: &fresh}})
}

// unbind drops the new database, whichever name it has.
func (s Server) unbind(ctx context.Context, loader Loader, d target.Database) error {
	e, _, err := s.entry(ctx, d.Database)
	if l, _ := step.ReadLabel(e.comment); l.Role == step.Naming {
		err = errors.Join(err, loader.Drop(ctx, d.Database))
	}
	return errors.Join(err, loader.Drop(ctx, d.New))
}
