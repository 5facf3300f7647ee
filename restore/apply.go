package restore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/step"
	"holdfast/target"
)

// Report is what a restore did.
type Report struct {
	Set     holdfast.SetID `json:"set"`
	Swapped bool           `json:"swapped"` // false after OnlyProve
	Done    []Done         `json:"done"`
	Took    time.Duration  `json:"took_ns"`
	Serving bool           `json:"serving"` // the node's programs were started and are ready
	// Original is what was known of the original when the restored node was
	// started; nil where Holdfast started nothing.
	Original *step.Original `json:"original,omitempty"`
	// Repoint is what is left to change by hand, where the node still uses the
	// instances that it had.
	Repoint []string `json:"repoint,omitempty"`
	// Install is what is left to be typed, of a node that is gone, in this order.
	Install []step.Part `json:"install,omitempty"`
}

// Done is one restored component.
type Done struct {
	Component holdfast.ComponentName `json:"component"`
	Database  string                 `json:"database"`
	Previous  string                 `json:"previous,omitempty"` // the name of what was live before
	Tables    int                    `json:"tables"`
	Rows      int64                  `json:"rows"`
	Without   []string               `json:"without,omitempty"` // what was left out, as the operator said
	Took      time.Duration          `json:"took_ns"`
	Reused    bool                   `json:"reused,omitempty"` // an earlier run had built and proven it
	// Instance is the server that a provider made of a snapshot, by the name it was
	// made under.
	Instance string `json:"instance,omitempty"`
}

// ChangedError refuses a plan that is no longer what would be done.
type ChangedError struct {
	holdfast.Problem
	Plan Plan // what would be done now
}

// As lets the Problem in it be found.
func (c *ChangedError) As(target any) bool {
	p, ok := target.(**holdfast.Problem)
	if ok {
		*p = &c.Problem
	}
	return ok
}

func changed() holdfast.Problem {
	return holdfast.Problem{
		Class: holdfast.Refused, What: "the node has changed since the plan was made",
		Why: "What would be done now is not what was confirmed. Nothing was done.",
		Do:  "Read the new plan, and run the command again.",
	}
}

// Apply carries out a plan: the very steps that it shows. The target is locked
// and surveyed again first; where the steps would be others now, nothing is
// done. Whatever fails, what was begun is taken back, the last step first.
func Apply(
	ctx context.Context, t Target, p Plan, set holdfast.Set, files holdfast.Files, events event.Listener,
) (report Report, err error) {
	began := time.Now()
	defer func() { report.Took = time.Since(began) }()
	report = Report{Set: set.ID, Original: p.Original}
	statement := ""
	if p.Original != nil {
		statement = p.Original.Statement
	}
	if err := p.Guard(statement); err != nil {
		return report, err
	}
	if p.OnlyProve {
		t.Journal = nil // nothing of it outlives a failure but what clean lists
	}
	a := &attempt{Target: t.withJournal(), set: set, files: files, report: &report, events: events}
	defer a.unlock()
	if err := a.prepare(ctx, p, statement); err != nil {
		return report, err
	}
	if err := a.run(ctx); err != nil {
		report.Swapped = false
		return report, a.walk.fail(ctx, err, keepsProven(p, err))
	}
	report.Swapped = slices.ContainsFunc(a.plan.databaseSteps(t.Databases), func(s step.Step) bool {
		return s.Act == step.Rename || s.Act == step.Open
	})
	report.Install = slices.DeleteFunc(slices.Clone(a.plan.Install), func(i step.Part) bool { return i.First })
	report.Serving = report.Swapped && t.Programs != nil && len(report.Install) == 0
	return report, nil
}

// attempt is one run of a plan.
type attempt struct {
	Target
	plan   Plan
	set    holdfast.Set
	files  holdfast.Files
	report *Report
	events event.Listener
	walk   walk
	held   []func()                    // locks
	locked func(context.Context) error // whether the databases still are; nil before
	letGo  func()                      // of the databases; may be called twice
	// moving says that an instance has changed its name: that ends the session with
	// its lock. The locks on the others keep everybody else out of the node.
	moving bool
}

func (a *attempt) unlock() {
	for _, release := range slices.Backward(a.held) {
		release()
	}
}

// lockDatabases keeps other restores and backups out of the databases, once. A
// rehearsal goes on next to a backup.
func (a *attempt) lockDatabases(ctx context.Context) error {
	if a.locked != nil {
		return nil
	}
	locked, release, err := a.Databases.Lock(ctx, !a.plan.OnlyProve)
	if err != nil {
		return err
	}
	a.locked, a.letGo, a.held = locked, release, append(a.held, release)
	return nil
}

