package reonboard

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"holdfast"
	"holdfast/event"
)

// Seen is a node that starts from its identities, as it is seen from outside.
type Seen struct {
	Old      []string // who is connected to the old databases
	Identity string   // of the new participant's database; "" for none yet
	Other    []string // what programs are started with, other than they are to be
	Waits    string   // why the node does not serve yet; "" if it does
	Takers   []string // who takes the identities in clear still
}

// Stage is how far such a node is, in its order.
type Stage int

// The stages.
const (
	Starting     Stage = iota // with the new values
	Initializing              // until the participant has its identity
	Moving                    // until the node serves
	Serving                   // and takes the identities in clear still
	Done                      // nobody needs them any more
)

// Watching is the event of a node that has come to a stage, or waits for something
// else there.
type Watching struct {
	Stage Stage
	About string
}

func (w Watching) String() string { return w.About }

// Eyes see a node that starts from its identities.
type Eyes struct {
	Look func(context.Context, Start) (Seen, error)
	// Serves is called when the node serves, and it is time to take away what was for
	// the first start alone.
	Serves func(Start) error
	Every  time.Duration // how often it is looked; a second if 0
	Events event.Listener
}

// Watch looks at a node that starts from its identities until they are needed no
// more, and removes them. It may be interrupted, and begun again.
func (j Job) Watch(ctx context.Context, eyes Eyes) (Start, error) {
	s, err := j.Clear.Begun(ctx)
	if err != nil {
		return Start{}, err
	}
	if s == nil {
		return Start{}, &holdfast.Problem{
			Class: holdfast.Refused, What: "nothing was prepared: " + j.Clear.Place() + " does not exist",
			Do: "Prepare it: `holdfast reonboard`. Where that was done, and the node serves, all is over.",
		}
	}
	for last := (Watching{Stage: -1}); ; {
		now := Watching{Stage: last.Stage}
		seen, err := eyes.Look(ctx, *s)
		if err == nil {
			now, err = s.judge(seen)
		}
		if holdfast.ClassOf(err) == holdfast.Unreachable { // it may come back
			now.About, err = fmt.Sprintf("waiting: %v", err), nil
		}
		if err != nil {
			return *s, err
		}
		if now != last {
			eyes.Events.Report(now)
		}
		if now.Stage == Serving && last.Stage != Serving {
			if err := eyes.Serves(*s); err != nil {
				return *s, err
			}
		}
		last = now
		if now.Stage == Done {
			return *s, j.Clean(ctx)
		}
		select {
		case <-ctx.Done():
			return *s, ctx.Err()
		case <-time.After(cmp.Or(eyes.Every, time.Second)):
		}
	}
}

// judge says how far a node is. What contradicts the start ends it.
func (s Start) judge(seen Seen) (Watching, error) {
	database := "database of the participant"
	for _, d := range s.Databases {
		if d.Kind == holdfast.Participant {
			database = "database " + d.Name
		}
	}
	switch {
	case len(seen.Old) > 0:
		return Watching{}, living(seen.Old)
	case seen.Identity != "" && seen.Identity != s.Participant:
		return Watching{}, &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("%s has identity %s, expected is %s", database, seen.Identity, s.Participant),
			Why: "The validator app was started without the values for its identities, and has made a participant " +
				"with new keys. That one has nothing of the node.",
			Do: "Scale both programs to 0, drop the two new databases, and start the programs with the values " +
				"that `holdfast reonboard` prints.",
		}
	case len(seen.Other) > 0:
		return Watching{Starting, "waiting for the new values: " + strings.Join(seen.Other, "; ")}, nil
	case seen.Identity == "":
		about := "waiting for the participant: " + database + " has no identity yet"
		if seen.Waits != "" {
			about += "; " + seen.Waits
		}
		return Watching{Initializing, about}, nil
	case seen.Waits != "":
		return Watching{
			Moving, "the participant is " + s.Participant + "; waiting until the node serves: " + seen.Waits,
		}, nil
	case len(seen.Takers) > 0:
		return Watching{
			Serving, "the node serves as " + s.Participant +
				"; waiting until what was for the first start alone is taken away from " + strings.Join(seen.Takers, ", "),
		}, nil
	}
	return Watching{
		Done, "the node serves as " + s.Participant + ", and nothing takes its identities in clear any more",
	}, nil
}

// Living refuses to make a node again while somebody is connected to its old
// databases; nil where nobody is.
func Living(who []string) error {
	if len(who) == 0 {
		return nil
	}
	return living(who)
}

func living(who []string) error {
	return &holdfast.Problem{
		Class: holdfast.Refused, What: "the old node may live: connected is " + strings.Join(who, ", "),
		Why: "Two participants with the same keys harm each other.",
		Do: "Stop it for good, wherever it runs. If it is no program of the node, such as a Postgres exporter or a " +
			"psql, end that as well. Then repeat the command.",
	}
}
