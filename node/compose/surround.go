package compose

import (
	"context"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/step"
)

// back is a way back that is being completed, with the containers as they would
// be at each of its steps.
type back struct {
	*Programs
	now     Bundle
	up      map[string]bool   // by name
	policy  map[string]string // by name
	there   map[string]bool
	roles   map[string]Container
	planned map[string]bool // what the way back starts or stops by itself
	stopped []string        // roles that were in its way
	clients []Container     // hold a database, and have no role in the node
	follows []Container     // lived in what was in its way
	out     []step.Step
}

// Surround completes a way back. Programs that are in its way are stopped, and
// started again after it; Postgres is started where databases are renamed.
// Steps that change nothing are left out, and so a program that has nothing to
// undo is not touched.
func (p *Programs) Surround(ctx context.Context, list []step.Step, at time.Time) ([]step.Step, error) {
	all, err := p.Node.Engine.everything(ctx, p.Node.Project)
	if err != nil {
		return nil, err
	}
	p.at = at
	b := p.among(all)
	if slices.ContainsFunc(list, func(s step.Step) bool { return s.Kind == step.Server }) {
		if b.clients, err = p.clients(ctx, b.now, b.databases(list)); err != nil {
			return nil, err
		}
	}
	return b.complete(ctx, list)
}

// among is a way back among the containers of the project, as they are.
func (p *Programs) among(all []Container) *back {
	b := &back{
		Programs: p, up: map[string]bool{}, policy: map[string]string{}, there: map[string]bool{},
		roles: map[string]Container{}, planned: map[string]bool{},
	}
	for _, c := range all {
		b.up[c.Name], b.policy[c.Name], b.there[c.Name] = c.Up(), c.Restart.String(), true
	}
	now := p.Node.again(slices.DeleteFunc(slices.Clone(all), func(c Container) bool { return c.oneOff || isReplaced(c.Name) }))
	b.now = now
	for _, r := range now.Roles() {
		b.roles[r.Role] = *r.Container
	}
	return b
}

// databases are those that the way back renames.
func (b *back) databases(list []step.Step) (out []string) {
	for _, s := range list {
		for _, m := range s.Moves {
			out = append(out, m.From)
		}
	}
	return out
}

func (b *back) complete(ctx context.Context, list []step.Step) ([]step.Step, error) {
	for _, s := range list {
		if s.Kind == step.Container && (s.Act == step.Start || s.Act == step.Stop) {
			b.planned[s.Name] = true
		}
	}
	for _, s := range list {
		if err := b.add(ctx, s); err != nil {
			return nil, err
		}
	}
	b.resume()
	return b.out, nil
}

// add adds one step, with what has to be so before it.
func (b *back) add(ctx context.Context, s step.Step) error {
	switch s.Kind {
	case step.Server:
		b.stopClients()
		b.stop("validator", "participant")
		b.serve()
	case step.Database:
		b.serve()
	case step.Volume:
		if s.Act != step.PutBack {
			break
		}
		named, due, err := b.returning(ctx, s)
		if err != nil || !due {
			return err
		}
		b.lookBeside(ctx)
		b.stop("validator", "participant", "postgres")
		s = named
	case step.Container:
		if !b.changes(s) {
			return nil
		}
	}
	b.out = append(b.out, s)
	b.note(s)
	return nil
}

// changes reports whether a step on a container does anything.
func (b *back) changes(s step.Step) bool {
	switch s.Act {
	case step.Stop:
		return b.up[s.Name]
	case step.Start:
		return !b.up[s.Name]
	case step.DisableRestart:
		return b.there[s.Name] && b.policy[s.Name] != "no" && b.policy[s.Name] != ""
	case step.EnableRestart:
		return b.policy[s.Name] != s.Policy
	case step.Remove:
		return b.there[s.Name]
	case step.PutBack:
		return b.there[s.From]
	}
	return true
}

// note remembers what a step makes of the containers.
func (b *back) note(s step.Step) {
	switch {
	case s.Kind != step.Container:
	case s.Act == step.Start, s.Act == step.Stop:
		b.up[s.Name] = s.Act == step.Start
	case s.Act == step.DisableRestart:
		b.policy[s.Name] = "no"
	case s.Act == step.EnableRestart:
		b.policy[s.Name] = s.Policy
	case s.Act == step.Remove:
		b.there[s.Name], b.up[s.Name] = false, false
	case s.Act == step.PutBack:
		b.there[s.Name], b.up[s.Name], b.policy[s.Name] = true, b.up[s.From], b.policy[s.From]
	}
}

