package databases

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast"
	"holdfast/canton"
	"holdfast/internal/libpq"
	"holdfast/target"
)

// Loader puts captures into fresh databases of one server.
type Loader interface {
	Survey(ctx context.Context, c holdfast.Capture) (target.Compatibility, error)
	Load(ctx context.Context, name string, c holdfast.Capture, fit target.Compatibility, files holdfast.Files) error
	Drop(ctx context.Context, name string) error
}

// Place is the node as the place of a restore.
type Target struct {
	Live
	// Loader makes the loader for a component, connected through a database of
	// the same server that stays.
	Loader func(name holdfast.ComponentName, through libpq.Address) Loader
	Now    func() time.Time
}

func (p Target) server(ctx context.Context, name holdfast.ComponentName) (Server, libpq.Address, error) {
	t, ok := p.Addresses[name]
	if !ok {
		return Server{}, t, &holdfast.Problem{Class: holdfast.Usage, What: fmt.Sprintf("the configuration has no database for component %s", name),
			Do: "Add it to `databases:` in holdfast.yaml, name a place with --to, or leave it out with --component."}
	}
	s, err := ServerOf(ctx, t)
	return s, t, err
}

// Look says where the capture goes: into the place of the configured database.
func (p Target) Look(ctx context.Context, set holdfast.SetID, c holdfast.Capture) (target.Database, error) {
	s, t, err := p.server(ctx, c.Component)
	if err != nil {
		return target.Database{}, err
	}
	live := t.Database()
	out := target.Database{Component: c.Component, Where: t.Where(), Database: live, New: NameBeside(live, New, set)}
	if out.Keep, err = s.freeName(ctx, live, Before, set); err != nil {
		return out, err
	}
	if out.Fit, err = p.Loader(c.Component, s.Address).Survey(ctx, c); err != nil {
		return out, err
	}
	if out.Live, err = s.Exists(ctx, live); err != nil || !out.Live {
		return out, err
	}
	list, err := s.Sessions(ctx, live)
	if err != nil {
		return out, err
	}
	for _, session := range list {
		out.Sessions = append(out.Sessions, session.String())
	}
	// What the live database says helps to tell what would be lost; a database
	// that is wrecked says nothing, and that must not stop its rescue.
	conn, err := t.Connect(ctx, libpq.Options{Application: application})
	if err != nil {
		return out, nil
	}
	defer hangUp(conn)
	_ = conn.QueryRow(ctx, `SELECT pg_database_size(current_database())`).Scan(&out.Bytes)
	if facts, err := canton.Read(ctx, conn, c.Kind); err == nil {
		out.Now = &facts
	}
	return out, nil
}

// Build restores a capture beside the live database.
func (p Target) Build(ctx context.Context, set holdfast.SetID, placement target.Database, c holdfast.Capture, files holdfast.Files) error {
	s, _, err := p.server(ctx, placement.Component)
	if err != nil {
		return err
	}
	loader := p.Loader(placement.Component, s.Address)
	label := Label{Role: New, Database: placement.Database, Component: placement.Component, Set: set, At: p.Now()}
	left, err := s.Leftovers(ctx, placement.Database)
	if err != nil {
		return err
	}
	for _, l := range left {
		if l.Name != placement.New || l.Role != New {
			continue
		}
		// A restore of the same set died before it could clean up. If it is
		// still alive it is connected, and drop refuses.
		if err := s.drop(ctx, l); err != nil {
			return err
		}
	}
	if err := loader.Load(ctx, placement.New, c, placement.Fit, files); err != nil {
		return err
	}
	if err := s.SetLabel(ctx, placement.New, label); err != nil {
		return errors.Join(err, loader.Drop(context.WithoutCancel(ctx), placement.New))
	}
	return nil
}

// Swap moves every new database into place, server by server. Should a later
// server refuse, the moves made on earlier ones are taken back.
func (p Target) Swap(ctx context.Context, set holdfast.SetID, placements []target.Database) error {
	batches, err := p.batches(ctx, set, placements)
	if err != nil {
		return err
	}
	return moveAll(ctx, batches)
}

// Unswap takes a Swap back: what it put in place is new again, and what it
// kept is live.
func (p Target) Unswap(ctx context.Context, set holdfast.SetID, placements []target.Database) error {
	batches, err := p.batches(ctx, set, placements)
	if err != nil {
		return err
	}
	for i, b := range batches {
		batches[i].there, batches[i].back = b.back, b.there
	}
	return moveAll(ctx, batches)
}

// batches are the moves of a swap.
func (p Target) batches(ctx context.Context, set holdfast.SetID, placements []target.Database) ([]batch, error) {
	var batches []batch
	now := p.Now() // one time for all: an undo knows by it what was swapped together
	for _, placement := range placements {
		s, _, err := p.server(ctx, placement.Component)
		if err != nil {
			return nil, err
		}
		label := Label{Database: placement.Database, Component: placement.Component, Set: set, At: now}
		before, fresh := label, label
		before.Role, fresh.Role = Before, New
		b := on(&batches, s)
		if placement.Live {
			b.there = append(b.there, Move{placement.Database, placement.Keep, &before})
		}
		b.there = append(b.there, Move{placement.New, placement.Database, nil})
		b.back = append(b.back, Move{placement.Database, placement.New, &fresh})
		if placement.Live {
			b.back = append(b.back, Move{placement.Keep, placement.Database, nil})
		}
	}
	return batches, nil
}

