package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast"
	"holdfast/backup"
	"holdfast/capture/instances"
	"holdfast/databases"
	"holdfast/drill"
	"holdfast/internal/libpq"
)

// Lift reads the rows of a set of snapshots into the repository: instances are made
// of the snapshots, proven as in a drill, dumped and deleted. The live instances are
// not read.
type Lift struct {
	Plan drill.Plan

	parts  *Parts
	from   Source
	drill  drill.Job
	set    holdfast.Set
	failed error
}

// snapshotsOf is the set that is lifted: an ID, its beginning, or "latest", the newest
// proven set of snapshots. Where none is proven it is the newest that lacks no more than
// the proof, which a lift gives: sets of Multi-AZ clusters are never proven before.
func (p *Parts) snapshotsOf(ctx context.Context, id string) (Source, error) {
	if id != "latest" {
		return p.Source(ctx, id)
	}
	r, err := p.Repository(ctx)
	if err != nil {
		return Source{}, err
	}
	entries, err := r.Sets(ctx, p.Node.Name)
	if err != nil {
		return Source{}, err
	}
	for _, state := range []holdfast.State{holdfast.Proven, holdfast.Unproven} {
		for _, e := range slices.Backward(entries) {
			if e.State != state {
				continue
			}
			found, err := r.Load(ctx, e)
			if err != nil {
				return Source{}, err
			}
			if found.Set.KeptElsewhere() {
				return Source{Repository: r, Set: found.Set, Files: found}, nil
			}
		}
	}
	return Source{}, &holdfast.Problem{
		Class: holdfast.Usage, What: fmt.Sprintf("node %s has no set of snapshots that a lift could prove", p.Node.Name),
		Why: "A lift reads the rows of snapshots that a provider keeps.", Do: "Take one: `holdfast backup`.",
	}
}

// Lift is one of a set of snapshots: an ID, its beginning, or "latest", the newest
// proven one. It reads the account, and makes nothing.
func (p *Parts) Lift(ctx context.Context, id string) (*Lift, error) {
	from, err := p.snapshotsOf(ctx, id)
	if err != nil {
		return nil, err
	}
	if !p.refers(from.Set, RestoreOptions{}) {
		return nil, Usage(fmt.Errorf("set %s has its rows in the repository: there is nothing to lift", from.Set.ID))
	}
	job, made, err := p.temporaryDrill(ctx, from.Set, DrillOptions{})
	if err != nil {
		return nil, err
	}
	l := &Lift{parts: p, from: from, drill: job}
	l.drill.Then = func(ctx context.Context, _ drill.Place) error {
		l.set, l.failed = p.dumpTemporary(ctx, made, from)
		return l.failed
	}
	l.Plan, err = job.Plan(ctx, from.Set, nil)
	return l, err
}

// Run does it. The drill is remembered of the set of snapshots whatever came of the
// rows. Of a set that was stored the error is nil only if it is proven and nothing
// is left.
func (l *Lift) Run(ctx context.Context) (holdfast.Set, *drill.Report, error) {
	report, kept, err := l.parts.Drill(ctx, l.drill, l.Plan, l.from, "")
	lifted := l.set.ID != "" && l.failed == nil
	if lifted && holdfast.ClassOf(err) == holdfast.Undetermined { // such as identities that nobody has
		err = nil
	}
	return l.set, report, errors.Join(err, kept)
}

// dumpTemporary dumps the instances that were made of a set's snapshots, as the
// live databases are dumped.
func (p *Parts) dumpTemporary(ctx context.Context, made instances.Target, from Source) (holdfast.Set, error) {
	there := databases.Live{Node: from.Set.Node, Addresses: map[holdfast.ComponentName]libpq.Address{}}
	sources := map[holdfast.ComponentName]backup.Source{}
	for _, part := range from.Set.Parts() {
		live, err := made.On(ctx, from.Set.ID, part.Component)
		if err != nil {
			return holdfast.Set{}, err
		}
		there.Addresses[part.Component] = live.Address
		sources[part.Component] = instances.Lift{Dumper: p.dumper(live.Address), From: from.Set}
	}
	job := backup.Job{
		Node: from.Set.Node, Sources: sources, Lifts: &from.Set, Full: true, Store: p.open(ctx),
		Rehearsal: p.rehearsal(there), Version: p.Version, Events: p.Events,
		Lock: func(context.Context) (func(context.Context) error, func(), error) { // nobody else knows them
			return func(context.Context) error { return nil }, func() {}, nil
		},
	}
	carried := backup.Carried{Set: from.Set, Files: from.Files}
	if from.Set.Identities != nil {
		job.Identities = carried
	}
	if from.Set.Deployment != nil {
		job.Deployment = carried
	}
	return job.Run(ctx)
}

// TemporarySwept is the event of a server that a lift or a drill has left, and that is
// past its time.
type TemporarySwept struct{ Server string }

func (e TemporarySwept) String() string {
	return e.Server + " is deleted: a lift or a drill that was killed has left it"
}

// sweepTemporary deletes the temporary instances whose time is over. Younger ones may be in
// use: whoever makes the next one has the lock, and deletes them.
func (p *Parts) sweepTemporary(ctx context.Context, now time.Time) error {
	if !p.rented() {
		return nil
	}
	made, err := p.instances(ctx, databases.Target{})
	if err != nil {
		return err
	}
	made.Until = now
	removed, err := made.Sweep(ctx, func(until time.Time) bool { return until.Before(made.Until) })
	for _, what := range removed {
		p.Events.Report(TemporarySwept{what})
	}
	return errors.Join(err, p.sweepRehearsals(ctx, now))
}

// sweepRehearsals deletes what rehearsals have left whose time is over.
func (p *Parts) sweepRehearsals(ctx context.Context, now time.Time) error {
	account, err := p.rdsAccount(ctx)
	if err != nil {
		return err
	}
	removed, err := p.rehearsed(account).Remove(ctx, func(until time.Time) bool { return until.Before(now) })
	for _, what := range removed {
		p.Events.Report(RehearsalSwept{what})
	}
	return err
}