// stillLocked makes sure before the swap that nobody else had the databases
// since they were locked. A lock that was lost is taken again, and what was
// known of the databases has to be so still. Of two servers one may have kept
// its lock, which would be in the way of the new one.
func (a *attempt) stillLocked(ctx context.Context) error {
	err := a.locked(ctx)
	if err == nil {
		return nil
	}
	a.events.Report(LockLost{err})
	a.letGo()
	a.locked = nil
	if err := a.lockDatabases(ctx); err != nil {
		return err
	}
	var now []target.Database
	for _, d := range a.plan.Databases {
		c, _ := a.set.Part(d.Component)
		found, err := a.Databases.Look(ctx, a.set.ID, c)
		if err != nil {
			return err
		}
		now = append(now, found)
	}
	swaps := func(list []target.Database) []step.Step {
		return slices.DeleteFunc(a.Databases.Swaps(a.plan.Set, a.plan.at, list), closes)
	}
	if !step.Same(swaps(a.plan.Databases), swaps(now)) {
		problem := changed()
		return &problem
	}
	return nil
}

// LockLost is the event of a lock that was lost while databases were built.
type LockLost struct{ Cause error }

func (l LockLost) String() string { return fmt.Sprintf("%v; it is taken again", l.Cause) }

// prepare takes the locks, surveys again, and compares.
func (a *attempt) prepare(ctx context.Context, p Plan, statement string) error {
	if !p.OnlyProve {
		release, err := a.Journal.Lock()
		if err != nil {
			return err
		}
		a.held = append(a.held, release)
	}
	a.plan = p
	if !stopsServer(p.survey) {
		if err := a.lockDatabases(ctx); err != nil {
			return err
		}
	}
	now, err := Make(ctx, a.Target, a.set, p.options, p.at)
	if err != nil {
		return err
	}
	if !step.Same(now.Steps, p.Steps) {
		return &ChangedError{changed(), now}
	}
	if err := now.Guard(statement); err != nil {
		return err
	}
	a.plan = now
	log := now.log
	log.Schema, log.Set, log.Entries, log.Back = step.LogSchema, p.Set, log.All(), nil
	if log.Began.IsZero() {
		log.Began = p.at.UTC()
	}
	if now.Original != nil {
		log.Original = *now.Original
	}
	a.walk = walk{journal: a.Journal, log: log, do: a.do, events: a.events}
	return nil
}

// run walks the plan.
func (a *attempt) run(ctx context.Context) error {
	shut, _, _ := a.plan.stages(a.Databases)
	if err := a.walk.forward(ctx, append(slices.Clone(a.plan.survey.Before), shut...)); err != nil {
		return err
	}
	if err := a.deserted(ctx); err != nil {
		return err
	}
	_, swap, after := a.plan.stages(a.Databases) // of databases that were looked at again
	if err := a.walk.forward(ctx, append(swap, after...)); err != nil {
		return err
	}
	return a.Journal.End()
}

// keepsProven reports whether a failed run keeps the databases that it has
// built and proven: they are hours of work, and the next run goes on with them.
// A set that does not come back equal is not restored again.
func keepsProven(p Plan, err error) bool {
	return !p.OnlyProve && holdfast.ClassOf(err) != holdfast.NotProven
}

// do does one step of the plan, or of the way back from it.
func (a *attempt) do(ctx context.Context, s step.Step) error {
	switch {
	case s.Act == step.Build, s.Act == step.Reuse:
		return a.build(ctx, s)
	case s.Act == step.Rename:
		return a.rename(ctx, s)
	}
	return a.Target.do(ctx, s, a.events)
}

// rename renames databases once nobody is connected to them. Building them took
// its time: somebody may have started a program meanwhile, and the lock may be
// lost.
func (a *attempt) rename(ctx context.Context, s step.Step) error {
	if len(a.walk.log.Back) == 0 && !a.moving {
		if err := a.stillLocked(ctx); err != nil {
			return err
		}
	}
	a.moving = s.Kind.Rented()
	if a.Programs == nil {
		return a.Target.do(ctx, s, a.events)
	}
	for tries := 3; ; tries-- {
		if err := a.Programs.Quiet(ctx, a.walk.log, a.events); err != nil {
			return err
		}
		err := a.Target.do(ctx, s, a.events)
		if holdfast.ClassOf(err) != holdfast.Refused || tries == 0 {
			return err
		}
	}
}

