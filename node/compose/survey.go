package compose

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"holdfast"
	"holdfast/step"
)

// survey gathers the steps of one restore.
type survey struct {
	*Programs
	now         Bundle            // as it is
	other       map[string]string // the roles whose containers were started differently, and how
	clients     []Container       // hold a database, and have no role in the node
	followers   []follower        // live in containers that are stopped
	keep        *step.Step        // the volume of Postgres makes room
	log         step.Log          // of interrupted runs
	participant string            // that the set is of
	out         step.Survey
}

// Survey says what a restore of the set, begun at that time, would do with the
// node's programs.
func (p *Programs) Survey(ctx context.Context, set holdfast.Set, at time.Time, log step.Log) (step.Survey, error) {
	now, err := p.current(ctx)
	if err != nil {
		return step.Survey{}, err
	}
	p.at = at
	s := survey{Programs: p, now: now, other: differences(now, p.Node.Bundle), log: log, participant: participantOf(set)}
	if s.clients, err = s.holding(ctx, set); err != nil {
		return step.Survey{}, err
	}
	if err := s.before(ctx); err != nil {
		return step.Survey{}, err
	}
	if err := s.after(); err != nil {
		return step.Survey{}, err
	}
	if s.keep != nil {
		s.out.Aside = s.aside(ctx)
	}
	s.out.Original, err = p.original(ctx, set)
	return s.out, err
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

// holding are the containers without a role that hold a database which the
// restore replaces, and those that an interrupted run has stopped for it.
func (s *survey) holding(ctx context.Context, set holdfast.Set) ([]Container, error) {
	var databases []string
	for _, c := range set.Parts() {
		databases = append(databases, c.Database.Name)
	}
	out, err := s.Programs.clients(ctx, s.now, databases)
	if err != nil {
		return nil, err
	}
	before, err := s.stoppedBefore(ctx)
	for _, c := range before {
		if !slices.ContainsFunc(out, func(o Container) bool { return o.Name == c.Name }) {
			out = append(out, c)
		}
	}
	return out, err
}

func (s *survey) add(steps ...step.Step) { s.out.Before = append(s.out.Before, steps...) }

// before are the steps until the databases' server answers: what may fail for
// want of something outside comes first, while the node still runs.
func (s *survey) before(ctx context.Context) error {
	needs, err := s.parts(ctx, s.now)
	if err != nil {
		return err
	}
	s.add(needs.images...)
	s.add(needs.files...)
	return s.programs(ctx, needs.stands)
}

// programs are the steps from the first container that is stopped: those that
// are made, on what they stand on, and Postgres.
func (s *survey) programs(ctx context.Context, stands []step.Step) error {
	if err := s.room(ctx); err != nil {
		return err
	}
	s.followers = s.follow()
	s.stopFollowers()
	for _, c := range s.clients {
		for _, o := range stopped(c, "") {
			o.Why = "it holds a database that is replaced"
			s.add(o)
		}
	}
	for _, role := range []string{"validator", "participant"} {
		s.stop(role)
	}
	if s.keep != nil || s.other["postgres"] != "" {
		s.stop("postgres")
	}
	s.add(stands...)
	if s.keep != nil {
		s.add(*s.keep)
	}
	for _, role := range []string{"validator", "participant", "postgres"} {
		if why := s.other[role]; why != "" && s.Node.role(role) != nil {
			name := s.now.role(role).Name
			s.add(step.Step{Act: step.Replace, Kind: step.Container, Name: name, As: s.freeName(name), Of: role, Why: why})
		}
	}
	for _, c := range byNeed(s.missing(s.now), s.Specs) {
		s.add(step.Step{Act: step.Create, Kind: step.Container, Name: c.Name, Of: s.Node.roleOf(c.ID)})
	}
	if err := s.replaceFollowers(); err != nil {
		return err
	}
	return s.serve(ctx)
}

// freeName is what a replaced container is called meanwhile; one that an
// interrupted run has replaced has that name already.
func (s *survey) freeName(name string) string {
	free := name + replacedMark + string(s.Set)
	for n := 2; slices.Contains(s.replacedBefore(), free); n++ {
		free = fmt.Sprintf("%s%s%s-%d", name, replacedMark, s.Set, n)
	}
	return free
}

// room plans for a volume that Postgres cannot start on. An interrupted way
// back is finished first.
func (s *survey) room(ctx context.Context) (err error) {
	x, err := s.exchange()
	if err != nil {
		return err
	}
	if x != nil && (x.Stage == clearing || x.Stage == returning) {
		s.stop("validator")
		s.stop("participant")
		s.stop("postgres")
		s.add(step.Step{Act: step.PutBack, Kind: step.Volume, Name: x.Data.String(), From: x.Kept.String(), If: true})
	}
	s.keep, err = s.planKeep(ctx, s.now, s.other)
	return err
}

// stop has a container stay down, even if the daemon restarts.
func (s *survey) stop(role string) {
	c := s.now.role(role)
	planned := func(o step.Step) bool { return o.Act == step.Stop && o.Name == c.Name }
	if c == nil || slices.ContainsFunc(s.out.Before, planned) {
		return
	}
	s.add(stopped(*c, role)...)
}

// stopped are the steps that have a container stay down.
func stopped(c Container, role string) []step.Step {
	var out []step.Step
	if c.Restart.Name != "" && c.Restart.Name != "no" {
		out = append(out, policyStep(step.DisableRestart, c.Name, role, c.Restart.String()))
	}
	if c.Up() {
		out = append(out, step.Step{Act: step.Stop, Kind: step.Container, Name: c.Name, Of: role})
	}
	return out
}

// policyStep is a step on the restart policy of a container.
func policyStep(act step.Act, name, role, policy string) step.Step {
	return step.Step{Act: act, Kind: step.Container, Name: name, Of: role, Policy: policy}
}

// serve plans that Postgres answers, if it is the bundle's own. One that is not
// has to answer now.
func (s *survey) serve(ctx context.Context) error {
	if s.Node.Postgres == nil {
		return s.Ready(ctx)
	}
	name, c := s.nameOf("postgres"), s.now.Postgres
	switch {
	case s.keep != nil:
		s.out.Server = "Postgres starts on an empty volume"
	case c == nil:
		s.out.Server = "Postgres does not exist yet"
	default:
		if err := s.Ready(ctx); err != nil {
			s.out.Server = err.Error()
		}
	}
	if s.out.Server != "" || s.other["postgres"] != "" {
		s.startLeaders(&s.out.Before, name)
		s.add(step.Step{Act: step.Start, Kind: step.Container, Name: name, Of: "postgres", Wait: true})
	}
	return nil
}

// nameOf is the name of the container that has a role, or will have it.
func (s *survey) nameOf(role string) string {
	for _, b := range []Bundle{s.now, s.Node.Bundle} {
		if c := b.role(role); c != nil {
			return c.Name
		}
	}
	return ""
}

// made reports whether a restore makes the container of that name: this one, or
// an interrupted one.
func (s *survey) made(name string) bool {
	return s.planned(name) || slices.ContainsFunc(s.log.All(), func(e step.Entry) bool { return makes(e.Step, name) })
}

// planned reports whether this restore makes the container.
func (s *survey) planned(name string) bool {
	return slices.ContainsFunc(s.out.Before, func(o step.Step) bool { return makes(o, name) })
}

func makes(o step.Step, name string) bool {
	return o.Kind == step.Container && o.Name == name && (o.Act == step.Create || o.Act == step.Replace)
}

// after are the steps once the databases are in place.
func (s *survey) after() error {
	add := func(steps ...step.Step) { s.out.After = append(s.out.After, steps...) }
	for _, c := range s.Node.All {
		if c.oneShot() && s.made(c.Name) {
			add(step.Step{Act: step.Run, Kind: step.Container, Name: c.Name})
		}
	}
	for _, role := range []string{"participant", "validator"} {
		name := s.nameOf(role)
		if name == "" {
			return &holdfast.Problem{
				Class: holdfast.Refused, What: "there is no container of " + titles[role],
				Why: "The node cannot serve without it, and the set does not say how it was made.",
				Do:  "Start the bundle with start.sh and the flags of the old node, then restore again.",
			}
		}
		s.startLeaders(&s.out.After, name)
		add(step.Step{Act: step.Start, Kind: step.Container, Name: name, Of: role, Expect: s.participant, Wait: true})
	}
	for _, c := range byNeed(s.Node.All, s.Specs) {
		role := s.Node.roleOf(c.ID)
		if s.made(c.Name) && !c.oneShot() && !slices.Contains([]string{"postgres", "participant", "validator"}, role) {
			s.begin(&s.out.After, step.Step{Act: step.Start, Kind: step.Container, Name: c.Name, Of: role})
		}
	}
	s.startFollowers()
	for _, c := range s.clients {
		add(step.Step{Act: step.Start, Kind: step.Container, Name: c.Name})
	}
	add(s.policies()...)
	for _, r := range s.replaced() {
		add(step.Step{Act: step.Remove, Kind: step.Container, Name: r, Why: "it was replaced, and holds no data"})
	}
	return nil
}

// policies give every container that was held the restart policy back that it
// had before the first run, and those that are made the one of the set.
func (s *survey) policies() []step.Step {
	var out []step.Step
	var names []string
	for _, c := range slices.Concat(s.now.All, s.missing(s.now), s.clients) {
		policy, held := s.log.Policy(c.Name)
		for _, o := range s.out.Before {
			if o.Act == step.DisableRestart && o.Name == c.Name && !held {
				policy, held = o.Policy, true
			}
		}
		if s.made(c.Name) {
			policy, held = s.recordedPolicy(c.Name)
		}
		if held && policy != "" && policy != "no" && !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
			out = append(out, policyStep(step.EnableRestart, c.Name, s.roleNamed(c.Name), policy))
		}
	}
	return out
}

