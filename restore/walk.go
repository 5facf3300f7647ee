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

// walk does a list of steps, and remembers in the journal which were begun and
// which are done. The mark is on disk before the step is begun.
type walk struct {
	journal Journal
	log     step.Log
	do      func(context.Context, step.Step) error
	events  event.Listener
}

// forward does steps until one fails.
func (w *walk) forward(ctx context.Context, steps []step.Step) error {
	for _, s := range steps {
		w.log.Entries = append(w.log.Entries, step.Entry{Step: s})
		if err := w.one(ctx, &w.log.Entries[len(w.log.Entries)-1]); err != nil {
			if !leftover(s) {
				return err
			}
			w.events.Report(Remains{s, err})
		}
	}
	return nil
}

// back walks the list of the log's way back. Of what was only made to be
// removed, a failure does not keep the rest from being put back.
func (w *walk) back(ctx context.Context) error {
	var failed error
	for i := range w.log.Back {
		e := &w.log.Back[i]
		if e.Mark == step.Done {
			continue
		}
		if err := w.one(ctx, e); err != nil {
			if !leftover(e.Step) || ctx.Err() != nil {
				return errors.Join(err, failed)
			}
			failed = errors.Join(failed, fmt.Errorf("%s failed: %w", e.Step, err))
		}
	}
	return errors.Join(failed, w.journal.End())
}

// one does one step, with its marks.
func (w *walk) one(ctx context.Context, e *step.Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.Mark = step.Begun
	if err := w.journal.Write(w.log); err != nil {
		return err
	}
	w.events.Report(step.Began{Step: e.Step})
	began := time.Now()
	if err := w.do(ctx, e.Step); err != nil {
		return err
	}
	e.Mark = step.Done
	if err := w.journal.Write(w.log); err != nil {
		return err
	}
	w.events.Report(step.Ended{Step: e.Step, Took: time.Since(began)})
	return nil
}

// leftover reports whether a step only removes what nobody uses.
func leftover(s step.Step) bool {
	return s.Act == step.Drop || s.Act == step.Discard || s.Act == step.Remove
}

// takeBack plans the way back from all that the log has, and walks it. With
// keep, what was built is dropped only if it is not proven, or if its name is
// needed for what an earlier run has built and swapped in.
func (w *walk) takeBack(ctx context.Context, keep bool) error {
	rest := w.log.Rest()
	for i, s := range rest {
		if keep && s.Act == step.Drop && (s.Kind == step.Database || s.Kind.Rented()) && !named(rest[i:], s.Name) {
			rest[i].Act = step.Discard
		}
	}
	w.log.Back = planned(rest)
	return w.back(ctx)
}

// named reports whether a database gets that name in some of the steps.
func named(list []step.Step, name string) bool {
	return slices.ContainsFunc(list, func(s step.Step) bool {
		return slices.ContainsFunc(s.Moves, func(m step.Move) bool { return m.To == name })
	})
}

func planned(steps []step.Step) []step.Entry {
	var out []step.Entry
	for _, s := range steps {
		out = append(out, step.Entry{Step: s})
	}
	return out
}

// TakingBack is the event of a run that failed and is taken back.
type TakingBack struct{ Cause error }

func (TakingBack) String() string { return "it failed; everything is put back as it was" }

// Remains is the event of something that could not be removed.
type Remains struct {
	Step  step.Step
	Cause error
}

func (r Remains) String() string { return fmt.Sprintf("%s failed, it remains: %v", r.Step, r.Cause) }

// fail takes back what a failed run has begun, and says how that ended.
func (w *walk) fail(ctx context.Context, err error, keep bool) error {
	if len(w.log.Entries) == 0 {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	w.events.Report(TakingBack{err})
	late, done := grace.Period(ctx, grace.TakingBack)
	defer done()
	failed := w.takeBack(late, keep)
	if failed == nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	unfinished := slices.ContainsFunc(w.log.Back, func(e step.Entry) bool {
		return e.Mark != step.Done && !leftover(e.Step)
	})
	if !unfinished {
		return errors.Join(err, fmt.Errorf("something that was built remains; `holdfast restore clean` lists it: %w", failed))
	}
	return errors.Join(err, &holdfast.Problem{
		Class: holdfast.Failed, What: "the restore could not be taken back", Err: failed,
		Why: "The node is not as it was: do not start its programs by hand.",
		Do:  "Correct the cause, then: `holdfast restore undo --yes`.",
	})
}
