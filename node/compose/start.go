package compose

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/step"
)

// start starts a container, and has its role's rules hold: a validator app that
// meets a participant without an identity gives it a new one, so it is started
// only after the participant's database has shown one.
func (p *Programs) start(ctx context.Context, c Container, s step.Step, events event.Listener) error {
	switch s.Of {
	case "postgres":
		return p.startServer(ctx, c, s, events)
	case "participant":
		return p.startParticipant(ctx, c, s, events)
	case "validator":
		return p.startApp(ctx, c, s, events)
	}
	for _, leader := range c.shares {
		if now, err := p.Node.Engine.inspect(ctx, leader); len(p.down) > 0 && err == nil && !now.Up() {
			events.Report(StaysDown{c.Name, "container " + now.Name + ", in which it lives, is down"})
			return nil
		}
	}
	return p.Node.Engine.start(ctx, c)
}

// leave leaves a role down in this process.
func (p *Programs) leave(c Container, role, why string, events event.Listener) {
	if p.down == nil {
		p.down = map[string]bool{}
	}
	p.down[role] = true
	events.Report(StaysDown{c.Name, why})
}

// startServer starts Postgres and waits until it takes connections: not before
// its entrypoint has made the node's databases. On a volume that was put back
// because it did not start, it may not start again.
func (p *Programs) startServer(ctx context.Context, c Container, s step.Step, events event.Listener) error {
	if err := p.Node.Engine.start(ctx, c); err != nil {
		return err
	}
	err := p.await(ctx, c, "accept connections", p.Ready)
	if err == nil || !s.Try || ctx.Err() != nil {
		return p.mendable(err)
	}
	p.leave(c, "postgres", fmt.Sprintf("Postgres does not start on the volume that was put back, as before;"+
		" everything is left stopped (%v)", err), events)
	return p.Node.Engine.stop(ctx, c)
}

// startParticipant starts the participant. Where an identity is expected, its
// database shows it before and after, and the participant says so itself.
func (p *Programs) startParticipant(ctx context.Context, c Container, s step.Step, events event.Listener) error {
	if p.down["postgres"] {
		p.leave(c, "participant", "Postgres is down", events)
		return nil
	}
	if s.Expect != "" {
		if err := p.expect(ctx, s.Expect); err != nil {
			return err
		}
	}
	if err := p.Node.Engine.start(ctx, c); err != nil {
		return err
	}
	if !s.Wait {
		return nil
	}
	if err := p.await(ctx, c, "keep running", p.settled()); err != nil || s.Expect == "" {
		return err
	}
	if err := p.expect(ctx, s.Expect); err != nil {
		return err
	}
	return p.confirm(ctx, s.Expect, events)
}

// startApp starts the validator app.
func (p *Programs) startApp(ctx context.Context, c Container, s step.Step, events event.Listener) error {
	if p.down["postgres"] {
		p.leave(c, "validator", "Postgres is down", events)
		return nil
	}
	if s.Expect != "" {
		if err := p.expect(ctx, s.Expect); err != nil {
			return err
		}
	} else if known, err := p.known(ctx); err != nil {
		return err
	} else if !known {
		p.leave(c, "validator", "the participant's database has no identity, and it would make a new one", events)
		return nil
	}
	if err := p.Node.Engine.start(ctx, c); err != nil || !s.Wait {
		return err
	}
	return p.await(ctx, c, "be ready", p.appReady)
}

// recovery is how long Postgres may take to answer again after a crash, as when
// its disk was full.
const recovery = time.Minute

// known says whether the participant has an identity that a validator app may
// be started next to. That it cannot be read is an error, and not an answer.
func (p *Programs) known(ctx context.Context) (bool, error) {
	deadline := p.Now().Add(recovery)
	for {
		found, err := p.Identity(ctx)
		if err == nil {
			return found != "", nil
		}
		if ctx.Err() != nil || p.Now().After(deadline) {
			return false, fmt.Errorf("the participant's identity is unknown, so the validator app is not started: %w", err)
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(time.Second):
		}
	}
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
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("the participant's database has identity %s, expected is %s", found, participant),
		Why:   "The validator app would give an empty participant a new identity; it is not started.",
		Do:    "Compare CANTON_PARTICIPANT_POSTGRES_DB of its container with the plan: `holdfast node show`.",
	}
}