func (s *survey) recordedPolicy(name string) (string, bool) {
	for _, c := range s.Node.All {
		if c.Name == name {
			return c.Restart.String(), true
		}
	}
	// One that was replaced may have had another name when it was recorded.
	if c := s.Node.role(s.roleNamed(name)); c != nil {
		return c.Restart.String(), true
	}
	return "", false
}

func (s *survey) roleNamed(name string) string {
	for _, role := range []string{"postgres", "participant", "validator", "nginx"} {
		if s.nameOf(role) == name {
			return role
		}
	}
	return ""
}

// replaced are the containers that made room for others: in this run, or in one
// that was interrupted.
func (s *survey) replaced() []string {
	var out []string
	for _, o := range s.out.Before {
		if o.Act == step.Replace {
			out = append(out, o.As)
		}
	}
	return append(out, s.replacedBefore()...)
}

// replacedBefore are those of interrupted runs.
func (s *survey) replacedBefore() []string {
	var out []string
	for _, e := range s.log.All() {
		if e.Step.Act == step.Replace && !slices.Contains(out, e.Step.As) {
			out = append(out, e.Step.As)
		}
	}
	return out
}

// original weighs whether the node that the set was taken of may still run.
func (p *Programs) original(ctx context.Context, set holdfast.Set) (step.Original, error) {
	here, err := p.Node.Engine.Names(ctx)
	if err != nil {
		return step.Original{}, err
	}
	d := set.Deployment
	was, err := Describe(d)
	if err != nil {
		return step.Original{}, err
	}
	if d != nil && was.Engine != "" && was.Engine == here.ID && (d.Machine == "" || d.Machine == here.Machine) {
		if was.Project == p.Node.Project {
			return step.Original{Verdict: holdfast.Holds, Evidence: []string{fmt.Sprintf("the set was taken on this Docker daemon,"+
				" of project %s, whose participant and validator app this restore stops", was.Project)}}, nil
		}
		return p.sibling(ctx, was.Project)
	}
	o := step.Original{Verdict: holdfast.CannotTell}
	if d == nil {
		o.Evidence = append(o.Evidence, "the set does not say which machine it was taken on")
	} else {
		o.Evidence = append(o.Evidence,
			fmt.Sprintf("the set was taken on another machine, or by another Docker daemon: that of %s", set.Host))
	}
	for _, c := range set.Parts() {
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
	b := Bundle{Project: project}.again(list)
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
		o.Evidence = append(o.Evidence,
			fmt.Sprintf("container %s of the set's project %s is there and %s", c.Name, project, c.State))
	}
	if o.Verdict == holdfast.Holds {
		o.Evidence = []string{fmt.Sprintf("the set was taken on this Docker daemon, of project %s,"+
			" which has no participant and no validator app any more", project)}
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
