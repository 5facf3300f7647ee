package kube

import (
	"context"
	"fmt"
	"slices"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/step"
)

// Programs are a node's participant and validator app, which a restore scales to
// zero and back. Its Postgres is left alone.
type Programs struct {
	Node Node
	// Identity reads which participant the participant's database is of; "" for one
	// that has not been made yet.
	Identity func(context.Context) (string, error)
	// Patience is how long a program may take to end, and to serve; 10 minutes if 0.
	Patience time.Duration
	// Lost says how a node is made again of which the namespace has nothing.
	Lost Lost

	rebuild Rebuild // of the last survey
	first   []step.Part
}

// The roles of the two workloads, in the order in which they are stopped.
var roles = []string{"validator", "participant"}

// unit is one of the workloads, as it is now.
type unit struct {
	Workload
	replicas int  // that are wanted
	up       bool // it has pods, or is to have some
}

// units are the two workloads, by role.
func (p *Programs) units(ctx context.Context) (map[string]unit, error) {
	_, v, err := p.Node.Find(ctx)
	if err != nil {
		return nil, err
	}
	if v.Participant.Name == "" {
		return nil, p.unseen(v)
	}
	out := map[string]unit{}
	for role, w := range map[string]Workload{"validator": v.App, "participant": v.Participant} {
		if scalable[w.Kind] == "" {
			return nil, p.unscalable(w)
		}
		s, there, err := p.Node.scale(ctx, w.reference())
		if err != nil {
			return nil, err
		}
		pods, err := p.Node.pods(ctx, s.Status.Selector)
		if err != nil {
			return nil, err
		}
		out[role] = unit{Workload: w, replicas: s.Spec.Replicas, up: there && (s.Spec.Replicas > 0 || len(pods) > 0)}
	}
	return out, nil
}

func (p *Programs) unseen(v Validator) error {
	what := "the participant of " + v.App.String() + " is not known"
	for _, q := range v.Questions {
		if q.Of == holdfast.Participant {
			what = q.What
		}
	}
	return &holdfast.Problem{
		Class: holdfast.Refused, What: what,
		Why: "A restore stops the participant and the validator app, and starts them in their order.",
		Do: "Correct what the question names. Or scale both to 0 by hand and leave `namespace` of `kube:` out of " +
			"holdfast.yaml: the restore then stops and starts nothing.",
	}
}

func (p *Programs) unscalable(w Workload) error {
	return &holdfast.Problem{
		Class: holdfast.Refused, What: w.String() + " is no Deployment and no StatefulSet",
		Why: "A restore scales the participant and the validator app to 0, and back.",
		Do: "Have what makes it stop it. Then leave `namespace` of `kube:` out of holdfast.yaml for this restore, " +
			"which stops and starts nothing then.",
	}
}

// Survey says what a restore of the set would do with the node's programs. Whether
// they may be scaled is tried.
func (p *Programs) Survey(ctx context.Context, set holdfast.Set, _ time.Time, log step.Log) (out step.Survey, err error) {
	units, err := p.units(ctx)
	if gone(err) && p.Lost.Record != nil {
		return p.surveyLost(ctx, set)
	}
	if err != nil {
		return out, err
	}
	participant := participantOf(set)
	for _, role := range roles {
		u := units[role]
		if _, err := p.Node.setScale(ctx, u.reference(), u.replicas, true); err != nil {
			return out, err
		}
		replicas, stopped := log.Replicas(u.reference())
		if !stopped {
			replicas = u.replicas
		}
		if u.up {
			out.Before = append(out.Before, u.stop(role, ""))
		}
		start := u.start(role, max(replicas, 1))
		start.Expect = participant
		out.After = append([]step.Step{start}, out.After...)
		out.Aside = append(out.Aside, p.mayScaleBack(u.Workload)...)
	}
	out.Original = original(set, units)
	return out, nil
}

func (u unit) stop(role, why string) step.Step {
	return step.Step{
		Act: step.Stop, Kind: step.Workload, Name: u.reference(), Of: role, Replicas: u.replicas, Why: why,
	}
}

func (u unit) start(role string, replicas int) step.Step {
	return step.Step{
		Act: step.Start, Kind: step.Workload, Name: u.reference(), Of: role, Replicas: replicas, Wait: true,
	}
}

// mayScaleBack says who may start a workload meanwhile, and how that is paused.
func (p *Programs) mayScaleBack(w Workload) []string {
	o, pause := w.Owner(), ""
	switch {
	case o.By == Nobody, o.By == Helm:
		return nil
	case o.pause() != "":
		pause = ". To pause it: " + o.pause()
	}
	return []string{fmt.Sprintf("%s belongs to %s, which may scale it back at any time. Unless instances change names, "+
		"that does no harm: its database is closed until its turn has come%s", w, o, pause)}
}

// participantOf is the participant that a set is of.
func participantOf(set holdfast.Set) string {
	for _, c := range set.Parts() {
		if c.Facts.Participant != nil {
			return c.Facts.Participant.ParticipantID
		}
	}
	return ""
}

