package setup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"holdfast"
	"holdfast/canton"
	"holdfast/capture/postgres"
	"holdfast/databases"
	"holdfast/internal/libpq"
	"holdfast/node/compose"
	"holdfast/restore"
	"holdfast/step"
)

// living is a compose node as the place of a restore: its databases, and its
// programs.
type living struct {
	databases.Target
	*compose.Programs
}

// RestoreOptions say how a restore differs from the plain one.
type RestoreOptions struct {
	To          []string // COMPONENT=CONNECTION of another place; empty: the configured node
	Locale      string   // to make the databases with, instead of the recorded one
	NoOwner     bool     // everything belongs to the connecting user
	FreshVolume bool     // keep the volume of Postgres aside, and take an empty one
}

func (o RestoreOptions) load() postgres.LoadOptions {
	return postgres.LoadOptions{Locale: o.Locale, NoOwner: o.NoOwner}
}

// Destination is where a set goes, and the databases there.
func (p *Parts) Destination(
	ctx context.Context, o RestoreOptions, set holdfast.Set, files holdfast.Files,
) (restore.Target, databases.Target, error) {
	if p.kind.Programs != nil && len(o.To) == 0 {
		return p.kind.Programs.Target(ctx, o, set, files)
	}
	to, err := p.target(ctx, o)
	return to, to, err
}

// Undo takes the newest restore back.
func (p *Parts) Undo(ctx context.Context, o RestoreOptions) ([]databases.Move, error) {
	if p.kind.Programs != nil && len(o.To) == 0 {
		return p.kind.Programs.Undo(ctx, o)
	}
	to, err := p.target(ctx, RestoreOptions{To: o.To})
	if err != nil {
		return nil, err
	}
	return to.Undo(ctx)
}

// Target implements Programs.
func (c *composed) Target(
	ctx context.Context, o RestoreOptions, set holdfast.Set, files holdfast.Files,
) (restore.Target, databases.Target, error) {
	to, err := c.living(ctx, o, set, files)
	return to, to.Target, err
}

// living is the node as it is to be after a restore of the set.
func (c *composed) living(
	ctx context.Context, o RestoreOptions, set holdfast.Set, files holdfast.Files,
) (living, error) {
	conf := c.parts.Config.Compose
	engine, err := compose.Connect(conf.DockerHost)
	if err != nil {
		return living{}, err
	}
	site := compose.Site{Project: conf.Project, Directory: conf.Directory}
	programs, err := compose.Revive(ctx, engine, site, set, files)
	if err != nil {
		return living{}, err
	}
	programs.Fresh = o.FreshVolume
	return c.with(programs, o.load())
}

// with makes a target of a node's programs.
func (c *composed) with(programs *compose.Programs, options postgres.LoadOptions) (living, error) {
	live, err := c.parts.given()
	if err != nil {
		return living{}, err
	}
	maps.Copy(live.Addresses, addressesOf(programs.Node))
	participant := programs.Node.Target(holdfast.Participant)
	programs.Path = c.parts.journal()
	programs.Ready = func(ctx context.Context) error { return answers(ctx, participant) }
	programs.Identity = func(ctx context.Context) (string, error) { return identityOf(ctx, participant) }
	programs.Asked = adminOf(programs.Node).Who
	return living{c.parts.targetOf(live, options), programs}, nil
}

// journal is where the restore of a compose node keeps its journal.
func (p *Parts) journal() string {
	return p.nextToConfig(".restore.json")
}

