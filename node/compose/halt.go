package compose

import (
	"context"
	"errors"
	"fmt"
	"holdfast/step"
	"slices"
	"time"

	"holdfast"
)

// Halt stops the validator app, then the participant, keeps a volume aside that
// Postgres cannot start on, makes what is missing, and has Postgres answer.
func (p *Programs) Halt(ctx context.Context, s step.Standstill, tell func(string)) error {
	if err := p.begin(ctx, s, tell); err != nil {
		return err
	}
	now, err := p.current(ctx)
	if err != nil {
		return err
	}
	other := differences(now, p.Node.Bundle)
	aside := s.Aside()
	if a := p.journal.exchange(); a != nil && a.Stage == left {
		aside = nil // Postgres is on the empty volume already
	}
	for _, role := range []string{"validator", "participant", "postgres"} {
		c := now.role(role)
		if c == nil || role == "postgres" && other[role] == "" && aside == nil {
			continue
		}
		if err := p.halt(ctx, *c, role, tell); err != nil {
			return err
		}
	}
	if aside != nil {
		if err := p.putAside(ctx, *aside, tell); err != nil {
			return err
		}
	}
	for _, role := range []string{"validator", "participant", "postgres"} {
		if other[role] != "" {
			if err := p.replace(ctx, *now.role(role), role, tell); err != nil {
				return err
			}
		}
	}
	if err := p.lay(ctx, s.Parts, tell); err != nil {
		return err
	}
	if err := p.create(ctx, tell); err != nil {
		return err
	}
	return p.serve(ctx, tell)
}

// begin opens the journal, unless this process has, and ends what an undoing
// that was broken off had begun.
func (p *Programs) begin(ctx context.Context, s step.Standstill, tell func(string)) error {
	if p.journal == nil {
		began := p.began
		if began.IsZero() {
			began = p.Now()
		}
		j, err := begin(p.Path, Journal{Set: p.Set, Project: p.Node.Project, Began: began, Original: s.Original})
		if err != nil {
			return err
		}
		p.journal = j
	}
	if a := p.journal.exchange(); a == nil || a.Stage == leaving || a.Stage == left {
		return nil
	}
	if err := p.rest(ctx, tell); err != nil {
		return err
	}
	return p.giveBack(ctx, tell)
}

func (b Bundle) role(role string) *Container {
	for _, r := range b.Roles() {
		if r.Role == role {
			return r.Container
		}
	}
	return nil
}

// halt puts a container's restart policy aside, so that it stays down even if
// the daemon restarts, and stops it.
func (p *Programs) halt(ctx context.Context, c Container, role string, tell func(string)) error {
	p.journal.note(c, role)
	if err := p.journal.save(); err != nil {
		return err
	}
	if err := p.Node.Engine.restart(ctx, c, Restart{Name: "no"}); err != nil {
		return err
	}
	if !c.Up() {
		return nil
	}
	tell("stop " + c.Name)
	return p.Node.Engine.stop(ctx, c)
}

// replace makes a container as the set recorded it under the name of one that
// was started differently, which is kept aside until the node is ready.
func (p *Programs) replace(ctx context.Context, c Container, role string, tell func(string)) error {
	recorded := p.Node.role(role)
	if recorded == nil {
		return nil
	}
	r := replaced{Name: c.Name, Aside: c.Name + aside + string(p.Set)}
	p.journal.Replaced = append(p.journal.Replaced, r)
	if err := p.journal.save(); err != nil {
		return err
	}
	tell("replace " + c.Name + " by one made as the set recorded it")
	if err := p.Node.Engine.rename(ctx, c.Name, r.Aside); err != nil {
		return err
	}
	made := *recorded
	made.Name = c.Name
	return p.Node.Engine.remake(ctx, made, p.Specs)
}

// create makes the containers that the set recorded and that are not there.
func (p *Programs) create(ctx context.Context, tell func(string)) error {
	now, err := p.current(ctx)
	if err != nil {
		return err
	}
	for _, c := range p.missing(now) {
		if !slices.Contains(p.journal.Created, c.Name) {
			p.journal.Created = append(p.journal.Created, c.Name)
		}
		if err := p.journal.save(); err != nil {
			return err
		}
		tell("create " + c.Name)
		if err := p.Node.Engine.remake(ctx, c, p.Specs); err != nil {
			return err
		}
	}
	return nil
}

// serve starts Postgres, if it is the bundle's own, and waits until it takes
// connections: not before its entrypoint has made the node's databases.
func (p *Programs) serve(ctx context.Context, tell func(string)) error {
	if p.Node.Postgres == nil {
		return p.Ready(ctx)
	}
	c, err := p.Node.container(ctx, "postgres")
	if err != nil {
		return err
	}
	if c.State != "running" {
		p.journal.note(c, "postgres")
		if err := p.journal.save(); err != nil {
			return err
		}
		tell("start " + c.Name)
		if err := p.Node.Engine.start(ctx, c); err != nil {
			return err
		}
	}
	return p.mendable(p.await(ctx, c, "to take connections", p.Ready))
}

// mendable adds to a Postgres that does not start how to go on without its
// data.
func (p *Programs) mendable(err error) error {
	var problem *holdfast.Problem
	if !errors.As(err, &problem) || problem.Class != holdfast.Failed || p.journal.exchange() != nil {
		return err
	}
	told := *problem
	told.Do += " If Postgres cannot start on the data that it has: `holdfast restore " + string(p.Set) + " --fresh-volume` keeps that data aside and goes on with an empty volume."
	return &told
}

// patience is how long the bundle's start.sh -w waits for health.
const patience = 10 * time.Minute

// tries is how often Docker may start a container again before it is given up.
const tries = 3

// await waits until a container runs, keeps running, is healthy if it says,
// and ready says so.
func (p *Programs) await(ctx context.Context, c Container, what string, ready func(context.Context) error) error {
	limit := p.Patience
	if limit == 0 {
		limit = patience
	}
	deadline := time.Now().Add(limit)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		now, err := p.Node.Engine.inspect(ctx, c.ID)
		if err != nil {
			return err
		}
		switch {
		case now.State == "exited" || now.State == "dead":
			err = fmt.Errorf("it ended with exit code %d: %s", now.ExitCode, p.Node.Engine.Complaints(ctx, c.ID))
			deadline = time.Time{}
		case now.Restarts >= c.Restarts+tries:
			err = fmt.Errorf("it was started again and again: %s", p.Node.Engine.Complaints(ctx, c.ID))
			deadline = time.Time{}
		case now.State != "running":
			err = fmt.Errorf("it is %s: %s", now.State, p.Node.Engine.Complaints(ctx, c.ID))
		case now.Health == "unhealthy":
			err = errors.New("Docker says that it is unhealthy: " + p.Node.Engine.Complaints(ctx, c.ID))
		default:
			err = ready(ctx)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return &holdfast.Problem{Class: holdfast.Failed, What: fmt.Sprintf("container %s was waited for %s", c.Name, what), Err: err,
				Why: "The node cannot serve without it.", Do: "`docker logs " + c.Name + "` has the whole of it."}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