// original weighs whether the node that the set was taken of may still run: it is
// the one that is stopped if its workloads are the very objects.
func original(set holdfast.Set, now map[string]unit) step.Original {
	was, err := Describe(set.Deployment)
	if err != nil || set.Deployment == nil || set.Deployment.Kind != Kind {
		return step.Original{
			Verdict: holdfast.CannotTell, Evidence: []string{"the set does not say which cluster it was taken in"},
		}
	}
	for _, role := range roles {
		u := now[role]
		same := slices.ContainsFunc(was.Workloads, func(i Installed) bool { return i.UID != "" && i.UID == u.uid })
		if same {
			continue
		}
		o := step.Original{Verdict: holdfast.CannotTell, Evidence: []string{fmt.Sprintf(
			"the set was taken in %s, and does not have %s as it is here: it was made again since, or is another one",
			set.Deployment.Machine, u.Workload)}}
		o.Evidence = append(o.Evidence, lastSeen(set)...)
		return o
	}
	return step.Original{Verdict: holdfast.Holds, Evidence: []string{fmt.Sprintf(
		"the set was taken of this very %s and %s, which this restore stops",
		now["participant"].Workload, now["validator"].Workload)}}
}

// Surround completes a way back. Programs that are in its way are stopped, and
// started again after it, each once its database is open. Steps that change
// nothing are left out.
func (p *Programs) Surround(ctx context.Context, list []step.Step, _ time.Time) ([]step.Step, error) {
	units, err := p.units(ctx)
	if err != nil && !gone(err) { // of what is not there, nothing is in the way
		return nil, err
	}
	b := back{units: units, starts: map[string]bool{}, waiting: map[string]int{}}
	for _, s := range list {
		if s.Kind == step.Workload && s.Act == step.Start {
			b.starts[s.Of] = true
		}
	}
	for _, s := range list {
		b.add(s)
	}
	for _, role := range slices.Backward(roles) {
		b.resume(role)
	}
	return b.out, nil
}

// back is a way back that is being completed, with the workloads as they would be
// at each of its steps.
type back struct {
	units   map[string]unit
	starts  map[string]bool // roles that the way back starts by itself
	waiting map[string]int  // replicas of the roles that were in its way
	out     []step.Step
}

func (b *back) add(s step.Step) {
	u, known := b.units[s.Of]
	switch {
	case s.Kind == step.Server && s.Act != step.Open, s.Kind.Rented() && s.Act == step.Rename:
		b.clear()
	case s.Kind == step.Workload && known:
		if s.Act == step.Start && s.Replicas == 0 || u.up == (s.Act == step.Start) {
			return
		}
		u.up = s.Act == step.Start
		b.units[s.Of] = u
	}
	b.out = append(b.out, s)
	if s.Kind == step.Server && s.Act == step.Open {
		b.resume(s.Of)
	}
}

// clear stops what is in the way of databases.
func (b *back) clear() {
	for _, role := range roles {
		u := b.units[role]
		if !u.up {
			continue
		}
		b.out = append(b.out, u.stop(role, "it is in the way"))
		if u.up = false; !b.starts[role] {
			b.waiting[role] = u.replicas
		}
		b.units[role] = u
	}
}

// resume starts a role again that was in the way.
func (b *back) resume(role string) {
	if replicas := b.waiting[role]; replicas > 0 {
		delete(b.waiting, role)
		b.out = append(b.out, b.units[role].start(role, replicas))
	}
}

// StartedMeanwhile is the event of a workload that somebody scaled up while the
// restore had it down.
type StartedMeanwhile struct{ Workload string }

func (s StartedMeanwhile) String() string {
	return s.Workload + " was scaled up in the middle of the restore: it is scaled to 0 again"
}

// Quiet makes sure that the pods of what a restore has stopped are gone. What was
// scaled up meanwhile is scaled down again. It may come back at once: then it
// cannot connect, because its database is closed.
func (p *Programs) Quiet(ctx context.Context, log step.Log, events event.Listener) error {
	for _, name := range halted(log) {
		s, _, err := p.Node.scale(ctx, name)
		if err != nil {
			return err
		}
		pods, err := p.Node.pods(ctx, s.Status.Selector)
		if err != nil {
			return err
		}
		if s.Spec.Replicas == 0 && len(pods) == 0 {
			continue
		}
		events.Report(StartedMeanwhile{name})
		if err := p.halt(ctx, name, events); err != nil {
			return err
		}
	}
	return nil
}

// halted are the workloads that a run has stopped and not started since.
func halted(log step.Log) (out []string) {
	for _, e := range log.All() {
		s := e.Step
		switch {
		case s.Kind != step.Workload:
		case s.Act == step.Stop && !slices.Contains(out, s.Name):
			out = append(out, s.Name)
		case s.Act == step.Start:
			out = slices.DeleteFunc(out, func(name string) bool { return name == s.Name })
		}
	}
	return out
}

// Do does one step. Done again, it changes nothing more.
func (p *Programs) Do(ctx context.Context, s step.Step, events event.Listener) error {
	switch {
	case s.Kind == step.Workload && s.Act == step.Stop:
		return p.halt(ctx, s.Name, events)
	case s.Kind == step.Workload && s.Act == step.Start:
		return p.wake(ctx, s, events)
	case s.Kind == step.Directory && s.Act == step.Write:
		return p.rebuild.write(s.Name)
	case s.Kind == step.Directory && s.Act == step.Remove:
		return unwrite(s.Name, events)
	case s.Kind == step.Namespace && s.Act == step.Install:
		return p.installed(ctx, events)
	}
	return &holdfast.Problem{
		Class: holdfast.Refused, What: "cannot " + s.String(),
		Why: "The journal is of a node of another kind.", Do: "Run the command with the configuration of that node.",
	}
}

// Leftovers is empty: a restore leaves nothing but databases.
func (p *Programs) Leftovers(context.Context) ([]step.Leftover, error) { return nil, nil }

// Remove has nothing to remove.
func (p *Programs) Remove(_ context.Context, l step.Leftover) error {
	return fmt.Errorf("%s is not in a cluster", l.Name)
}
