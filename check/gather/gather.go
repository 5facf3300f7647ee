package gather

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast"
	"holdfast/check"
	"holdfast/observed"
	"holdfast/record"
)

// patience is how long a check waits for one of the places it looks at.
const patience = time.Minute

// Sources are the places to look at. An error of one says why nothing is known
// from there.
type Sources struct {
	Node     holdfast.Node
	Declared check.Declared
	Limits   check.Limits

	RepositoryName string
	Unlock         func(ctx context.Context) error // why the repository cannot even be tried
	Open           func(ctx context.Context) (Repository, error)
	Database       func(ctx context.Context, c holdfast.Component, since *int64) (observed.Database, error)
	// Identities are those of the running node, checked against what its
	// participant's database says; nil when that says nothing.
	Identities func(ctx context.Context, against *holdfast.ParticipantFacts) (holdfast.IdentityFacts, error)
	App        func(ctx context.Context) (observed.App, error)
	// Scans are asked by which synchronizer serial the node is; nil when unknown.
	Scans   func(ctx context.Context, serial *int) []observed.Scan
	Admin   func(ctx context.Context) (observed.Participant, error)
	Metrics func(ctx context.Context) (observed.Metrics, error)
	Copies  func(ctx context.Context) ([]check.Copy, error)
	// Beside is what the node's own servers have that is in no set.
	Beside func(ctx context.Context) ([]string, error)
	// Restore says how a restore of the node was interrupted, "" when none was.
	Restore func(ctx context.Context) (string, error)
	// Data says whether the databases outlive their containers.
	Data func(ctx context.Context) (holdfast.Finding, error)
	// Alive says whether no database has two programs of its kind.
	Alive func(ctx context.Context) (holdfast.Finding, error)
	// Locks are those of the repository, once it has opened.
	Locks func(ctx context.Context) (check.Locks, error)
	// Provider has the instances whose snapshots a provider takes.
	Provider func(ctx context.Context) ([]check.Instance, error)
}

// Repository is where sets rest, as a check looks at it.
type Repository interface {
	Entries(ctx context.Context) ([]Entry, error) // of the node, oldest first
	Drills(ctx context.Context) ([]record.Drill, error)
	KeyTests(ctx context.Context) ([]record.KeyTest, error)
	Disproofs(ctx context.Context) ([]record.Disproof, error)
}

// Entry is one set of a repository.
type Entry struct {
	ID    holdfast.SetID
	State holdfast.State
	Load  func(ctx context.Context) (Stored, error)
}

// Stored is a set with its files.
type Stored interface {
	holdfast.Files
	Manifest() holdfast.Set
	Names() []string
}

// Gather looks everywhere. What is not to be had is said in its place; only an
// interruption is an error.
func (s Sources) Gather(ctx context.Context) (check.Observations, error) {
	o := check.Observations{
		Node: s.Node, Declared: s.Declared, Limits: s.Limits,
		Live: map[holdfast.ComponentName]holdfast.Observed[observed.Database]{},
	}
	s.repository(ctx, &o)
	last := newestProven(o)
	var g errgroup.Group
	for _, look := range []func(context.Context){
		func(ctx context.Context) { s.node(ctx, last, &o) },
		func(ctx context.Context) { o.App = holdfast.Observe(s.App(ctx)) },
		func(ctx context.Context) { o.Scans = s.Scans(ctx, serialOf(last)) },
		func(ctx context.Context) { o.Admin = holdfast.Observe(s.Admin(ctx)) },
		func(ctx context.Context) { o.Metrics = holdfast.Observe(s.Metrics(ctx)) },
		func(ctx context.Context) { o.Beside = holdfast.Observe(s.Beside(ctx)) },
		func(ctx context.Context) { o.Copies = holdfast.Observe(s.Copies(ctx)) },
		func(ctx context.Context) { o.Restore = holdfast.Observe(s.Restore(ctx)) },
		func(ctx context.Context) { o.Data = holdfast.Observe(s.Data(ctx)) },
		func(ctx context.Context) { o.Alive = holdfast.Observe(s.Alive(ctx)) },
		func(ctx context.Context) { o.Locks = holdfast.Observe(s.Locks(ctx)) },
		func(ctx context.Context) { o.Provider = holdfast.Observe(s.Provider(ctx)) },
	} {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			look(ctx)
			return nil
		})
	}
	_ = g.Wait()
	return o, ctx.Err()
}

// serialOf is the serial of the synchronizer that a participant is active on.
func serialOf(p *holdfast.ParticipantFacts) *int {
	if p == nil {
		return nil
	}
	if serial, ok := p.ActiveSerial(); ok {
		return &serial
	}
	return nil
}

// node looks at the live databases, and then at the running node's identities,
// which are compared with them.
func (s Sources) node(ctx context.Context, last *holdfast.ParticipantFacts, o *check.Observations) {
	var since *int64
	if last != nil {
		since = last.LedgerEnd
	}
	var mu sync.Mutex
	var g errgroup.Group
	for _, c := range s.Node.Components {
		g.Go(func() error {
			live, err := s.Database(ctx, c, since)
			mu.Lock()
			defer mu.Unlock()
			o.Live[c.Name] = holdfast.Observe(live, err)
			return nil
		})
	}
	_ = g.Wait()
	var against *holdfast.ParticipantFacts
	for _, c := range s.Node.Components {
		if l, ok := o.Live[c.Name].Get(); ok && c.Kind == holdfast.Participant {
			against = l.Facts.Participant
		}
	}
	o.Identities = holdfast.Observe(s.Identities(ctx, against))
}