// Confirmed is the event of a participant that was queried for its identity.
type Confirmed struct {
	Participant string
	Failed      error // why it did not answer; nil when it did
}

func (c Confirmed) String() string {
	if c.Failed != nil {
		return fmt.Sprintf("the participant did not say who it is (%v); its database says %s", c.Failed, c.Participant)
	}
	return "the participant says that it is " + c.Participant
}

// confirm asks the participant itself, which may have opened another database
// than the one that was looked at. Its admin API may be out of reach, or take
// its time to come up; a wrong answer counts, none does not.
func (p *Programs) confirm(ctx context.Context, participant string, events event.Listener) error {
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
		events.Report(Confirmed{participant, err})
		return nil
	case found == participant:
		events.Report(Confirmed{participant, nil})
		return nil
	case found == "":
		found = "none"
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("the participant runs with identity %s, its database has %s", found, participant),
		Why: "It opened another database than the restored one. The validator app would take that one for its own;" +
			" it is not started.",
		Do: "Compare CANTON_PARTICIPANT_POSTGRES_DB of its container with the plan: `holdfast node show`.",
	}
}

// askedFor is how long a participant that runs is asked who it is.
const askedFor = 20 * time.Second

// mendable adds to a Postgres that does not start how to go on without its
// data.
func (p *Programs) mendable(err error) error {
	var problem *holdfast.Problem
	if !errors.As(err, &problem) || problem.Class != holdfast.Failed {
		return err
	}
	if x, failed := p.exchange(); x != nil || failed != nil {
		return err
	}
	with := *problem
	with.Do += " If Postgres cannot start on the data that it has: `holdfast restore " + string(p.Set) +
		" --fresh-volume` keeps that data and goes on with an empty volume."
	return &with
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
		final := true
		switch {
		case now.State == "exited" || now.State == "dead":
			err = fmt.Errorf("it ended with exit code %d: %s", now.ExitCode, p.Node.Engine.Complaints(ctx, c.ID))
		case now.Restarts >= c.Restarts+tries:
			err = fmt.Errorf("it was started again and again: %s", p.Node.Engine.Complaints(ctx, c.ID))
		default:
			final, err = false, p.serves(ctx, now, ready)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if final || time.Now().After(deadline) {
			return &holdfast.Problem{
				Class: holdfast.Failed, What: fmt.Sprintf("container %s did not %s", c.Name, what), Err: err,
				Why: "The node cannot serve without it.", Do: "`docker logs " + c.Name + "` has the whole of it.",
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// serves says why a container does not serve yet; nil when it does.
func (p *Programs) serves(ctx context.Context, c Container, ready func(context.Context) error) error {
	switch {
	case c.State != "running":
		return fmt.Errorf("it is %s: %s", c.State, p.Node.Engine.Complaints(ctx, c.ID))
	case c.Health == "unhealthy":
		return errors.New("Docker says that it is unhealthy: " + p.Node.Engine.Complaints(ctx, c.ID))
	}
	return ready(ctx)
}

// settle is how long a participant has to have run without ending: one that
// cannot open its database ends within a second or two.
const settle = 3 * time.Second

// settled makes sure that the participant has run for a while and is not
// starting over and over. One that was started again has to run as long again.
func (p *Programs) settled() func(context.Context) error {
	ran := -1 // the start since which it has run that long
	return func(ctx context.Context) error {
		c, err := p.Node.container(ctx, "participant")
		if err == nil && c.Restarts != ran {
			ran = c.Restarts
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(settle):
			}
			c, err = p.Node.container(ctx, "participant")
		}
		switch {
		case err != nil:
			return err
		case c.State != "running":
			return fmt.Errorf("it is %s: %s", c.State, p.Node.Engine.Complaints(ctx, c.ID))
		case c.Restarts != ran:
			return errors.New("it was started again: " + p.Node.Engine.Complaints(ctx, c.ID))
		case c.Health == "starting":
			return errors.New("its health check has not passed yet")
		}
		return nil
	}
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
