package databases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/canton"
	"holdfast/grace"
	"holdfast/internal/libpq"
	"holdfast/step"
	"holdfast/target"
)

// Loader puts captures into fresh databases of one server.
type Loader interface {
	Survey(ctx context.Context, c holdfast.Part) (target.Compatibility, error)
	// Create makes an empty database that lets in nobody. Admit lets us in, and
	// Bind makes the extensions that are bound to the name it has.
	Create(ctx context.Context, name string, c holdfast.Part) error
	Admit(ctx context.Context, name string) error
	Bind(ctx context.Context, name string, list []target.Bound) error
	// Load fills a database that was created, proves it and closes it. Lasting says
	// that no crash of the server changes it.
	Load(
		ctx context.Context, name string, c holdfast.Part, fit target.Compatibility, files holdfast.Files,
	) (lasting bool, err error)
	// Recipe names what Load would make: databases of one recipe are equal.
	Recipe(c holdfast.Part, fit target.Compatibility) string
	Drop(ctx context.Context, name string) error
	// Rehearse finds out what of the capture's schema a restore would stop at in an
	// empty database.
	Rehearse(ctx context.Context, name string, c holdfast.Part, fit target.Compatibility,
		files holdfast.Files) ([]holdfast.Obstacle, error)
}

// Target is the node's databases as the target of a restore.
type Target struct {
	Live
	// Loader makes the loader for a component, connected through a database of
	// the same server that stays.
	Loader func(name holdfast.ComponentName, through libpq.Address) Loader
	Now    func() time.Time
	// Shut has databases closed from before they are swapped until their program's
	// turn has come: others may start it at any time.
	Shut bool
}

// given is the address that the configuration has for a component.
func (p Target) given(name holdfast.ComponentName) (libpq.Address, error) {
	t, ok := p.Addresses[name]
	if !ok {
		return t, &holdfast.Problem{
			Class: holdfast.Usage,
			What:  fmt.Sprintf("the configuration has no database for component %s", name),
			Do:    "Add it to `databases:` in holdfast.yaml, name a place with --to, or leave it out with --component.",
		}
	}
	return t, nil
}

func (p Target) server(ctx context.Context, name holdfast.ComponentName) (Server, libpq.Address, error) {
	t, err := p.given(name)
	if err != nil {
		return Server{}, t, err
	}
	s, err := ServerOf(ctx, t)
	return s, t, err
}

// Names says where the capture goes and what will be called what, as far as
// that is known without the server.
func (p Target) Names(set holdfast.SetID, c holdfast.Part) (target.Database, error) {
	if where := c.Elsewhere(); where != "" {
		return target.Database{}, &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("%s is not in the set: it is %s", c.Component, where),
			Why:   "It comes back as a new instance of its provider, and never as a database next to others.",
			Do: "`holdfast restore` without --to does so; `holdfast restore rehearse` proves it and removes it again. " +
				"Or choose a set of dumps: `holdfast list`.",
		}
	}
	t, err := p.given(c.Component)
	live := t.Database()
	return target.Database{
		Component: c.Component, Where: t.Where(), Database: live,
		New: NameOf(live, step.New, set), Previous: NameOf(live, step.Previous, set),
	}, err
}

