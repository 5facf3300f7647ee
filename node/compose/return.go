package compose

import (
	"context"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"
)

// Return takes back what Halt did: containers that it made go, those that made
// room for them come back, and what ran runs again. The validator app is left
// stopped where the participant has no identity: it would give it a new one.
func (p *Programs) Return(ctx context.Context, tell func(string)) error {
	if p.journal == nil {
		j, err := readJournal(p.Path)
		if err != nil || j == nil {
			return err
		}
		if p.journal, err = begin(p.Path, *j); err != nil {
			return err
		}
		if a := p.journal.exchange(); a != nil {
			a.Keep = true // the node may have run on it since its restore was killed
		}
	}
	if p.journal.exchange() != nil {
		if err := p.rest(ctx, tell); err != nil {
			return err
		}
		if err := p.giveBack(ctx, tell); err != nil {
			return err
		}
	}
	if err := p.unmake(ctx); err != nil {
		return err
	}
	if err := p.restartAll(ctx, tell); err != nil {
		return err
	}
	err := p.journal.end()
	p.journal = nil
	return err
}

// unmake removes the containers that were made and gives the replaced ones
// their names back.
func (p *Programs) unmake(ctx context.Context) error {
	e := p.Node.Engine
	gone := func(name string) error {
		c, err := e.inspect(ctx, name)
		if err != nil {
			return nil // it is not there, or the next call says why not
		}
		if c.Up() {
			if err := e.stop(ctx, c); err != nil {
				return err
			}
		}
		return e.remove(ctx, name)
	}
	for _, name := range p.journal.Created {
		if err := gone(name); err != nil {
			return err
		}
	}
	for _, r := range p.journal.Replaced {
		if _, err := e.inspect(ctx, r.Aside); err != nil {
			continue // it had not been renamed yet, or is back already
		}
		if err := gone(r.Name); err != nil {
			return err
		}
		if err := e.rename(ctx, r.Aside, r.Name); err != nil {
			return err
		}
	}
	return nil
}

// restartAll has every container run as it did, Postgres first.
func (p *Programs) restartAll(ctx context.Context, tell func(string)) error {
	order := []string{"postgres", "participant", "validator"}
	var down error // of a Postgres that has its old volume back
	for _, role := range order {
		for _, b := range p.journal.Before {
			if b.Role != role {
				continue
			}
			c, err := p.Node.Engine.inspect(ctx, b.ID)
			if cerrdefs.IsNotFound(err) { // somebody removed it meanwhile
				continue
			}
			if err != nil {
				return err
			}
			if role == "validator" && b.Up {
				if down != nil {
					tell("the validator app stays down, because Postgres does not start on the volume that it has got back; its restart policy is set to no")
					continue
				}
				known, err := p.known(ctx, tell)
				if err != nil {
					return err
				}
				if !known {
					continue
				}
			}
			if b.Up && !c.Up() {
				tell("start " + c.Name)
				if err := p.Node.Engine.start(ctx, c); err != nil {
					return err
				}
			}
			if !b.Up && c.Up() {
				tell("stop " + c.Name)
				if err := p.Node.Engine.stop(ctx, c); err != nil {
					return err
				}
			}
			if err := p.Node.Engine.restart(ctx, c, b.Restart); err != nil {
				return err
			}
			if role == "postgres" && b.Up {
				if err := p.await(ctx, c, "to take connections", p.Ready); p.journal.Aside != nil {
					down = err
				}
			}
		}
	}
	return nil
}

// recovery is how long Postgres may take to answer again after a crash, as when
// its disk was full.
const recovery = time.Minute

// known says whether the participant has an identity that a validator app may
// be started beside. That it cannot be read is an error, and not an answer.
func (p *Programs) known(ctx context.Context, tell func(string)) (bool, error) {
	deadline := p.Now().Add(recovery)
	for {
		found, err := p.Identity(ctx)
		if err == nil && found == "" {
			tell("the validator app stays down: the participant's database has no identity, and it would make a new one; its restart policy is set to no")
		}
		if err == nil {
			return found != "", nil
		}
		if ctx.Err() != nil || p.Now().After(deadline) {
			return false, fmt.Errorf("whether the participant has an identity cannot be told, so the validator app is not started beside it: %w", err)
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
