package compose

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"

	"holdfast"
)

// Programs are the containers of a node, as a restore halts and wakes them.
type Programs struct {
	// Node is the node as it is to be after the restore: as it runs now or, where
	// parts of it are missing or were started differently, as the set recorded it.
	Node  *Node
	Specs Specs
	Set   holdfast.SetID
	// Path is where the journal is kept.
	Path string
	// Ready asks the databases' server for an answer.
	Ready func(ctx context.Context) error
	// Identity reads from the participant's database which participant it is;
	// "" for one that has not been made yet.
	Identity func(ctx context.Context) (string, error)
	// Patience is how long a container may take to become ready; 10 minutes if 0,
	// as start.sh -w waits.
	Patience time.Duration
	Now      func() time.Time

	journal *Journal
}

// Revive chooses what a node is to be after a restore: as it runs now, as long
// as its databases are those of the set and nothing of it is missing; else as
// the set recorded it.
func Revive(ctx context.Context, e *Engine, project string, set holdfast.Set, files holdfast.Files) (*Programs, error) {
	list, err := e.Containers(ctx)
	if err != nil {
		return nil, err
	}
	p := &Programs{Set: set.ID, Now: time.Now}
	now, missing := Choose(list, project)
	var gone *NotFound
	if missing != nil && !errors.As(missing, &gone) {
		return nil, missing
	}
	recorded, specs, err := Recorded(ctx, e, set, files)
	if err != nil {
		if missing != nil {
			return nil, errors.Join(missing, err)
		}
		p.Node = NewNode(e, now)
		return p, nil
	}
	p.Node, p.Specs = recorded, specs
	if missing == nil && len(differences(now, recorded.Bundle)) == 0 {
		p.Node = NewNode(e, now)
	}
	return p, nil
}

// differences are what makes a node that runs now another one than the set's:
// the roles whose containers were started differently, and how.
func differences(now, then Bundle) map[string]string {
	out := map[string]string{}
	differ := func(role, what, a, b string) {
		if a != b {
			out[role] = fmt.Sprintf("it was started with %s %q, the set's with %q", what, a, b)
		}
	}
	if now.Participant != nil {
		differ("participant", "the database", now.ParticipantDatabase().Name, then.ParticipantDatabase().Name)
	}
	if now.Validator != nil {
		differ("validator", "the database", now.ValidatorDatabase().Name, then.ValidatorDatabase().Name)
		differ("validator", "the party hint", now.Start().PartyHint, then.Start().PartyHint)
		differ("validator", "the participant identifier", now.Start().Identifier, then.Start().Identifier)
	}
	if now.Postgres != nil && then.Postgres != nil {
		for _, name := range then.Postgres.Env.Names() {
			if strings.HasPrefix(name, "CREATE_DATABASE_") || name == "PARTICIPANT_DB_NAME" {
				differ("postgres", name, now.Postgres.Env.Get(name), then.Postgres.Env.Get(name))
			}
		}
	}
	return out
}

// current are the project's containers as they are now.
func (p *Programs) current(ctx context.Context) (Bundle, error) {
	list, err := p.Node.Engine.project(ctx, p.Node.Project)
	b := Bundle{Project: p.Node.Project, All: list}
	b.cast()
	return b, err
}

// roleOf is the role of a container, "" for one without.
func (b Bundle) roleOf(id string) string {
	for _, r := range b.Roles() {
		if r.Container.ID == id {
			return r.Role
		}
	}
	return ""
}

// oneShot says that a container of the set did its work once and ended.
func (c Container) oneShot() bool {
	return c.State == "exited" && c.ExitCode == 0 && (c.Restart.Name == "no" || c.Restart.Name == "")
}

// missing are the recorded containers that are not there now.
func (p *Programs) missing(now Bundle) []Container {
	var out []Container
	for _, c := range p.Node.All {
		if !slices.ContainsFunc(now.All, func(o Container) bool { return o.Name == c.Name }) {
			out = append(out, c)
		}
	}
	return out
}

// Survey says what a restore would do with the node's programs.
func (p *Programs) Survey(ctx context.Context, set holdfast.Set) (holdfast.Standstill, error) {
	now, err := p.current(ctx)
	if err != nil {
		return holdfast.Standstill{}, err
	}
	s := holdfast.Standstill{Programs: []holdfast.Program{}}
	other := differences(now, p.Node.Bundle)
	for _, r := range slices.Backward(now.Roles()) {
		program := holdfast.Program{Role: r.Role, Name: r.Container.Name, State: r.Container.State, Acts: []holdfast.Act{}, Why: other[r.Role]}
		writes := r.Role == "participant" || r.Role == "validator"
		if r.Container.Up() && (writes || program.Why != "") {
			program.Acts = append(program.Acts, holdfast.StopIt)
		}
		if program.Why != "" {
			program.Acts = append(program.Acts, holdfast.ReplaceIt)
		}
		if writes || !r.Container.Up() || program.Why != "" {
			program.Acts = append(program.Acts, holdfast.StartIt)
		}
		s.Programs = append(s.Programs, program)
	}
	for _, c := range p.missing(now) {
		s.Programs = append(s.Programs, holdfast.Program{Role: p.Node.roleOf(c.ID), Name: c.Name, State: "missing", Acts: []holdfast.Act{holdfast.CreateIt, holdfast.StartIt}})
	}
	if err := p.Ready(ctx); err != nil {
		s.Server = err.Error()
	}
	if j, err := readJournal(p.Path); err != nil {
		return s, err
	} else if j != nil {
		s.BrokenOff = fmt.Sprintf("a restore of set %s, begun %s, did not come to its end: this one takes over from it; `holdfast restore --undo --yes` goes back to what was before it", j.Set, j.Began.UTC().Format(time.RFC3339))
	}
	s.Original, err = p.original(ctx, set)
	return s, err
}

