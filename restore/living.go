package restore

import (
	"context"
	"errors"
	"fmt"
	"holdfast/step"
	"holdfast/target"
	"strings"
	"time"

	"holdfast"
)

// Living is a Place whose node's programs Holdfast stops and starts itself.
// Places that are not leave that to the operator.
type Living interface {
	Target
	// Survey says what a restore would do with the programs. It changes nothing.
	Survey(ctx context.Context, set holdfast.Set) (step.Standstill, error)
	// Halt stops the programs that write and has the databases' server answer.
	// What ran, and how, is remembered, even if this process is killed, until
	// Wake or Return.
	Halt(ctx context.Context, s step.Standstill, tell func(string)) error
	// Wake starts the programs again, and none that could give the participant a
	// new identity before its database shows the one that is expected. A nil
	// return means that all of them are ready.
	Wake(ctx context.Context, participant string, tell func(string)) error
	// Return starts again what ran before Halt, as it ran.
	Return(ctx context.Context, tell func(string)) error
	// Unswap takes a Swap back.
	Unswap(ctx context.Context, set holdfast.SetID, placements []target.Database) error
}

// Locker is a Place that can be kept to ourselves while databases are built
// and exchanged.
type Locker interface {
	Lock(ctx context.Context) (func(), error)
}

// survey adds to a plan what happens to the node's programs.
func (p *Plan) survey(ctx context.Context, place Living, set holdfast.Set) error {
	s, err := place.Survey(ctx, set)
	if err != nil {
		return err
	}
	p.Standstill = &s
	if s.BrokenOff != "" {
		p.Warnings = append(p.Warnings, s.BrokenOff)
	}
	return nil
}

// Guard refuses to start anything of a restored node while the original may
// still run. A statement is the operator's word that it does not.
func (p *Plan) Guard(statement string) error {
	if p.Standstill == nil || p.OnlyProve {
		return nil
	}
	o := &p.Standstill.Original
	o.Statement = statement
	if o.Verdict == holdfast.Holds || statement != "" {
		return nil
	}
	return &holdfast.Problem{Class: holdfast.Refused, What: "the node that set " + string(p.Set) + " was taken of may still run: " + strings.Join(o.Evidence, "; "),
		Why: "Two living copies of one node damage it in ways that cannot be undone, often without a symptom.",
		Do:  "Make sure that it is stopped and cannot start again (power off, disk detached, deployment deleted), then say so: --original-stopped."}
}

// halt stops the node and looks again at what could not be looked at, or may
// have changed since.
func halt(ctx context.Context, place Living, p *Plan, set holdfast.Set, tell func(string)) error {
	if err := place.Halt(ctx, *p.Standstill, tell); err != nil {
		return err
	}
	for i := range p.Placements {
		c, _ := set.Capture(p.Placements[i].Component)
		now, err := deserted(ctx, place, set.ID, c)
		if err != nil {
			return err
		}
		p.Placements[i] = now
	}
	return nil
}

// deserted looks at a database until the sessions of programs that have just
// stopped are gone from it. Those that stay are told by the look.
func deserted(ctx context.Context, place Target, set holdfast.SetID, c holdfast.Capture) (target.Database, error) {
	for tries := 40; ; tries-- {
		now, err := place.Look(ctx, set, c)
		starting := holdfast.ClassOf(err) == holdfast.Unreachable // a server that has just been started may go down once more
		if !starting && (err != nil || len(now.Sessions) == 0) || tries == 0 {
			return now, err
		}
		select {
		case <-ctx.Done():
			return now, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// back makes the node what it was, after a restore that failed.
func back(ctx context.Context, place Living, tell func(string), err error) error {
	tell("go back to what was")
	ctx = context.WithoutCancel(ctx)
	if failed := place.Return(ctx, tell); failed != nil {
		return errors.Join(err, &holdfast.Problem{Class: holdfast.Failed, What: "the node's programs could not be started again", Err: failed,
			Why: "The databases are as they were, and the node stays down.", Do: "`holdfast restore --undo --yes` tries again."})
	}
	return err
}

// wake starts the restored node; should it not come up, the swap is taken back
// and what ran before runs again.
func wake(ctx context.Context, place Living, p Plan, set holdfast.Set, tell func(string)) error {
	err := place.Wake(ctx, identity(set), tell)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("the restored node does not come up: %w", err)
	tell("the restored node does not come up; put the old databases back")
	ctx = context.WithoutCancel(ctx)
	if failed := place.Halt(ctx, *p.Standstill, tell); failed != nil {
		return errors.Join(err, undoLater(failed))
	}
	if failed := place.Unswap(ctx, set.ID, p.Placements); failed != nil {
		return errors.Join(err, undoLater(failed))
	}
	for _, placement := range p.Placements {
		err = errors.Join(err, place.Discard(ctx, placement))
	}
	return back(ctx, place, tell, err)
}

func undoLater(err error) error {
	return &holdfast.Problem{Class: holdfast.Failed, What: "the old databases could not be put back", Err: err,
		Why: "The restored databases are complete and in place; the node is down.", Do: "`holdfast restore --undo --yes` puts the old ones back."}
}

// identity is the participant that a set is of.
func identity(set holdfast.Set) string {
	for _, c := range set.Captures {
		if c.Facts.Participant != nil {
			return c.Facts.Participant.ParticipantID
		}
	}
	return ""
}