// stop has roles stay down that are up, or that a daemon might start.
func (b *back) stop(roles ...string) {
	for _, role := range roles {
		c, ok := b.roles[role]
		if !ok || !b.there[c.Name] || !b.up[c.Name] {
			continue
		}
		b.stopFollowers(c)
		if policy := b.policy[c.Name]; policy != "no" && policy != "" {
			b.out = append(b.out, policyStep(step.DisableRestart, c.Name, role, policy))
		}
		s := step.Step{Act: step.Stop, Kind: step.Container, Name: c.Name, Of: role, Why: "it is in the way"}
		b.out = append(b.out, s)
		b.note(s)
		b.stopped = append(b.stopped, role)
	}
}

// stopFollowers stops the containers that live in one that is stopped.
func (b *back) stopFollowers(leader Container) {
	for _, f := range slices.Backward(followersOf(b.now.All, leader)) {
		if !b.up[f.Name] || b.now.roleOf(f.ID) != "" {
			continue
		}
		for _, s := range stopped(f.Container, "") {
			s.Why = "it lives in container " + f.leader
			b.out = append(b.out, s)
			b.note(s)
		}
		b.follows = append(b.follows, f.Container)
	}
}

// stopClients stops the containers that hold a database.
func (b *back) stopClients() {
	for _, c := range b.clients {
		if slices.Contains(b.stopped, c.Name) {
			continue
		}
		b.out = append(b.out, stopped(c, "")...)
		b.stopped = append(b.stopped, c.Name)
	}
}

// serve has Postgres run, if it is the bundle's own.
func (b *back) serve() {
	c, ok := b.roles["postgres"]
	if !ok || b.up[c.Name] || !b.there[c.Name] {
		return
	}
	s := step.Step{
		Act: step.Start, Kind: step.Container, Name: c.Name, Of: "postgres", Wait: true,
		Why: "its databases are renamed or dropped",
	}
	b.out = append(b.out, s)
	b.note(s)
}

// resume starts again what was in the way, and gives restart policies back.
func (b *back) resume() {
	volume := slices.ContainsFunc(b.out, func(s step.Step) bool { return s.Kind == step.Volume })
	for _, role := range []string{"postgres", "participant", "validator"} {
		c := b.roles[role]
		if !slices.Contains(b.stopped, role) {
			continue
		}
		if !b.up[c.Name] && !b.planned[c.Name] {
			b.out = append(b.out, step.Step{
				Act: step.Start, Kind: step.Container, Name: c.Name, Of: role,
				Wait: true, Try: role == "postgres" && volume,
			})
		}
		if !slices.ContainsFunc(b.out, func(s step.Step) bool { return s.Act == step.EnableRestart && s.Name == c.Name }) {
			if policy := c.Restart.String(); policy != "" && policy != "no" {
				b.out = append(b.out, policyStep(step.EnableRestart, c.Name, role, policy))
			}
		}
	}
	for _, c := range slices.Backward(b.follows) {
		b.restart(c)
	}
	for _, c := range b.clients {
		if slices.Contains(b.stopped, c.Name) {
			b.restart(c)
		}
	}
}

// restart starts a container without a role again, unless the way back does, and
// gives it its restart policy back.
func (b *back) restart(c Container) {
	if b.planned[c.Name] {
		return
	}
	b.out = append(b.out, step.Step{Act: step.Start, Kind: step.Container, Name: c.Name})
	if policy := c.Restart.String(); policy != "" && policy != "no" {
		b.out = append(b.out, policyStep(step.EnableRestart, c.Name, "", policy))
	}
}

// returning completes a step that puts a volume back by what becomes of what a
// restore has filled it with: the node may have run on that, so it stays. It is
// not due where nothing had been exchanged.
func (b *back) returning(ctx context.Context, s step.Step) (_ step.Step, due bool, err error) {
	x, err := b.exchange()
	if err != nil {
		return s, false, err
	}
	set := b.Set
	switch {
	case x != nil && x.Kept.String() == s.From:
		if x.Stage == leaving {
			return s, true, nil // nothing was started on it
		}
		if x.Spare.String() != "" {
			s.As = x.Spare.String()
			return s, true, nil
		}
	case s.If:
		return s, false, nil
	default:
		list, err := b.Leftovers(ctx)
		if err != nil {
			return s, false, err
		}
		for _, l := range list {
			if l.Name == s.From {
				set = l.Set
			}
		}
	}
	d := dataDirectory{Volume: s.Name}
	if strings.HasPrefix(s.Name, "/") {
		d = dataDirectory{Path: s.Name}
	}
	s.As = keptName(d, step.Undone, b.origin(set))
	return s, true, nil
}

// origin says of which restore a volume is that makes room, and what it has
// that no set has.
type origin struct {
	Project string
	Set     holdfast.SetID
	At      time.Time
	Beside  []string
}

func (p *Programs) origin(set holdfast.SetID) origin {
	return origin{p.Node.Project, set, p.at, p.beside}
}
