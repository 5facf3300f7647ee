package compose

import (
	"context"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"

	"holdfast"
	"holdfast/event"
	"holdfast/internal/docker"
	"holdfast/step"
)

// Do does one step of a plan, or of the way back from it. Done again, it
// changes nothing more.
func (p *Programs) Do(ctx context.Context, s step.Step, events event.Listener) error {
	switch s.Kind {
	case step.Image:
		_, err := p.Node.Engine.Have(ctx, docker.Image{Name: s.Name}, "Containers of the node are made from it.")
		return err
	case step.File:
		if s.Act == step.Remove {
			return p.unlay(ctx, s)
		}
		return p.lay(ctx, s)
	case step.Directory:
		if s.Act == step.Remove {
			return p.removeDirectory(ctx, s.Name, false)
		}
		return p.makeDirectory(ctx, s.Name)
	case step.Network:
		if s.Act == step.Remove {
			return p.Node.Engine.removeNetwork(ctx, s.Name)
		}
		return p.Node.Engine.makeNetwork(ctx, s.Name, p.Specs)
	case step.Volume:
		return p.doVolume(ctx, s)
	}
	return p.doContainer(ctx, s, events)
}

func (p *Programs) doVolume(ctx context.Context, s step.Step) error {
	switch s.Act {
	case step.Keep:
		return p.keep(ctx, s)
	case step.PutBack:
		return p.putBack(ctx, s)
	case step.Remove:
		if strings.HasPrefix(s.Name, "/") {
			return p.removeDirectory(ctx, s.Name, true)
		}
		return p.Node.Engine.removeVolume(ctx, s.Name)
	}
	return p.makeVolume(ctx, s.Name)
}

func (p *Programs) doContainer(ctx context.Context, s step.Step, events event.Listener) error {
	e := p.Node.Engine
	switch s.Act {
	case step.Replace:
		return p.replace(ctx, s, events)
	case step.Create:
		return p.create(ctx, s.Name, s, events)
	case step.Remove:
		return e.discard(ctx, s.Name)
	case step.PutBack:
		return p.reinstate(ctx, s)
	}
	c, err := e.inspect(ctx, s.Name)
	if cerrdefs.IsNotFound(err) {
		return missing(s)
	}
	if err != nil {
		return err
	}
	switch s.Act {
	case step.DisableRestart:
		return e.restart(ctx, c, Restart{Name: "no"})
	case step.EnableRestart:
		return e.restart(ctx, c, parseRestart(s.Policy))
	case step.Stop:
		if !c.Up() {
			return nil
		}
		return e.stop(ctx, c)
	case step.Run:
		if err := e.start(ctx, c); err != nil {
			return err
		}
		return e.ended(ctx, c)
	}
	return p.start(ctx, c, s, events)
}

// missing is what comes of a step on a container that somebody has removed:
// nothing, unless it has to serve.
func missing(s step.Step) error {
	if s.Act == step.Start && s.Wait || s.Act == step.Run {
		return &holdfast.Problem{
			Class: holdfast.Failed, What: "container " + s.Name + " does not exist",
			Why: "The node cannot serve without it.",
			Do:  "Repeat the restore, which makes it as the set recorded it; or start.sh makes it from the bundle.",
		}
	}
	return nil
}

// replace makes a container as the set recorded it under the name of one that
// was started differently, which gets another name until the node is ready.
func (p *Programs) replace(ctx context.Context, s step.Step, events event.Listener) error {
	if err := p.Node.Engine.rename(ctx, s.Name, s.As); err != nil {
		return err
	}
	return p.create(ctx, s.Name, s, events)
}

// create makes a container as the set recorded it.
func (p *Programs) create(ctx context.Context, name string, s step.Step, events event.Listener) error {
	recorded := p.Node.role(s.Of)
	if i := slices.IndexFunc(p.Node.All, func(c Container) bool { return c.Name == name }); recorded == nil && i >= 0 {
		recorded = &p.Node.All[i]
	}
	if recorded == nil {
		return missing(step.Step{Act: step.Run, Name: name})
	}
	made := *recorded
	made.Name = name
	return p.Node.Engine.remake(ctx, made, p.Specs, events)
}

// reinstate gives a replaced container its name back; what was made in its
// place is removed.
func (p *Programs) reinstate(ctx context.Context, s step.Step) error {
	e := p.Node.Engine
	if _, err := e.inspect(ctx, s.From); cerrdefs.IsNotFound(err) {
		return nil // it had not been renamed yet, or is back already
	} else if err != nil {
		return err
	}
	if err := e.discard(ctx, s.Name); err != nil {
		return err
	}
	return e.rename(ctx, s.From, s.Name)
}

// discard stops and removes a container; none of its volumes goes with it.
func (e *Engine) discard(ctx context.Context, name string) error {
	c, err := e.inspect(ctx, name)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if c.Up() {
		if err := e.stop(ctx, c); err != nil {
			return err
		}
	}
	return e.remove(ctx, name)
}

// StaysDown is the event of a container that is not started.
type StaysDown struct{ Container, Why string }

func (s StaysDown) String() string { return "container " + s.Container + " stays down: " + s.Why }
