package setup

import (
	"cmp"
	"context"
	"slices"
	"time"

	"holdfast"
	"holdfast/backup"
	"holdfast/capture/postgres"
	"holdfast/config"
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
	return p.backupBy(ctx, wait, p.sources, fn)
}

// BackupOfRows is Backup, with every database dumped, those too whose snapshots a
// provider takes: the rows come out of the provider's account.
func (p *Parts) BackupOfRows(
	ctx context.Context, wait time.Duration, fn func(context.Context, backup.Job) error,
) error {
	return p.backupBy(ctx, wait, p.dumpers, fn)
}

func (p *Parts) backupBy(
	ctx context.Context, wait time.Duration, by sourcing, fn func(context.Context, backup.Job) error,
) error {
	return p.whileOpening(ctx, func(ctx context.Context, o *Opening) error {
		job, err := p.backupTo(ctx, o, wait, by)
		if err != nil {
			return err
		}
		return fn(ctx, job)
	})
}

func (p *Parts) backupTo(
	ctx context.Context, store backup.Store, wait time.Duration, by sourcing,
) (backup.Job, error) {
	live, err := p.Databases(ctx)
	if err != nil {
		return backup.Job{}, err
	}
	taken, err := by(ctx, live)
	if err != nil {
		return backup.Job{}, err
	}
	job := backup.Job{
		Node: p.Node, Sources: taken.of, Together: taken.together, Store: store,
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
	taken, err := p.sources(ctx, live)
	if err != nil {
		return nil, err
	}
	stages, err := backup.Job{Node: p.Node, Sources: taken.of, Together: taken.together}.Look(ctx)
	place := func(o observed.Outlook) int {
		return slices.IndexFunc(p.Node.Components, func(c holdfast.Component) bool { return c.Name == o.Component })
	}
	outlooks := slices.Concat(stages...)
	slices.SortFunc(outlooks, func(a, b observed.Outlook) int { return cmp.Compare(place(a), place(b)) })
	return outlooks, err
}

// sources are where a node's components are captured, and which of them are
// captured as one.
type sources struct {
	of       map[holdfast.ComponentName]backup.Source
	together [][]holdfast.ComponentName
}

// sourcing says how each component is captured.
type sourcing func(context.Context, databases.Live) (sources, error)

// dumpers dumps every component.
func (p *Parts) dumpers(_ context.Context, live databases.Live) (sources, error) {
	out := sources{of: map[holdfast.ComponentName]backup.Source{}}
	for name, at := range live.Addresses {
		out.of[name] = p.dumper(at)
	}
	return out, nil
}

// sources captures each component by the configured method.
func (p *Parts) sources(ctx context.Context, live databases.Live) (sources, error) {
	out := sources{of: map[holdfast.ComponentName]backup.Source{}}
	var kept []holdfast.Component
	for _, c := range p.Node.Components {
		at, ok := live.Addresses[c.Name]
		switch {
		case !ok:
		case p.Config.Databases[string(c.Name)].Method == config.MethodRDS:
			kept = append(kept, c)
		default:
			out.of[c.Name] = p.dumper(at)
		}
	}
	return out, p.provided(ctx, live, kept, &out)
}

func (p *Parts) dumper(at libpq.Address) postgres.Dumper {
	d := p.Config.Dump
	return postgres.Dumper{
		Address: at, Tools: p.tools(), Facts: readFacts,
		Options: postgres.Options{
			Lanes: d.Lanes, Connections: d.Connections,
			WaitLimit: time.Duration(d.WaitLimit), LockWait: time.Duration(d.LockWait), Events: p.Events,
			Full: d.TakeOver != nil && !*d.TakeOver, Reread: time.Duration(d.Reread),
			Summaries: d.Summaries,
		},
	}
}