// answers asks a database's server for a sign of life.
func answers(ctx context.Context, t libpq.Address) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := t.On("postgres").Connect(ctx, libpq.Options{})
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// identityOf reads which participant a database is of; "" for one that has not
// been made yet.
func identityOf(ctx context.Context, t libpq.Address) (string, error) {
	conn, err := t.Connect(ctx, libpq.Options{})
	if holdfast.ClassOf(err) == holdfast.Usage { // the server says that there is no such database
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	found, err := canton.Recognise(ctx, conn)
	if err != nil || found.Kind != holdfast.Participant {
		return "", err
	}
	return found.ID, nil
}

// Undo implements Programs: it puts back what the newest restore of a compose node replaced, or
// what one that was broken off has left, and has the node run as before.
func (c *composed) Undo(ctx context.Context, o RestoreOptions) ([]databases.Move, error) {
	left, err := compose.BrokenOff(c.parts.journal())
	if err != nil {
		return nil, err
	}
	place, err := c.livingNow(ctx, left)
	if err != nil {
		return nil, err
	}
	tell := c.parts.tell
	if left.Exchanged() { // what is on the empty volume goes with it
		return []databases.Move{}, place.Return(ctx, tell)
	}
	if left == nil {
		kept, err := place.replaced(ctx, o.FreshVolume)
		if err != nil || kept != nil {
			return place.putBack(ctx, kept, err, tell)
		}
	}
	if err := place.Halt(ctx, step.Standstill{}, tell); err != nil {
		return nil, err
	}
	moves, err := undoDatabases(ctx, place.Target, left)
	if err != nil {
		return nil, errors.Join(err, place.Return(context.WithoutCancel(ctx), tell))
	}
	if left != nil {
		return moves, place.Return(ctx, tell)
	}
	participant, err := place.Identity(ctx)
	if err != nil || participant == "" {
		return moves, errors.Join(err, place.Return(ctx, tell))
	}
	return moves, place.Wake(ctx, participant, tell)
}

// replaced is the volume that the newest restore has replaced; nil when that
// restore has replaced databases alone. Certain says that the operator means
// the volume, so that the databases need not be asked.
func (l living) replaced(ctx context.Context, certain bool) (*compose.Kept, error) {
	list, err := l.Programs.Node.Engine.Kept(ctx, l.Programs.Node.Project)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(k compose.Kept) bool { return k.Role == string(databases.Before) })
	if i < 0 {
		if certain {
			return nil, &holdfast.Problem{Class: holdfast.Refused, What: "there is no volume to put back", Why: "No restore has put one aside.", Do: "`holdfast restore clean` lists what restores have left."}
		}
		return nil, nil
	}
	if certain {
		return &list[i], nil
	}
	databases, err := l.Leftovers(ctx)
	if err != nil {
		return nil, err
	}
	if filledOnce(list[i].At, databases) {
		return &list[i], nil
	}
	return nil, nil
}

// filledOnce says that no restore but the one that made room for an empty
// volume has replaced databases on it: to undo the newest is to put the volume
// back. Of later ones it is to put databases back.
func filledOnce(emptied time.Time, left []databases.Leftover) bool {
	restores := map[time.Time]bool{}
	for _, d := range left {
		if d.Role == databases.Before && d.At.After(emptied) {
			restores[d.At] = true
		}
	}
	return len(restores) <= 1
}

// putBack gives Postgres the kept volume back.
func (l living) putBack(ctx context.Context, k *compose.Kept, err error, tell func(string)) ([]databases.Move, error) {
	if err != nil {
		return nil, err
	}
	undone, err := l.PutBack(ctx, *k, tell)
	if err != nil {
		return nil, err
	}
	return []databases.Move{{From: k.Of, To: undone}, {From: k.Name, To: k.Of}}, nil
}

// livingNow is the node as it runs; after a restore that was broken off, as
// that one meant it to be. Where its set cannot be had any more, what runs, or
// is there stopped, has to do.
func (c *composed) livingNow(ctx context.Context, left *compose.Journal) (to living, err error) {
	if left != nil {
		var set holdfast.Set
		var files holdfast.Files
		if set, files, err = c.parts.Find(ctx, string(left.Set)); err == nil {
			to, err = c.living(ctx, RestoreOptions{}, set, files)
		}
		if err == nil || ctx.Err() != nil {
			return to, err
		}
	}
	n, failed := c.found(ctx)
	if failed != nil {
		return to, errors.Join(err, failed)
	}
	programs := &compose.Programs{Node: n, Now: time.Now}
	if left != nil {
		programs.Set = left.Set
		c.parts.tell(fmt.Sprintf("the set cannot be had (%v); going back from what is there", err))
	}
	return c.with(programs, postgres.LoadOptions{})
}

// undoDatabases takes the newest swap back; of a restore that was broken off,
// only if it had come that far, and what it was building is dropped.
func undoDatabases(ctx context.Context, place databases.Target, left *compose.Journal) ([]databases.Move, error) {
	if left == nil {
		return place.Undo(ctx)
	}
	list, err := place.Leftovers(ctx)
	if err != nil {
		return nil, err
	}
	moves := []databases.Move{}
	if slices.ContainsFunc(list, func(l databases.Leftover) bool {
		return l.Role == databases.Before && l.Set == left.Set && !l.At.Before(left.Began)
	}) {
		if moves, err = place.Undo(ctx); err != nil {
			return moves, err
		}
	}
	var half []string
	for _, l := range list {
		if l.Role == databases.New && l.Set == left.Set {
			half = append(half, l.Name)
		}
	}
	return moves, place.Drop(ctx, half)
}

var _ restore.Living = living{}
