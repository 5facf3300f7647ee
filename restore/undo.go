package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/grace"
	"holdfast/step"
)

// UndoOptions choose what is undone.
type UndoOptions struct {
	// Volume says that the volume is meant that the newest restore has kept, so
	// that the databases need not be asked which restore was the newest.
	Volume bool
}

// UndoPlan is what an undo will do.
type UndoPlan struct {
	Set         holdfast.SetID `json:"set"`         // whose restore is undone
	Interrupted bool           `json:"interrupted"` // it had not come to its end
	Steps       []step.Step    `json:"steps"`

	options UndoOptions
	at      time.Time
	log     step.Log
}

// MakeUndo says what Undo would do: walk the unfinished run of the journal back
// or, where there is none, put back what the newest restore has replaced, as
// the labels of databases and volumes say. It changes nothing.
func MakeUndo(ctx context.Context, t Target, history History, o UndoOptions, now time.Time) (p UndoPlan, err error) {
	t = t.withJournal()
	p = UndoPlan{options: o, at: now, Steps: []step.Step{}}
	if p.log, err = t.Journal.Read(); err != nil {
		return p, err
	}
	var back []step.Step
	if p.log.Unfinished() {
		p.Set, p.Interrupted = p.log.Set, true
		back, err = fitted(ctx, history, p.log, now)
	} else {
		p.Set, back, err = newest(ctx, t, history, o, now)
	}
	if err != nil {
		return p, err
	}
	if t.Programs != nil {
		if back, err = t.Programs.Surround(ctx, back, now); err != nil {
			return p, err
		}
	}
	p.Steps = append(p.Steps, back...)
	return p, nil
}

// fitted is the way back from an unfinished run. Where the databases' server
// does not answer, what it would say is found out on the way.
func fitted(ctx context.Context, history History, log step.Log, now time.Time) ([]step.Step, error) {
	back := log.Rest()
	used := slices.ContainsFunc(log.Entries, func(e step.Entry) bool {
		return e.Step.Act == step.Start && e.Step.Of == "participant"
	})
	if used { // what the restored databases are in stays with them
		back = slices.DeleteFunc(back, func(s step.Step) bool { return s.Act == step.Remove && s.Kind == step.Volume })
	}
	fit, err := history.Fit(ctx, back, used, now)
	if holdfast.ClassOf(err) != holdfast.Unreachable {
		return fit, err
	}
	if used { // they may hold what nothing else does
		back = slices.DeleteFunc(back, func(s step.Step) bool { return s.Act == step.Drop || s.Act == step.Discard })
	}
	return back, nil
}

// newest are the steps that put back what the newest restore has replaced.
func newest(
	ctx context.Context, t Target, history History, o UndoOptions, now time.Time,
) (set holdfast.SetID, back []step.Step, err error) {
	nothing := &holdfast.Problem{
		Class: holdfast.Refused, What: "there is nothing to undo",
		Why: "No database is kept that a restore replaced.", Do: "`holdfast restore clean` lists what restores have left.",
	}
	volume, err := newestVolume(ctx, t, o)
	if err != nil {
		return "", nil, err
	}
	var previous []step.Leftover
	if !o.Volume {
		if previous, err = history.Leftovers(ctx); err != nil {
			return "", nil, newestUnknown(err, t.Programs != nil)
		}
		previous = slices.DeleteFunc(previous, func(l step.Leftover) bool { return l.Role != step.Previous })
	}
	if volume != nil && (o.Volume || filledOnce(volume.At, previous)) {
		return volume.Set, []step.Step{{Act: step.PutBack, Kind: step.Volume, Name: volume.Volume, From: volume.Name}}, nil
	}
	if len(previous) == 0 {
		return "", nil, nothing
	}
	last := slices.MaxFunc(previous, func(a, b step.Leftover) int { return a.At.Compare(b.At) })
	previous = slices.DeleteFunc(previous, func(l step.Leftover) bool { return l.Set != last.Set || !l.At.Equal(last.At) })
	back, err = history.Back(ctx, previous, now)
	return last.Set, back, err
}

// newestUnknown adds to a server that does not answer what to do about it.
func newestUnknown(err error, managed bool) error {
	var cause *holdfast.Problem
	if !managed || !errors.As(err, &cause) || cause.Class != holdfast.Unreachable {
		return fmt.Errorf("which restore was the newest is unknown: %w", err)
	}
	return &holdfast.Problem{
		Class: holdfast.Unreachable, What: "which restore was the newest is unknown", Err: err,
		Why: "The labels of the databases say it, and their server does not answer.",
		Do: "Start Postgres alone (`docker start CONTAINER`) and repeat the command." +
			" If Postgres cannot start and the last restore has kept its volume: `holdfast restore undo --fresh-volume`.",
	}
}