// original weighs whether the node that the set was taken of may still run.
func (p *Programs) original(ctx context.Context, set holdfast.Set) (holdfast.Original, error) {
	id, err := p.Node.Engine.ID(ctx)
	if err != nil {
		return holdfast.Original{}, err
	}
	d := set.Deployment
	if d != nil && d.Engine != "" && d.Engine == id && d.Project == p.Node.Project {
		return holdfast.Original{Verdict: holdfast.Holds, Evidence: []string{
			fmt.Sprintf("the set was taken on this Docker daemon, of project %s, whose participant and validator app this restore stops", d.Project)}}, nil
	}
	o := holdfast.Original{Verdict: holdfast.CannotTell}
	if d == nil {
		o.Evidence = append(o.Evidence, "the set does not say which machine it was taken on")
	} else {
		o.Evidence = append(o.Evidence, fmt.Sprintf("the set was taken on another machine, %s", set.Host))
	}
	for _, c := range set.Captures {
		if f := c.Facts.Participant; f != nil {
			for _, r := range f.RecordTimes {
				o.Evidence = append(o.Evidence, "the last it had seen of the synchronizer was at "+r.At.UTC().Format(time.RFC3339))
			}
		}
	}
	if here, _ := os.Hostname(); d != nil && set.Host != here {
		if at, ok := answers(ctx, set.Host); ok {
			o.Verdict = holdfast.Violated
			o.Evidence = append(o.Evidence, at+" answers")
		}
	}
	return o, nil
}

// answers says whether the old machine still serves the bundle's web port.
func answers(ctx context.Context, host string) (string, bool) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	at := net.JoinHostPort(host, "80")
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
	if err != nil {
		return at, false
	}
	_ = conn.Close()
	return at, true
}

// Halt stops the validator app, then the participant, makes what is missing,
// and has Postgres answer.
func (p *Programs) Halt(ctx context.Context, s holdfast.Standstill, tell func(string)) error {
	if p.journal == nil {
		j, err := begin(p.Path, Journal{Set: p.Set, Project: p.Node.Project, Began: p.Now(), Original: s.Original})
		if err != nil {
			return err
		}
		p.journal = j
	}
	now, err := p.current(ctx)
	if err != nil {
		return err
	}
	other := differences(now, p.Node.Bundle)
	for _, role := range []string{"validator", "participant", "postgres"} {
		c := now.role(role)
		if c == nil || role == "postgres" && other[role] == "" {
			continue
		}
		if err := p.halt(ctx, *c, role, tell); err != nil {
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
	if err := p.create(ctx, tell); err != nil {
		return err
	}
	return p.serve(ctx, tell)
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
	return p.await(ctx, c, "to take connections", p.Ready)
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
			err = fmt.Errorf("it ended with exit code %d: %s", now.ExitCode, p.Node.Engine.complaints(ctx, c))
			deadline = time.Time{}
		case now.Restarts >= c.Restarts+tries:
			err = fmt.Errorf("it was started again and again: %s", p.Node.Engine.complaints(ctx, c))
			deadline = time.Time{}
		case now.State != "running":
			err = fmt.Errorf("it is %s: %s", now.State, p.Node.Engine.complaints(ctx, c))
		case now.Health == "unhealthy":
			err = errors.New("Docker says that it is unhealthy: " + p.Node.Engine.complaints(ctx, c)) //nolint:staticcheck // Docker is a name
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
		Why: "The validator app would give an empty participant a new identity; it is not started."}
}

func (p *Programs) wake(ctx context.Context, now Bundle, role, what string, ready func(context.Context) error, tell func(string)) error {
	c := now.role(role)
	if c == nil {
		return &holdfast.Problem{Class: holdfast.Failed, What: "there is no container of " + titles[role]}
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
		return fmt.Errorf("it is %s: %s", c.State, p.Node.Engine.complaints(ctx, c))
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
			if role == "validator" && b.Up && !p.known(ctx, tell) {
				continue
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
				_ = p.await(ctx, c, "to take connections", p.Ready)
			}
		}
	}
	return nil
}

// known says whether the participant has an identity that a validator app may
// be started beside.
func (p *Programs) known(ctx context.Context, tell func(string)) bool {
	found, err := p.Identity(ctx)
	if err == nil && found != "" {
		return true
	}
	tell("the validator app stays down: the participant's database has no identity, and it would make a new one; its restart policy is set to no")
	return false
}