// Look says where the capture goes: into the place of the configured database.
func (p Target) Look(ctx context.Context, set holdfast.SetID, c holdfast.Part) (target.Database, error) {
	out, err := p.Names(set, c)
	if err != nil {
		return out, err
	}
	s, t, err := p.server(ctx, c.Component)
	if err != nil {
		return out, err
	}
	if out.Previous, err = s.freeName(ctx, out.Database, step.Previous, set); err != nil {
		return out, err
	}
	if out.Fit, err = p.Loader(c.Component, s.Address).Survey(ctx, c); err != nil {
		return out, err
	}
	if out.Server, err = s.identity(ctx); err != nil {
		return out, err
	}
	if out.Before, err = s.replacedBefore(ctx, out.Database); err != nil {
		return out, err
	}
	if err := p.ready(ctx, s, set, c, &out); err != nil || out.InPlace != nil {
		return out, err
	}
	out.Disk = s.disk(ctx)
	if err := s.name(ctx, set, &out); err != nil || !out.Live {
		return out, err
	}
	e, there, err := s.entry(ctx, out.Database)
	if err != nil {
		return out, err
	}
	out.Closed = there && !e.open
	if out.Obstacles, out.Stays, err = s.look(ctx, out.Database, out.Previous); err != nil {
		return out, err
	}
	if out.Slots, err = s.slots(ctx, out.Database); err != nil {
		return out, err
	}
	// What the live database says shows what would be lost; a database
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

// replacedBefore is when the last swap of a database was, by its label.
func (s Server) replacedBefore(ctx context.Context, live string) (at time.Time, err error) {
	left, err := s.Leftovers(ctx, live)
	for _, l := range left {
		if l.Role == step.Previous && l.At.After(at) {
			at = l.At
		}
	}
	return at, err
}

// disk is where the server keeps its data, as far as it is seen from here.
func (s Server) disk(ctx context.Context) target.Disk {
	d := target.Disk{Server: serverOf(s.Address)}
	err := s.with(ctx, func(conn *pgx.Conn) error {
		var address, dir *string
		err := conn.QueryRow(ctx, `SELECT host(inet_server_addr()),
			CASE WHEN pg_has_role(current_user, 'pg_read_all_settings', 'USAGE') THEN current_setting('data_directory') END`).
			Scan(&address, &dir)
		if d.Free = freeBytes(d.Server, address, dir); dir != nil {
			d.ID = fileSystem(*dir)
		}
		return err
	})
	if err != nil {
		d.Free = holdfast.Unknown[int64](err.Error())
	}
	return d
}

// slots lists the logical replication slots of a database.
func (s Server) slots(ctx context.Context, database string) (list []target.Slot, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT slot_name::text, plugin::text, active FROM pg_replication_slots
			WHERE database = $1 ORDER BY 1`, database)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[target.Slot])
		return err
	})
	return list, err
}

// Build restores a capture next to the live database.
func (p Target) Build(
	ctx context.Context, set holdfast.SetID, d target.Database, c holdfast.Part, files holdfast.Files,
) error {
	s, _, err := p.server(ctx, d.Component)
	if err != nil {
		return err
	}
	loader := p.Loader(d.Component, s.Address)
	label := step.Label{Role: step.New, Database: d.Database, Component: d.Component, Set: set, At: p.Now()}
	left, err := s.Leftovers(ctx, d.Database)
	if err != nil {
		return err
	}
	for _, l := range left {
		if l.Role != step.Naming && (l.Name != d.New || l.Role != step.New) {
			continue
		}
		// A restore of the same set died before it could clean up; it does not live,
		// since the lock is ours.
		if err := s.drop(ctx, l); err != nil {
			return err
		}
	}
	if err := target.Refuse(d.Fit.Differences); err != nil {
		return err
	}
	if err := loader.Create(ctx, d.New, c); err != nil {
		return err
	}
	if err := s.bind(ctx, loader, d, label); err != nil {
		late, done := grace.Period(ctx, grace.Cleanup)
		defer done()
		return errors.Join(err, s.unbind(late, loader, d))
	}
	lasting, err := loader.Load(ctx, d.New, c, d.Fit, files)
	if err != nil {
		return err
	}
	recipe := ""
	if lasting {
		recipe = loader.Recipe(c, d.Fit)
	}
	if err := s.seal(ctx, d.New, label, recipe); err != nil {
		late, done := grace.Period(ctx, grace.Cleanup)
		defer done()
		return errors.Join(err, loader.Drop(late, d.New))
	}
	return nil
}

// Swaps are the steps that put the new databases in place: one of each server,
// because the renames of one server are one transaction. All carry the same
// time: an undo knows by it what was swapped together, and which swap was the
// last. So it is behind those of all swaps that a server remembers, whatever the
// clock of this machine says.
//
// On several servers nothing is opened before everything has its place, so that
// no two databases that do not belong together can be used or backed up, however
// the swap is broken off. Where databases are shut, the live ones are closed first,
// and each component has a step of its own that opens it, which names its kind.
func (p Target) Swaps(set holdfast.SetID, at time.Time, list []target.Database) []step.Step {
	for _, d := range list {
		if !at.After(d.Before) {
			at = d.Before.Add(time.Second)
		}
	}
	goesOn := false
	for _, d := range list {
		if d.InPlace != nil { // this goes on with that swap
			at, goesOn = *d.InPlace, true
		}
	}
	later := p.Shut ||
		slices.ContainsFunc(list, func(d target.Database) bool { return p.serverOf(d) != p.serverOf(list[0]) })
	shut, swap, open := p.shutting(), batches{act: step.Rename}, p.opening()
	for _, d := range list {
		label := step.Label{Database: d.Database, Component: d.Component, Set: set, At: at}
		previous, fresh := label, label
		previous.Role, fresh.Role = step.Previous, step.New
		if goesOn && d.InPlace == nil && at.Equal(d.Before) {
			previous.Role = step.Undone // that swap put it in place, and it was opened: what to go back to is older
		}
		if p.Shut && d.Live && !d.Closed {
			shut.add(p.serverOf(d), d.Component, stays(d.Database, step.Nobody))
		}
		unknown := d.Unknown != ""
		var moves []step.Move
		switch {
		case d.Live || unknown:
			moves = append(moves, step.Move{From: d.Database, To: d.Previous, Label: &previous, If: unknown})
		case d.Renamed:
			moves = append(moves, step.Move{From: d.Previous, To: d.Previous, Label: &previous})
		}
		last := step.Move{From: d.New, To: d.Database, Was: &fresh, Access: step.Everybody}
		if later {
			last.Label, last.Access = &fresh, step.Unchanged
			opened := stays(d.Database, step.Everybody)
			opened.Was = &fresh
			open.add(p.serverOf(d), d.Component, opened)
		}
		if !later || d.New != d.Database {
			swap.add(p.serverOf(d), d.Component, append(moves, last)...)
		}
	}
	return slices.Concat(shut.steps, swap.steps, open.steps)
}

// stays is the move of a database that keeps its name, and is opened or closed.
func stays(name string, access step.Access) step.Move {
	return step.Move{From: name, To: name, Access: access}
}

// shutting are steps that close live databases.
func (p Target) shutting() batches {
	return batches{act: step.Close, why: "nobody connects to it until its program's turn has come"}
}

// opening are steps that open databases: all of a server or, where they are shut,
// each by itself.
func (p Target) opening() batches {
	out := batches{act: step.Open}
	if p.Shut {
		out.kind = func(name holdfast.ComponentName) string {
			c, _ := p.Component(name)
			return string(c.Kind)
		}
	}
	return out
}

// serverOf is a server's identity or, while that is unknown, how it is reached.
func (p Target) serverOf(d target.Database) string {
	return cmp.Or(d.Server, p.Addresses[d.Component].On("postgres").String())
}

// batches are steps that are being gathered by server.
type batches struct {
	act     step.Act
	why     string
	kind    func(holdfast.ComponentName) string // of a component that has a step for itself; nil: none has
	servers []string
	steps   []step.Step
}

func (b *batches) add(server string, name holdfast.ComponentName, moves ...step.Move) {
	i := slices.Index(b.servers, server)
	if i < 0 || b.kind != nil {
		i = len(b.steps)
		b.servers = append(b.servers, server)
		b.steps = append(b.steps, step.Step{Act: b.act, Kind: step.Server, Name: string(name), Why: b.why})
		if b.kind != nil {
			b.steps[i].Of = b.kind(name)
		}
	}
	b.steps[i].Moves = append(b.steps[i].Moves, moves...)
}

// Rename does the moves of one step: all of them, or none.
func (p Target) Rename(ctx context.Context, s step.Step) error {
	server, _, err := p.server(ctx, holdfast.ComponentName(s.Name))
	if err != nil {
		return err
	}
	moves, due, err := server.due(ctx, s.Moves)
	if err != nil || s.If && !due {
		return err
	}
	return server.Move(ctx, moves)
}

// due resolves which moves are to be made. They are not due when the database of
// the decisive one does not exist: either they were made already, or what they
// take back never was.
func (s Server) due(ctx context.Context, moves []step.Move) (out []step.Move, due bool, err error) {
	there, err := s.names(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, m := range moves {
		if m.If && !slices.Contains(there, m.From) {
			continue
		}
		m.If = false
		out = append(out, m)
	}
	return out, slices.Contains(there, decisive(moves).From), nil
}

// names lists the server's databases.
func (s Server) names(ctx context.Context) (list []string, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT datname::text FROM pg_database`)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return list, err
}

