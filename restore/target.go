package restore

import (
	"context"
	"fmt"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/step"
	"holdfast/target"
)

// Target is the node, or another place, that a set goes back to.
type Target struct {
	Databases Databases
	// Programs are those that Holdfast stops and starts; nil where the operator
	// does.
	Programs Programs
	// Journal remembers an unfinished run; nil: only as long as the process lives.
	Journal Journal
}

// Databases are those of a target.
type Databases interface {
	// Names says where a capture would go, as far as that is known without the
	// databases' server.
	Names(set holdfast.SetID, c holdfast.Part) (target.Database, error)
	// Look says where a capture would go and what is there now.
	Look(ctx context.Context, set holdfast.SetID, c holdfast.Part) (target.Database, error)
	// Lock keeps other restores out and, with swap, backups too. Held says whether
	// that was so all the time.
	Lock(ctx context.Context, swap bool) (held func(context.Context) error, release func(), err error)
	// Build restores the capture into d.New, and proves it. A leftover of an
	// earlier attempt under that name is replaced; anything else is refused.
	Build(ctx context.Context, set holdfast.SetID, d target.Database, c holdfast.Part, files holdfast.Files) error
	// Reuse makes sure that d.New, which an earlier run has built, is still what it
	// has proven.
	Reuse(ctx context.Context, set holdfast.SetID, d target.Database, c holdfast.Part) error
	// Swaps are the steps that put every d.New into the place of d.Database, which
	// becomes d.Previous: one of each server and, where there are several, one more
	// that opens them when all are in place.
	Swaps(set holdfast.SetID, at time.Time, list []target.Database) []step.Step
	// Rename does the moves of one step: all of them, or none.
	Rename(ctx context.Context, s step.Step) error
	// Drop drops a database that was built and is not in place.
	Drop(ctx context.Context, component holdfast.ComponentName, name string) error
	// Discard drops one unless it is proven.
	Discard(ctx context.Context, component holdfast.ComponentName, name string) (kept bool, err error)
}

// History is what restores have left on a target's servers.
type History interface {
	Databases
	Leftovers(ctx context.Context) ([]step.Leftover, error)
	// Back are the steps that put previous databases back in their place.
	Back(ctx context.Context, previous []step.Leftover, at time.Time) ([]step.Step, error)
	// Fit leaves out of a way back what was taken back already, or never done.
	// With keep, restored databases are not dropped but become undone.
	Fit(ctx context.Context, back []step.Step, keep bool, at time.Time) ([]step.Step, error)
	// Remove drops leftovers.
	Remove(ctx context.Context, list []step.Leftover) error
}

// Programs are a node's, and what they need.
type Programs interface {
	// Survey says what a restore begun at that time would do with them, after the
	// unfinished runs of the log. It changes nothing.
	Survey(ctx context.Context, set holdfast.Set, at time.Time, log step.Log) (step.Survey, error)
	// Surround completes a way back: programs that are in its way are stopped,
	// and started again after it; steps that change nothing are left out.
	Surround(ctx context.Context, back []step.Step, at time.Time) ([]step.Step, error)
	// Quiet makes sure that what the steps of the log have stopped is still down,
	// before databases change their names: what was started meanwhile is stopped
	// again, where the restore still has it in its hands.
	Quiet(ctx context.Context, log step.Log, events event.Listener) error
	// Do does one step.
	Do(ctx context.Context, s step.Step, events event.Listener) error
	// Leftovers are the volumes that restores have left.
	Leftovers(ctx context.Context) ([]step.Leftover, error)
	// Remove removes one of them.
	Remove(ctx context.Context, l step.Leftover) error
}

// Journal keeps the log of a run until nothing of it can have to be taken back.
type Journal interface {
	// Lock keeps other runs on this machine out.
	Lock() (unlock func(), err error)
	// Read returns the log that an unfinished run has left; an empty one where
	// there is none.
	Read() (step.Log, error)
	// Write has the log on disk when it returns, whole or not at all.
	Write(step.Log) error
	// End forgets the log.
	End() error
}

// memory is a journal that does not outlive the process.
type memory struct{ log step.Log }

func (*memory) Lock() (func(), error)      { return func() {}, nil }
func (m *memory) Read() (step.Log, error)  { return m.log, nil }
func (m *memory) Write(log step.Log) error { m.log = log; return nil }
func (m *memory) End() error               { m.log = step.Log{}; return nil }

// withJournal is the target with a journal in any case.
func (t Target) withJournal() Target {
	if t.Journal == nil {
		t.Journal = &memory{}
	}
	return t
}

// do does one step of a way back, or of the programs.
func (t Target) do(ctx context.Context, s step.Step, events event.Listener) error {
	switch s.Kind {
	case step.Server:
		return t.Databases.Rename(ctx, s)
	case step.Instance, step.Cluster:
		if s.Act == step.Rename {
			return t.Databases.Rename(ctx, s)
		}
		return t.discard(ctx, s, events)
	case step.Database:
		return t.discard(ctx, s, events)
	}
	if t.Programs == nil {
		return &holdfast.Problem{
			Class: holdfast.Refused, What: "cannot " + s.String(),
			Why: "The journal is of a node whose programs Holdfast stops and starts, and this configuration has none.",
			Do:  "Run the command with the configuration of that node.",
		}
	}
	return t.Programs.Do(ctx, s, events)
}

// discard drops a database that was built, or keeps it if it is proven and the
// step leaves that open.
func (t Target) discard(ctx context.Context, s step.Step, events event.Listener) error {
	component := holdfast.ComponentName(s.Of)
	if s.Act == step.Drop {
		return t.Databases.Drop(ctx, component, s.Name)
	}
	kept, err := t.Databases.Discard(ctx, component, s.Name)
	if kept {
		events.Report(Kept{Component: component, Database: s.Name, Instance: s.Kind.Rented()})
	}
	return err
}

// Kept is the event of a database that was built and proven before the run
// failed: the next restore of the set goes on with it.
type Kept struct {
	Component holdfast.ComponentName
	Database  string
	Instance  bool
}

func (k Kept) String() string {
	if k.Instance {
		return fmt.Sprintf("%s: %s is kept, and costs money: the next restore of the set goes on with it; to "+
			"remove it: holdfast restore clean %[2]s", k.Component, k.Database)
	}
	return fmt.Sprintf("%s: database %s is proven and is kept: the next restore of the set goes on with it", k.Component, k.Database)
}