// batch are the moves on one server, and those that take them back.
type batch struct {
	server      Server
	there, back []Move
}

// on returns the batch of a server, a new one if there is none yet.
func on(batches *[]batch, s Server) *batch {
	i := slices.IndexFunc(*batches, func(b batch) bool { return b.server.Address.String() == s.Address.String() })
	if i < 0 {
		*batches = append(*batches, batch{server: s})
		i = len(*batches) - 1
	}
	return &(*batches)[i]
}

// moveAll makes all moves or none.
func moveAll(ctx context.Context, batches []batch) error {
	for i, b := range batches {
		err := b.server.Move(ctx, b.there)
		if err == nil {
			continue
		}
		for _, done := range slices.Backward(batches[:i]) {
			if failed := done.server.Move(context.WithoutCancel(ctx), done.back); failed != nil {
				err = errors.Join(&holdfast.Problem{Class: holdfast.Failed, What: "the moves on " + done.server.Address.Where() + " could not be taken back", Err: failed,
					Why: "One of the node's databases was exchanged and the other was not: do not start the node.", Do: "`holdfast restore --undo` puts the old databases back."}, err)
			}
		}
		return err
	}
	return nil
}

// Discard drops a database that was built and is not used.
func (p Target) Discard(ctx context.Context, placement target.Database) error {
	s, _, err := p.server(ctx, placement.Component)
	if err != nil {
		return err
	}
	return p.Loader(placement.Component, s.Address).Drop(ctx, placement.New)
}

// Leftovers lists what restores have left on the node's servers.
func (p Target) Leftovers(ctx context.Context) ([]Leftover, error) {
	var out []Leftover
	for _, c := range p.Components {
		s, t, err := p.server(ctx, c.Name)
		if err != nil {
			return nil, err
		}
		list, err := s.Leftovers(ctx, t.Database())
		if err != nil {
			return nil, err
		}
		for _, l := range list {
			l.Component = c.Name
			out = append(out, l)
		}
	}
	return out, nil
}

// Drop drops leftovers by their names; all of them are known to be leftovers
// before the first is dropped.
func (p Target) Drop(ctx context.Context, names []string) error {
	unlock, err := p.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	list, err := p.Leftovers(ctx)
	if err != nil {
		return err
	}
	var chosen []Leftover
	for _, name := range names {
		i := slices.IndexFunc(list, func(l Leftover) bool { return l.Name == name })
		if i < 0 {
			return &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("%s is not a database that a restore left", name),
				Why: "Only what a restore made or moved is dropped.", Do: "`holdfast restore clean` lists them."}
		}
		chosen = append(chosen, list[i])
	}
	for _, l := range chosen {
		s, _, err := p.server(ctx, l.Component)
		if err != nil {
			return err
		}
		if err := s.drop(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// Undo puts the databases back that the newest restore replaced, and keeps the
// restored ones aside. It returns the moves it made.
func (p Target) Undo(ctx context.Context) ([]Move, error) {
	unlock, err := p.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	list, err := p.Leftovers(ctx)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(l Leftover) bool { return l.Role != Before })
	if len(list) == 0 {
		return nil, &holdfast.Problem{Class: holdfast.Refused, What: "there is nothing to undo",
			Why: "No database is kept that a restore replaced.", Do: "`holdfast restore clean` lists what restores have left."}
	}
	newest := slices.MaxFunc(list, func(a, b Leftover) int { return a.At.Compare(b.At) })
	var all []Move
	var batches []batch
	for _, l := range list {
		if l.Set != newest.Set || !l.At.Equal(newest.At) {
			continue
		}
		s, _, err := p.server(ctx, l.Component)
		if err != nil {
			return nil, err
		}
		live, err := s.Exists(ctx, l.Database)
		if err != nil {
			return nil, err
		}
		b := on(&batches, s)
		before := l.Label
		b.back = append([]Move{{l.Database, l.Name, &before}}, b.back...)
		if live {
			aside := Label{Role: Undone, Database: l.Database, Component: l.Component, Set: l.Set, At: p.Now()}
			name, err := s.freeName(ctx, l.Database, Undone, l.Set)
			if err != nil {
				return nil, err
			}
			b.there = append(b.there, Move{l.Database, name, &aside})
			b.back = append(b.back, Move{name, l.Database, nil})
		}
		b.there = append(b.there, Move{l.Name, l.Database, nil})
		all = append(all, b.there[len(b.there)-1])
		if live {
			all = slices.Insert(all, len(all)-1, b.there[len(b.there)-2])
		}
	}
	if err := moveAll(ctx, batches); err != nil {
		return nil, err
	}
	return all, nil
}