// Drop drops a database that was built and is not in place; one that does not
// exist is as good as dropped.
func (p Target) Drop(ctx context.Context, component holdfast.ComponentName, name string) error {
	s, _, err := p.server(ctx, component)
	if err != nil {
		return err
	}
	return p.Loader(component, s.Address).Drop(ctx, name)
}

// Leftovers lists what restores have left on the node's servers.
func (p Target) Leftovers(ctx context.Context) ([]step.Leftover, error) {
	var out []step.Leftover
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

// Remove drops leftovers. Only what a restore made or moved is dropped, and
// none that anybody is connected to.
func (p Target) Remove(ctx context.Context, list []step.Leftover) error {
	if len(list) == 0 {
		return nil
	}
	_, unlock, err := p.Lock(ctx, false)
	if err != nil {
		return err
	}
	defer unlock()
	for _, l := range list {
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

// Back are the steps that put previous databases back in their place. What is
// live there now is kept as undone. On several servers, what is live on all but
// the first is closed meanwhile, or all of it where databases are shut: see Swaps.
func (p Target) Back(ctx context.Context, previous []step.Leftover, at time.Time) ([]step.Step, error) {
	shut, back, open := batches{act: step.Close}, batches{act: step.Rename}, p.opening()
	if p.Shut {
		shut = p.shutting()
	}
	first := ""
	for _, l := range previous {
		s, _, err := p.server(ctx, l.Component)
		if err != nil {
			return nil, err
		}
		server, err := s.identity(ctx)
		if err != nil {
			return nil, err
		}
		first = cmp.Or(first, server)
		live, err := s.Exists(ctx, l.Database)
		if err != nil {
			return nil, err
		}
		var moves []step.Move
		if live {
			undone := step.Label{Role: step.Undone, Database: l.Database, Component: l.Component, Set: l.Set, At: at}
			name, err := s.freeName(ctx, l.Database, step.Undone, l.Set)
			if err != nil {
				return nil, err
			}
			move := step.Move{From: l.Database, To: name, Label: &undone}
			if p.Shut {
				shut.add(server, l.Component, stays(l.Database, step.Nobody))
			} else if server != first {
				fresh := undone
				fresh.Role = step.New
				shut.add(server, l.Component,
					step.Move{From: l.Database, To: l.Database, Label: &fresh, Access: step.Nobody})
				move.Was, move.Access = &fresh, step.Everybody
			}
			moves = append(moves, move)
		}
		was := l.Label
		last := step.Move{From: l.Name, To: l.Database, Was: &was, Access: step.Everybody}
		if p.Shut {
			last.Access = step.Nobody
			open.add(server, l.Component, stays(l.Database, step.Everybody))
		}
		back.add(server, l.Component, append(moves, last)...)
	}
	return slices.Concat(shut.steps, back.steps, open.steps), nil
}

// Fit leaves out of a way back what was taken back already, or never done: a
// rename whose databases do not exist, a database that is not there to be
// dropped. Keep says that restored databases may have been in use: they become
// undone instead of new, and are not dropped.
func (p Target) Fit(ctx context.Context, list []step.Step, keep bool, at time.Time) ([]step.Step, error) {
	var out []step.Step
	kept := map[string]bool{} // names that nothing gets, because a database becomes undone instead
	for _, s := range list {
		due := true
		var err error
		switch s.Kind {
		case step.Server:
			due, err = p.fitRename(ctx, &s, keep, kept, at)
		case step.Database:
			due, err = p.built(ctx, s)
			due = due && !kept[s.Name]
		}
		if err != nil {
			return nil, err
		}
		if due {
			out = append(out, s)
		}
	}
	return out, nil
}

// built reports whether there is a database to be dropped.
func (p Target) built(ctx context.Context, s step.Step) (bool, error) {
	server, _, err := p.server(ctx, holdfast.ComponentName(s.Of))
	if err != nil {
		return false, err
	}
	return server.Exists(ctx, s.Name)
}

// fitRename resolves which moves of a step are to be made, and reports whether
// any is.
func (p Target) fitRename(
	ctx context.Context, s *step.Step, keep bool, kept map[string]bool, at time.Time,
) (due bool, err error) {
	server, _, err := p.server(ctx, holdfast.ComponentName(s.Name))
	if err != nil {
		return false, err
	}
	s.If = false
	if s.Moves, due, err = server.due(ctx, s.Moves); err != nil || !due || !keep {
		return due, err
	}
	return due, server.keep(ctx, s.Moves, kept, at)
}

// keep has restored databases become undone where they would become new.
func (s Server) keep(ctx context.Context, moves []step.Move, kept map[string]bool, at time.Time) error {
	for i, m := range moves {
		if m.Label == nil || m.Label.Role != step.New || m.From == m.To {
			continue
		}
		name, err := s.freeName(ctx, m.From, step.Undone, m.Label.Set)
		if err != nil {
			return err
		}
		kept[m.To] = true
		label := *m.Label
		label.Role, label.At = step.Undone, at
		moves[i].To, moves[i].Label, moves[i].Access = name, &label, step.Everybody
	}
	return nil
}
