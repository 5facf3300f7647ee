package compose

import (
	"context"
	"fmt"
	"slices"

	cerrdefs "github.com/containerd/errdefs"

	"holdfast"
	"holdfast/event"
	"holdfast/step"
)

// StartedMeanwhile is the event of a container that somebody started while the
// restore had it down.
type StartedMeanwhile struct{ Container string }

func (s StartedMeanwhile) String() string {
	return "container " + s.Container + " was started in the middle of the restore: it is stopped again"
}

// Quiet makes sure that what a restore has stopped is still down. What was
// started meanwhile is stopped again, as long as its restart policy is the one
// that the restore gave it: then it is the same container, and nobody has made
// another one of it.
func (p *Programs) Quiet(ctx context.Context, log step.Log, events event.Listener) error {
	for _, name := range halted(log) {
		c, err := p.Node.Engine.inspect(ctx, name)
		if cerrdefs.IsNotFound(err) || err == nil && !c.Up() {
			continue
		}
		if err != nil {
			return err
		}
		if c.Restart.Name != "no" && c.Restart.Name != "" {
			return &holdfast.Problem{
				Class: holdfast.Refused,
				What:  fmt.Sprintf("container %s was started in the middle of the restore, with restart policy %s", c.Name, c.Restart),
				Why:   "It would write into the database that is being replaced.",
				Do:    "Stop it: `docker stop " + c.Name + "`; then repeat the restore.",
			}
		}
		events.Report(StartedMeanwhile{c.Name})
		if err := p.Node.Engine.stop(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// halted are the containers, other than that of Postgres, that a run has stopped
// and not started since.
func halted(log step.Log) (out []string) {
	for _, e := range log.All() {
		s := e.Step
		if s.Kind != step.Container || s.Of == "postgres" {
			continue
		}
		switch s.Act {
		case step.Stop, step.DisableRestart:
			if !slices.Contains(out, s.Name) {
				out = append(out, s.Name)
			}
		case step.Start:
			out = slices.DeleteFunc(out, func(name string) bool { return name == s.Name })
		}
	}
	return out
}