// build builds one database, or looks at one that was built before, and reports
// it.
func (a *attempt) build(ctx context.Context, s step.Step) error {
	c, _ := a.set.Part(holdfast.ComponentName(s.Of))
	i := slices.IndexFunc(a.plan.Databases, func(d target.Database) bool { return d.Component == c.Component })
	d := a.plan.Databases[i]
	start := time.Now()
	var err error
	if s.Act == step.Reuse {
		err = a.Databases.Reuse(ctx, a.set.ID, d, c)
	} else {
		err = a.Databases.Build(ctx, a.set.ID, d, c, a.files)
	}
	if err != nil {
		return err
	}
	done := Done{
		Component: c.Component, Database: d.Database, Without: d.Fit.Without,
		Took: time.Since(start), Reused: s.Act == step.Reuse,
	}
	if d.Instance != "" {
		done.Instance = d.New
	}
	done.Tables, done.Rows = c.Counts()
	if (d.Live || d.Renamed) && !a.plan.OnlyProve {
		done.Previous = d.Previous
	}
	a.report.Done = append(a.report.Done, done)
	return nil
}

// deserted makes sure before the long work that nobody is connected to what the
// swap will rename. Programs that have just stopped may take a moment to be
// gone, and a server that has just been started can be looked at only now.
func (a *attempt) deserted(ctx context.Context) error {
	if err := a.lockDatabases(ctx); err != nil {
		return err
	}
	if a.plan.OnlyProve {
		return nil
	}
	if a.Programs == nil {
		return a.plan.idle()
	}
	for tries := 1; ; tries-- { // somebody may start a program as soon as it is stopped
		if err := a.Programs.Quiet(ctx, a.walk.log, a.events); err != nil {
			return err
		}
		if err := a.lookAgain(ctx); err != nil {
			return err
		}
		if err := a.plan.Blocked(); err != nil { // of a server that had to be started first
			return err
		}
		if err := a.plan.idle(); err == nil || tries == 0 {
			return err
		}
	}
}

// lookAgain looks at every database once the programs have stopped. What was
// known of them when the plan was made has to be so still.
func (a *attempt) lookAgain(ctx context.Context) error {
	planned := slices.DeleteFunc(a.plan.databaseSteps(a.Databases), closes)
	for i, d := range a.plan.Databases {
		c, _ := a.set.Part(d.Component)
		now, err := patiently(ctx, a.Databases, a.set.ID, c)
		if err != nil {
			return err
		}
		a.plan.Databases[i] = now
	}
	target.Room(a.plan.Databases)
	if a.plan.survey.Server == "" && !step.Same(planned, slices.DeleteFunc(a.plan.databaseSteps(a.Databases), closes)) {
		problem := changed()
		return &problem
	}
	return nil
}

// closes reports whether a step closes live databases, which are closed by now.
func closes(s step.Step) bool { return s.Act == step.Close }

// patiently looks at a database until the sessions of programs that have just
// stopped are gone from it. The look lists those that stay.
func patiently(ctx context.Context, t Databases, set holdfast.SetID, c holdfast.Part) (target.Database, error) {
	for tries := 40; ; tries-- {
		now, err := t.Look(ctx, set, c)
		starting := holdfast.ClassOf(err) == holdfast.Unreachable // a server that has just been started may go down once more
		if !starting && (err != nil || !sessions(now)) || tries == 0 {
			return now, err
		}
		select {
		case <-ctx.Done():
			return now, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// sessions reports whether anybody is connected to a database.
func sessions(d target.Database) bool {
	return slices.ContainsFunc(d.Obstacles, func(o target.Obstacle) bool { return o.PID != 0 })
}

// idle refuses before the long work begins what the swap would refuse after it.
func (p *Plan) idle() error {
	var held []target.Held
	for _, d := range p.Databases {
		if len(d.Obstacles) > 0 {
			held = append(held, target.Held{Database: d.Where, Obstacles: d.Obstacles})
		}
	}
	if len(held) == 0 {
		return nil
	}
	problem := target.InUse(held...)
	problem.Do += " To rehearse next to the running node: `holdfast restore rehearse`."
	return problem
}

// stopsServer reports whether the databases' server does not answer now, or is
// stopped before the databases are reached: a lock on it would be lost.
func stopsServer(s step.Survey) bool {
	return s.Server != "" || slices.ContainsFunc(s.Before, func(s step.Step) bool {
		return s.Act == step.Stop && s.Of == "postgres"
	})
}
