package setup

import (
	"cmp"
	"context"
	"slices"
	"time"

	"holdfast"
	"holdfast/backup"
	"holdfast/capture/postgres"
	"holdfast/databases"
	"holdfast/internal/libpq"
	"holdfast/observed"
)

// Backup runs fn with a backup of the node. The repository is opened meanwhile,
// and fn is ended when that fails. Wait is how long the backup waits for another
// run of the node to end.
func (p *Parts) Backup(
	ctx context.Context, wait time.Duration, fn func(context.Context, backup.Job) error,
) error {
	return p.whileOpening(ctx, func(ctx context.Context, o *Opening) error {
		job, err := p.backupTo(ctx, o, wait)
		if err != nil {
			return err
		}
		return fn(ctx, job)
	})
}

func (p *Parts) backupTo(ctx context.Context, store backup.Store, wait time.Duration) (backup.Job, error) {
	live, err := p.Databases(ctx)
	if err != nil {
		return backup.Job{}, err
	}
	job := backup.Job{
		Node: p.Node, Sources: p.sources(live), Store: store,
		Rehearsal:  p.rehearsal(live),
		Deployment: p.kind.Recorder, Version: p.Version, Events: p.Events,
		Lock: func(ctx context.Context) (func(context.Context) error, func(), error) {
			return live.Lock(ctx, wait)
		},
		Whole: func(ctx context.Context) error { return p.whole(ctx, live) },
	}
	if p.Config.Identities != nil {
		if job.Identities, err = p.IdentitiesBackup(ctx); err != nil {
			return job, err
		}
	}
	return job, nil
}

// Look says what every database of the node holds, in the order of the
// configuration, and refuses what a backup would refuse.
func (p *Parts) Look(ctx context.Context) ([]observed.Outlook, error) {
	live, err := p.Databases(ctx)
	if err != nil {
		return nil, err
	}
	stages, err := backup.Job{Node: p.Node, Sources: p.sources(live)}.Look(ctx)
	place := func(o observed.Outlook) int {
		return slices.IndexFunc(p.Node.Components, func(c holdfast.Component) bool { return c.Name == o.Component })
	}
	outlooks := slices.Concat(stages...)
	slices.SortFunc(outlooks, func(a, b observed.Outlook) int { return cmp.Compare(place(a), place(b)) })
	return outlooks, err
}

func (p *Parts) sources(live databases.Live) map[holdfast.ComponentName]backup.Source {
	out := map[holdfast.ComponentName]backup.Source{}
	for name, at := range live.Addresses {
		out[name] = p.source(name, at)
	}
	return out
}

// methods are the ways in which a database can be captured.
var methods = map[holdfast.Method]func(p *Parts, at libpq.Address) backup.Source{
	holdfast.Dump: func(p *Parts, at libpq.Address) backup.Source { return p.dumper(at) },
}

// source captures a component by the configured method, which is among methods.
func (p *Parts) source(name holdfast.ComponentName, at libpq.Address) backup.Source {
	method := cmp.Or(holdfast.Method(p.Config.Databases[string(name)].Method), holdfast.Dump)
	return methods[method](p, at)
}

func (p *Parts) dumper(at libpq.Address) postgres.Dumper {
	d := p.Config.Dump
	return postgres.Dumper{
		Address: at, Tools: p.tools(), Facts: readFacts,
		Options: postgres.Options{
			Lanes: d.Lanes, Connections: d.Connections,
			WaitLimit: time.Duration(d.WaitLimit), LockWait: time.Duration(d.LockWait), Events: p.Events,
			Full: d.TakeOver != nil && !*d.TakeOver, Reread: time.Duration(d.Reread),
		},
	}
}
