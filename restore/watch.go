package restore

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"holdfast"
	"holdfast/event"
)

// Seen is a node whose databases were restored, and whose programs somebody else
// installs.
type Seen struct {
	Identity string   // of the participant's database; "" for none
	Other    []string // what its programs are, other than they are to be
	Waits    string   // why the node does not serve yet; "" if it does
}

// Watching is the event of a node that is still waited for, and why.
type Watching struct{ About string }

func (w Watching) String() string { return w.About }

// Eyes see such a node.
type Eyes struct {
	Look   func(context.Context) (Seen, error)
	Every  time.Duration // how often it is looked; a second if 0
	Events event.Listener
}

// Watch waits until a node serves, with the databases of the participant that is
// expected. It changes nothing, and may be interrupted and begun again.
func Watch(ctx context.Context, participant string, eyes Eyes) error {
	for last := ""; ; {
		about := ""
		seen, err := eyes.Look(ctx)
		if err == nil {
			about, err = seen.judge(participant)
		}
		switch {
		case holdfast.ClassOf(err) == holdfast.Unreachable: // it may come back
			about = fmt.Sprintf("waiting: %v", err)
		case err != nil || about == "":
			return err
		}
		if about != last {
			eyes.Events.Report(Watching{about})
		}
		last = about
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(cmp.Or(eyes.Every, time.Second)):
		}
	}
}

// judge says what is waited for; "" for nothing. A participant's database of another
// identity, or of none, ends it.
func (s Seen) judge(participant string) (string, error) {
	switch {
	case s.Identity != participant:
		return "", &holdfast.Problem{
			Class: holdfast.Refused,
			What: fmt.Sprintf("the participant's database has identity %s, expected is %s",
				cmp.Or(s.Identity, "none"), participant),
			Why: "The validator app gives an empty participant a new identity, which has nothing of the node.",
			Do:  "Scale both programs to 0, then `holdfast restore latest`.",
		}
	case len(s.Other) > 0:
		return "waiting for the programs: " + strings.Join(s.Other, "; "), nil
	case s.Waits != "":
		return "waiting until the node serves: " + s.Waits, nil
	}
	return "", nil
}