// newestVolume is the volume that a restore has kept last; nil where none has.
func newestVolume(ctx context.Context, t Target, o UndoOptions) (*step.Leftover, error) {
	var list []step.Leftover
	if t.Programs != nil {
		var err error
		if list, err = t.Programs.Leftovers(ctx); err != nil {
			return nil, err
		}
	}
	list = slices.DeleteFunc(list, func(l step.Leftover) bool { return l.Role != step.Previous })
	if len(list) == 0 && o.Volume {
		return nil, &holdfast.Problem{
			Class: holdfast.Refused, What: "there is no volume to put back",
			Why: "No restore has kept one.", Do: "`holdfast restore clean` lists what restores have left.",
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	last := slices.MaxFunc(list, func(a, b step.Leftover) int { return a.At.Compare(b.At) })
	return &last, nil
}

// filledOnce says that no restore but the one that made room for an empty
// volume has replaced databases on it: to undo the newest is to put the volume
// back. Of later ones it is to put databases back.
func filledOnce(emptied time.Time, previous []step.Leftover) bool {
	restores := map[time.Time]bool{}
	for _, d := range previous {
		if d.Role == step.Previous && !d.At.Before(emptied) {
			restores[d.At] = true
		}
	}
	return len(restores) <= 1
}

// UndoChangedError refuses an undo that is no longer what would be done.
type UndoChangedError struct {
	holdfast.Problem
	Plan UndoPlan // what would be done now
}

// As lets the Problem in it be found.
func (c *UndoChangedError) As(target any) bool {
	p, ok := target.(**holdfast.Problem)
	if ok {
		*p = &c.Problem
	}
	return ok
}

// Undo carries out a plan of MakeUndo: the very steps that it shows. One that
// fails or is killed is gone on with by the next.
func Undo(ctx context.Context, t Target, history History, p UndoPlan, events event.Listener) ([]step.Move, error) {
	t = t.withJournal()
	a := &attempt{Target: t, events: events}
	defer a.unlock()
	release, err := t.Journal.Lock()
	if err != nil {
		return nil, err
	}
	a.held = append(a.held, release)
	if t.Programs == nil {
		if err := a.lockDatabases(ctx); err != nil {
			return nil, err
		}
	}
	now, err := MakeUndo(ctx, t, history, p.options, p.at)
	if err != nil {
		return nil, err
	}
	if !step.Same(now.Steps, p.Steps) {
		return nil, &UndoChangedError{changed(), now}
	}
	log := now.log
	log.Schema, log.Set, log.Entries, log.Back = step.LogSchema, p.Set, log.All(), planned(now.Steps)
	if log.Began.IsZero() {
		log.Began = p.at.UTC()
	}
	a.walk = walk{journal: t.Journal, log: log, events: events, do: func(ctx context.Context, s step.Step) error {
		if s.Kind == step.Server || s.Kind == step.Database || s.Kind.Rented() {
			if err := a.lockDatabases(ctx); err != nil {
				return err
			}
		}
		if s.Act == step.Rename {
			return a.rename(ctx, s)
		}
		return t.do(ctx, s, events)
	}}
	if err := a.walk.back(ctx); err != nil {
		return nil, undone(ctx, a, err)
	}
	return Moved(now.Steps), nil
}

// undone says how an undo that failed has ended. Of a restore that was complete
// it is taken back in its turn, unless a volume was on its way.
func undone(ctx context.Context, a *attempt, err error) error {
	volume := slices.ContainsFunc(a.walk.log.Back, func(e step.Entry) bool {
		return e.Step.Kind == step.Volume && e.Mark != step.Planned
	})
	if len(a.walk.log.Entries) == 0 && !volume {
		late, done := grace.Period(ctx, grace.TakingBack)
		defer done()
		return a.reverse(late, err)
	}
	return unfinished(err)
}

func unfinished(err error) error {
	return &holdfast.Problem{
		Class: holdfast.Failed, What: "the undo is not finished", Err: err,
		Why: "The node is not as it was: do not start its programs by hand.",
		Do:  "Correct the cause, then: `holdfast restore undo --yes`.",
	}
}

// reverse takes an undo back that has failed.
func (a *attempt) reverse(ctx context.Context, err error) error {
	a.events.Report(TakingBack{err})
	a.walk.log = step.Log{
		Schema: step.LogSchema, Set: a.walk.log.Set, Began: a.walk.log.Began, Entries: a.walk.log.All(),
	}
	if failed := a.walk.takeBack(ctx, false); failed != nil {
		return errors.Join(err, unfinished(failed))
	}
	return fmt.Errorf("nothing was changed: %w", err)
}

// Moved are the renames in a list of steps: what is now called what.
func Moved(steps []step.Step) []step.Move {
	out := []step.Move{}
	for _, s := range steps {
		for _, m := range s.Moves {
			if m.From != m.To {
				out = append(out, m)
			}
		}
		if s.Act == step.PutBack && s.Kind == step.Volume {
			if s.As != "" {
				out = append(out, step.Move{From: s.Name, To: s.As})
			}
			out = append(out, step.Move{From: s.From, To: s.Name})
		}
	}
	return out
}
