package compose

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"holdfast"
)

// Wake starts the participant, and after it has shown again who it is, the
// validator app, waits for its readiness, and gives every container the
// restart policy that it had.
func (p *Programs) Wake(ctx context.Context, participant string, tell func(string)) error {
	if err := p.expect(ctx, participant); err != nil {
		return err
	}
	now, err := p.current(ctx)
	if err != nil {
		return err
	}
	if err := p.oneShots(ctx, now, tell); err != nil {
		return err
	}
	if err := p.wake(ctx, now, "participant", "to keep running", p.settled, tell); err != nil {
		return err
	}
	if err := p.expect(ctx, participant); err != nil {
		return err
	}
	if err := p.confirm(ctx, participant, tell); err != nil {
		return err
	}
	if err := p.wake(ctx, now, "validator", "to be ready", p.appReady, tell); err != nil {
		return err
	}
	if err := p.others(ctx, now, tell); err != nil {
		return err
	}
	p.journal.Woken = true
	if err := p.journal.save(); err != nil {
		return err
	}
	return p.tidy(ctx)
}

// expect reads the participant's identity from its database: a validator app
// that meets another one, or none, must not start.
func (p *Programs) expect(ctx context.Context, participant string) error {
	found, err := p.Identity(ctx)
	if err != nil {
		return fmt.Errorf("read the participant's identity: %w", err)
	}
	if found == participant && found != "" {
		return nil
	}
	if found == "" {
		found = "none"
	}
	return &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("the participant's database has identity %s, expected is %s", found, participant),
		Why: "The validator app would give an empty participant a new identity; it is not started.",
		Do:  "Compare CANTON_PARTICIPANT_POSTGRES_DB of its container with the plan: `holdfast node show`. `holdfast restore --undo --yes` goes back to what was."}
}

// confirm asks the participant itself, which may have opened another database
// than the one that was looked at. Its admin API may be out of reach, or take
// its time to come up; a wrong answer counts, none does not.
func (p *Programs) confirm(ctx context.Context, participant string, tell func(string)) error {
	if p.Asked == nil {
		return nil
	}
	var found string
	var err error
	for began := p.Now(); ; {
		if found, err = p.Asked(ctx); err == nil || ctx.Err() != nil || p.Now().Sub(began) > askedFor {
			break
		}
		time.Sleep(settle / 6)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		tell(fmt.Sprintf("the participant itself could not be asked who it is (%v); its database says it", err))
		return nil
	case found == participant:
		tell("the participant says that it is " + found)
		return nil
	case found == "":
		found = "none"
	}
	return &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("the participant runs with identity %s, its database has %s", found, participant),
		Why: "It opened another database than the restored one; the validator app would take that one for its own, and is not started.",
		Do:  "Compare CANTON_PARTICIPANT_POSTGRES_DB of its container with the plan: `holdfast node show`."}
}

// askedFor is how long a participant that runs is asked who it is.
const askedFor = 20 * time.Second

func (p *Programs) wake(ctx context.Context, now Bundle, role, what string, ready func(context.Context) error, tell func(string)) error {
	c := now.role(role)
	if c == nil {
		return &holdfast.Problem{Class: holdfast.Failed, What: "there is no container of " + titles[role],
			Why: "The node cannot serve without it.", Do: "Repeat the restore, which makes it as the set recorded it; or start.sh makes it from the bundle."}
	}
	tell("start " + c.Name)
	if err := p.Node.Engine.start(ctx, *c); err != nil {
		return err
	}
	return p.await(ctx, *c, what, ready)
}

// settle is how long a participant has to have run without ending: one that
// cannot open its database ends within a second or two.
const settle = 3 * time.Second

// settled makes sure that the participant has run for a while and is not
// starting over and over.
func (p *Programs) settled(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settle):
	}
	c, err := p.Node.container(ctx, "participant")
	if err != nil {
		return err
	}
	if c.State != "running" {
		return fmt.Errorf("it is %s: %s", c.State, p.Node.Engine.Complaints(ctx, c.ID))
	}
	if c.Health == "starting" {
		return errors.New("its health check has not passed yet")
	}
	return nil
}

// appReady asks the validator app whether it is ready: it says so once its
// wallet and its participant are (Splice: /readyz).
func (p *Programs) appReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://validator:5003/api/validator/readyz", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DialContext: p.Node.app.Dial, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s to /readyz", response.Status)
	}
	return nil
}

// oneShots runs again what the bundle runs once before its programs, where it
// was made anew.
func (p *Programs) oneShots(ctx context.Context, now Bundle, tell func(string)) error {
	for _, c := range p.Node.All {
		if !c.oneShot() || !slices.Contains(p.journal.Created, c.Name) {
			continue
		}
		i := slices.IndexFunc(now.All, func(o Container) bool { return o.Name == c.Name })
		if i < 0 {
			continue
		}
		tell("run " + c.Name)
		if err := p.Node.Engine.start(ctx, now.All[i]); err != nil {
			return err
		}
		if err := p.Node.Engine.ended(ctx, now.All[i]); err != nil {
			return err
		}
	}
	return nil
}

// others starts what else was made: nginx and the web pages.
func (p *Programs) others(ctx context.Context, now Bundle, tell func(string)) error {
	for _, c := range now.All {
		recorded := slices.IndexFunc(p.Node.All, func(o Container) bool { return o.Name == c.Name })
		if !slices.Contains(p.journal.Created, c.Name) || recorded < 0 || p.Node.All[recorded].oneShot() || c.State == "running" {
			continue
		}
		tell("start " + c.Name)
		if err := p.Node.Engine.start(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// tidy gives the containers their restart policies back and removes those that
// were replaced: they hold no data.
func (p *Programs) tidy(ctx context.Context) error {
	now, err := p.current(ctx)
	if err != nil {
		return err
	}
	for _, c := range now.All {
		if policy, known := p.policy(c); known && policy != c.Restart {
			if err := p.Node.Engine.restart(ctx, c, policy); err != nil {
				return err
			}
		}
	}
	for _, r := range p.journal.Replaced {
		if err := p.Node.Engine.remove(ctx, r.Aside); err != nil {
			return err
		}
	}
	err = p.journal.end()
	p.journal = nil
	return err
}

// policy is the restart policy that a container had, or that the set recorded
// of it.
func (p *Programs) policy(c Container) (Restart, bool) {
	for _, b := range p.journal.Before {
		if b.ID == c.ID {
			return b.Restart, true
		}
	}
	for _, o := range p.Node.All {
		if o.Name == c.Name {
			return o.Restart, true
		}
	}
	return Restart{}, false
}
