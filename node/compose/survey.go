package compose

import (
	"context"
	"fmt"
	"holdfast/step"
	"net"
	"os"
	"slices"
	"time"

	"holdfast"
)

// Survey says what a restore would do with the node's programs.
func (p *Programs) Survey(ctx context.Context, set holdfast.Set) (step.Standstill, error) {
	now, err := p.current(ctx)
	if err != nil {
		return step.Standstill{}, err
	}
	earlier, err := readJournal(p.Path)
	if err != nil {
		return step.Standstill{}, err
	}
	s := step.Standstill{Programs: []step.Program{}}
	if s.Parts, err = p.parts(ctx, now); err != nil {
		return s, err
	}
	other := differences(now, p.Node.Bundle)
	p.began = p.Now()
	aside, err := p.planAside(ctx, now, other, earlier)
	if err != nil {
		return s, err
	}
	for _, r := range slices.Backward(now.Roles()) {
		program := step.Program{Role: r.Role, Name: r.Container.Name, State: r.Container.State, Acts: []step.Act{}, Why: other[r.Role]}
		writes := r.Role == "participant" || r.Role == "validator"
		empty := r.Role == "postgres" && aside != nil
		if r.Container.Up() && (writes || empty || program.Why != "") {
			program.Acts = append(program.Acts, step.Stop)
		}
		if program.Why != "" {
			program.Acts = append(program.Acts, step.Replace)
		}
		if writes || empty || !r.Container.Up() || program.Why != "" {
			program.Acts = append(program.Acts, step.Start)
		}
		s.Programs = append(s.Programs, program)
	}
	for _, c := range p.missing(now) {
		s.Programs = append(s.Programs, step.Program{Role: p.Node.roleOf(c.ID), Name: c.Name, State: "missing", Acts: []step.Act{step.Create, step.Start}})
	}
	if aside != nil {
		s.Parts = append(s.Parts, *aside)
		s.Server = "Postgres starts on an empty volume"
	} else if now.Postgres == nil && p.Node.Postgres != nil {
		s.Server = "Postgres is not there yet"
	} else if err := p.Ready(ctx); err != nil {
		s.Server = err.Error()
	}
	if earlier != nil {
		s.BrokenOff = fmt.Sprintf("a restore of set %s, begun %s, did not come to its end: this one takes over from it; `holdfast restore --undo --yes` goes back to what was before it", earlier.Set, earlier.Began.UTC().Format(time.RFC3339))
	}
	s.Original, err = p.original(ctx, set)
	return s, err
}

// original weighs whether the node that the set was taken of may still run.
func (p *Programs) original(ctx context.Context, set holdfast.Set) (step.Original, error) {
	here, err := p.Node.Engine.Names(ctx)
	if err != nil {
		return step.Original{}, err
	}
	d := set.Deployment
	if d != nil && d.Engine != "" && d.Engine == here.ID && (d.Machine == "" || d.Machine == here.Machine) {
		if d.Project == p.Node.Project {
			return step.Original{Verdict: holdfast.Holds, Evidence: []string{
				fmt.Sprintf("the set was taken on this Docker daemon, of project %s, whose participant and validator app this restore stops", d.Project)}}, nil
		}
		return p.sibling(ctx, d.Project)
	}
	o := step.Original{Verdict: holdfast.CannotTell}
	if d == nil {
		o.Evidence = append(o.Evidence, "the set does not say which machine it was taken on")
	} else {
		o.Evidence = append(o.Evidence, fmt.Sprintf("the set was taken on another machine, or by another Docker daemon: that of %s", set.Host))
	}
	for _, c := range set.Captures {
		if f := c.Facts.Participant; f != nil {
			for _, r := range f.RecordTimes {
				o.Evidence = append(o.Evidence, "the last it had seen of the synchronizer was at "+r.At.UTC().Format(time.RFC3339))
			}
		}
	}
	if name, _ := os.Hostname(); d != nil && set.Host != name {
		if at, ok := answers(ctx, set.Host); ok {
			o.Verdict = holdfast.Violated
			o.Evidence = append(o.Evidence, at+" answers")
		}
	}
	return o, nil
}

// sibling weighs whether the original runs on this very daemon, under its own
// project's name.
func (p *Programs) sibling(ctx context.Context, project string) (step.Original, error) {
	list, err := p.Node.Engine.project(ctx, project)
	o := step.Original{Verdict: holdfast.Holds}
	b := Bundle{Project: project, All: list}
	b.cast()
	for _, role := range []string{"participant", "validator"} {
		c := b.role(role)
		if c == nil {
			continue
		}
		if c.Up() {
			o.Verdict = holdfast.Violated
		} else if o.Verdict == holdfast.Holds {
			o.Verdict = holdfast.CannotTell // it may be started at any time
		}
		o.Evidence = append(o.Evidence, fmt.Sprintf("container %s of the set's project %s is there and %s", c.Name, project, c.State))
	}
	if o.Verdict == holdfast.Holds {
		o.Evidence = []string{fmt.Sprintf("the set was taken on this Docker daemon, of project %s, which has no participant and no validator app any more", project)}
	}
	return o, err
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
