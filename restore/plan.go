package restore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/loss"
	"holdfast/record"
	"holdfast/step"
	"holdfast/target"
)

// Options choose what is restored.
type Options struct {
	Components []holdfast.ComponentName // empty: all
	OnlyProve  bool                     // build and prove next to the live databases, then drop what was built
	Unproven   bool                     // take a set that is not proven
	Drills     []record.Drill           // rehearsals so far, for the estimate
	Doubts     []string                 // rows that the set may have wrong, each in a sentence
}

// Plan is what a restore will do.
type Plan struct {
	Set       holdfast.SetID    `json:"set"`
	Node      holdfast.NodeName `json:"node"`
	State     holdfast.State    `json:"state"`
	Taken     time.Time         `json:"taken"`
	Age       time.Duration     `json:"age_ns"`
	OnlyProve bool              `json:"only_prove"`
	Estimate  time.Duration     `json:"estimate_ns,omitempty"` // of Apply, at the pace of the last drill
	Steps     []step.Step       `json:"steps"`                 // all that is done, in this order
	Databases []target.Database `json:"databases"`             // as they are now
	Losses    []string          `json:"losses"`                // what the live node has and the set does not
	Unknown   []string          `json:"unknown_losses"`        // why the losses of a database are unknown
	Warnings  []string          `json:"warnings"`              // what may keep the restored node from catching up
	// Original says whether the node that the set is of is sure not to run; nil
	// where Holdfast starts nothing.
	Original *step.Original `json:"original,omitempty"`
	// Install is what the operator types, of a node that is gone, in this order.
	Install []step.Part `json:"install,omitempty"`

	options Options
	at      time.Time // when it was made: names and labels have it
	survey  step.Survey
	log     step.Log // of the runs that this one takes over from
}

// horizon is how old a restore point may be for the node to catch up: the
// sequencers' retention, which the super validators are advised to set to 30
// days (Splice: validator_disaster_recovery, sv_pruning).
const horizon = 30 * 24 * time.Hour

// Make looks at the set and at the target, and says what Apply would do. It
// changes nothing. Now is the time that ages are counted to.
func Make(ctx context.Context, t Target, set holdfast.Set, o Options, now time.Time) (Plan, error) {
	if err := usable(set, o); err != nil {
		return Plan{}, err
	}
	p := Plan{
		Set: set.ID, Node: set.Node.Name, State: set.State, Taken: set.Ended.Wall, Age: now.Sub(set.Ended.Wall),
		OnlyProve: o.OnlyProve, Losses: []string{}, Unknown: []string{}, Warnings: []string{}, options: o, at: now,
	}
	captures, err := chosen(set, o.Components)
	if err != nil {
		return Plan{}, err
	}
	for _, rows := range o.Doubts {
		p.Warnings = append(p.Warnings, "This set may have rows wrong: "+rows+
			". `holdfast restore latest` takes a set that is not in doubt, if there is one.")
	}
	var bytes int64
	for _, c := range captures {
		bytes += c.Database.Bytes
	}
	p.Estimate, _ = record.RestoreEstimate(bytes, o.Drills)
	if !o.OnlyProve {
		if err := p.look(ctx, t.withJournal(), set); err != nil {
			return Plan{}, err
		}
	}
	for _, c := range captures {
		if err := p.component(ctx, t.Databases, c, now); err != nil {
			return Plan{}, fmt.Errorf("%s: %w", c.Component, err)
		}
	}
	target.Room(p.Databases)
	if len(captures) < len(set.Parts()) {
		p.Warnings = append(p.Warnings, partial(set, captures)...)
	}
	shut, swap, after := p.stages(t.Databases)
	p.Steps = slices.Concat(p.survey.Before, shut, swap, after)
	return p, nil
}

// look adds what an unfinished run has left, and what happens to the programs.
func (p *Plan) look(ctx context.Context, t Target, set holdfast.Set) (err error) {
	if p.log, err = t.Journal.Read(); err != nil {
		return err
	}
	if p.log.Unfinished() {
		p.Warnings = append(p.Warnings, fmt.Sprintf(
			"An earlier restore of %s was interrupted. This run resumes it; to roll back: `holdfast restore undo`.", p.log.Set))
	}
	if t.Programs == nil {
		return nil
	}
	if p.survey, err = t.Programs.Survey(ctx, set, p.at, p.log); err != nil {
		return err
	}
	p.Original = &p.survey.Original
	p.Install = p.survey.Install
	p.Warnings = append(p.Warnings, p.survey.Aside...)
	return nil
}

// component adds where a capture goes, and what its database would lose.
func (p *Plan) component(ctx context.Context, t Databases, c holdfast.Part, now time.Time) error {
	d, err := p.database(ctx, t, c)
	if err != nil {
		return err
	}
	p.Databases = append(p.Databases, d)
	if why := unknown(c.Facts, d); why != "" {
		p.Unknown = append(p.Unknown, fmt.Sprintf("%s: database %s %s, so losses are unknown", c.Component, d.Database, why))
	}
	if d.Now != nil {
		for _, l := range loss.Compare(c.Facts, *d.Now) {
			p.Losses = append(p.Losses, l.What)
		}
		p.Warnings = append(p.Warnings, moved(c.Facts, *d.Now)...)
	}
	p.Warnings = append(p.Warnings, tooOld(c, now)...)
	p.Warnings = append(p.Warnings, runs(c.Component, c.Database.Needs)...)
	if !p.OnlyProve {
		p.Warnings = append(p.Warnings, stays(d)...)
	}
	if d.InPlace != nil {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s: the swap of an earlier restore was interrupted when %s had its place"+
			" and others had not. This run finishes it; to roll back: `holdfast restore undo`", c.Component, d.Database))
	}
	if d.Unknown == "" {
		p.Warnings = append(p.Warnings, roles(c.Component, d.Fit)...)
		p.Warnings = append(p.Warnings, differences(c.Component, d.Fit)...)
	}
	if !p.OnlyProve {
		p.Warnings = append(p.Warnings, slots(d)...)
	}
	return nil
}

// stages are the steps once the programs are stopped: live databases are closed,
// the others are built and take their place, and the programs start. A database
// that is opened by itself is, when its own program is about to start.
func (p *Plan) stages(t Databases) (shut, swap, after []step.Step) {
	after = slices.Clone(p.survey.After)
	first := 0 // of those that start
	for _, s := range p.databaseSteps(t) {
		switch {
		case s.Act == step.Close:
			shut = append(shut, s)
		case s.Act == step.Open && s.Of != "":
			at := slices.IndexFunc(after, func(o step.Step) bool { return o.Act == step.Start && o.Of == s.Of })
			if at < 0 {
				at, first = first, first+1
			}
			after = slices.Insert(after, at, s)
		default:
			swap = append(swap, s)
		}
	}
	return shut, swap, after
}

// databaseSteps are the steps of the databases: each is built and proven, and
// only then do all of them change names.
func (p *Plan) databaseSteps(t Databases) []step.Step {
	var out, drops []step.Step
	for _, d := range p.Databases {
		name := string(d.Component)
		made := step.Step{
			Act: step.Build, Kind: step.Database, Name: d.Database, As: d.New, Of: name, Without: d.Fit.Without,
		}
		if d.Ready {
			made.Act, made.Why = step.Reuse, "an earlier run has built and proven it, and it has not changed since"
		}
		if d.Instance != "" {
			made.Kind = step.Instance
			if d.Cluster {
				made.Kind = step.Cluster
			}
		}
		drop := step.Step{Act: step.Drop, Kind: made.Kind, Name: d.New, Of: name, Why: "it was only to be proven"}
		switch shared := slices.ContainsFunc(out, func(s step.Step) bool { return s.As == d.New }); {
		case d.Instance != "" && shared:
			made.Act, made.Why = step.Reuse, "the database of "+name+" is on it as well, and is proven there"
		case d.Instance != "" && d.Ready:
			made.Why = "an earlier run has requested it; it is proven again"
			drops = append(drops, drop)
		default:
			drops = append(drops, drop)
		}
		out = append(out, made)
	}
	if p.OnlyProve {
		return append(out, drops...)
	}
	return append(out, t.Swaps(p.Set, p.at, p.Databases)...)
}

// Blocked is the refusal of a plan that would fail: something that the set needs
// is not there. Nil where nothing is known to be in the way.
func (p *Plan) Blocked() error {
	var list []target.Difference
	for _, d := range p.Databases {
		if d.Unknown == "" {
			list = append(list, d.Fit.Differences...)
		}
	}
	return target.Refuse(list)
}

// Guard refuses a plan that is blocked, and to start anything of a restored node
// while the original may still run. A statement is the operator's word that it
// does not.
func (p *Plan) Guard(statement string) error {
	if err := p.Blocked(); err != nil {
		return err
	}
	o := p.Original
	if o == nil {
		return nil
	}
	o.Statement = statement
	if o.Verdict == holdfast.Holds || statement != "" {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  "the node that set " + string(p.Set) + " was taken of may still run: " + strings.Join(o.Evidence, "; "),
		Why:   "Two living copies of one node damage it in ways that cannot be undone, often without a symptom.",
		Do: "Make sure that it is stopped and cannot start again (power off, disk detached, deployment deleted)," +
			" then say so: --original-stopped.",
	}
}

// stays says what follows the old database to its new name, and so is missing
// from the restored one.
func stays(d target.Database) []string {
	var out []string
	for _, o := range d.Stays {
		out = append(out, fmt.Sprintf("%s: %s stays with the old database, %s; the restored one has none."+
			" To end it: %s", d.Component, o.What, d.Previous, o.Remedy()))
	}
	return out
}

// differences says what will be otherwise than it was, and what is left out.
func differences(name holdfast.ComponentName, fit target.Compatibility) []string {
	var out []string
	for _, d := range fit.Differences {
		if !d.Blocks {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s: %s. %s", name, d.What, d.Do)))
		}
	}
	if len(fit.Without) > 0 {
		out = append(out, fmt.Sprintf("%s: left out, as you said: %s", name, strings.Join(fit.Without, ", ")))
	}
	return out
}

// roles says what will not be as it was for want of roles.
func roles(name holdfast.ComponentName, fit target.Compatibility) []string {
	var out []string
	if !fit.KeepOwners {
		out = append(out, fmt.Sprintf("%s: objects will belong to the connecting user", name))
	}
	for _, g := range fit.LostGrants {
		const most = 5
		on := g.On
		if len(on) > most {
			on = append(slices.Clone(on[:most]), fmt.Sprintf("%d more", len(on)-most))
		}
		what := "all that is granted to it"
		if len(on) > 0 {
			what = "its rights on " + strings.Join(on, ", ")
		}
		out = append(out, fmt.Sprintf("%s: role %s is missing there; left out: %s", name, g.Role, what))
	}
	return out
}

// slots says what becomes of those who follow the changes of a database: a slot
// goes on with the old one, and keeps write-ahead log for ever.
func slots(d target.Database) []string {
	var out []string
	for _, s := range d.Slots {
		out = append(out, fmt.Sprintf("%s: replication slot %s stays with the old database, %s, and keeps its log. "+
			"After the restore: SELECT pg_drop_replication_slot('%[2]s'); then in %[4]s: "+
			"SELECT pg_create_logical_replication_slot('%[2]s', '%[5]s'); and have its reader start from a new copy",
			d.Component, s.Name, d.Previous, d.Database, s.Plugin))
	}
	return out
}

// database looks at one, unless its server has to be started first.
func (p *Plan) database(ctx context.Context, t Databases, c holdfast.Part) (target.Database, error) {
	if p.survey.Server == "" {
		return t.Look(ctx, p.Set, c)
	}
	d, err := t.Names(p.Set, c)
	d.Fit = target.Compatibility{Server: c.Server, DatabaseBytes: c.Database.Bytes}
	d.Unknown = p.survey.Server
	return d, err
}

// usable refuses sets that must not be restored.
func usable(set holdfast.Set, o Options) error {
	problems := set.Problems()
	if len(problems) == 0 {
		return nil
	}
	if set.Schema < 1 || set.Schema > holdfast.ManifestSchema {
		return &problems[0]
	}
	worth := set
	worth.Prove() // what the facts say, not what the manifest claims
	if o.Unproven && worth.State == holdfast.Unproven {
		return nil
	}
	p := &holdfast.Problem{
		Class: holdfast.Refused, What: fmt.Sprintf("set %s is %s: %s", set.ID, worth.State, problems[0].What),
		Why: "Databases that do not belong together start without complaint and lose updates silently.",
		Do:  "Choose a proven set: `holdfast list --state proven`.",
	}
	if worth.State == holdfast.Unproven {
		p.Why = "Nothing contradicts it, but nothing proves it either."
		p.Do += " If there is none, `--accept-unproven` takes this one."
	}
	return p
}

func chosen(set holdfast.Set, names []holdfast.ComponentName) ([]holdfast.Part, error) {
	if len(names) == 0 {
		return set.Parts(), nil
	}
	var out []holdfast.Part
	for _, name := range names {
		c, ok := set.Part(name)
		if !ok {
			var there []holdfast.ComponentName
			for _, c := range set.Parts() {
				there = append(there, c.Component)
			}
			return nil, &holdfast.Problem{
				Class: holdfast.Usage, What: fmt.Sprintf("set %s has no component %s; it has %v", set.ID, name, there),
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// partial warns of restoring one side of an edge without the other.
func partial(set holdfast.Set, chosen []holdfast.Part) []string {
	in := func(name holdfast.ComponentName) bool {
		return slices.ContainsFunc(chosen, func(c holdfast.Part) bool { return c.Component == name })
	}
	var out []string
	for _, e := range set.Order.Edges {
		if !e.Soft && in(e.First) != in(e.Then) {
			out = append(out, fmt.Sprintf("%s and %s belong together (%s); only one of them is restored,"+
				" so the pair is no longer proven", e.First, e.Then, e.Why))
		}
	}
	return out
}

// unknown says why it is unknown what a live database has; "" when it does,
// and for the databases of apps, of which nothing is known.
func unknown(then holdfast.Facts, d target.Database) string {
	if then.Participant == nil && then.Validator == nil {
		return ""
	}
	switch now := d.Now; {
	case d.InPlace != nil:
		return "was replaced by an interrupted restore"
	case d.Unknown != "":
		return "cannot be read yet (" + d.Unknown + ")"
	case !d.Live:
		return "does not exist"
	case now == nil:
		return "cannot be read"
	case then.Participant != nil && (now.Participant == nil || now.Participant.LedgerEnd == nil && then.Participant.LedgerEnd != nil),
		then.Validator != nil && (now.Validator == nil || len(now.Validator.Stores) < len(then.Validator.Stores)):
		return "does not hold what it should"
	}
	return ""
}

// moved warns of what changed between the capture and now.
func moved(then, now holdfast.Facts) []string {
	t, n := then.Participant, now.Participant
	if t == nil || n == nil {
		return nil
	}
	var out []string
	if t.ParticipantID != n.ParticipantID {
		out = append(out, fmt.Sprintf("participant: the live database is that of another participant, %s; the set is of %s",
			n.ParticipantID, t.ParticipantID))
	}
	for _, s := range n.Synchronizers {
		serial, ok := s.Serial()
		if !s.Active || !ok {
			continue
		}
		for _, old := range t.Synchronizers {
			if was, ok := old.Serial(); ok && old.Active && old.Alias == s.Alias && was != serial {
				out = append(out, fmt.Sprintf("synchronizer %s had serial %d then and has %d now:"+
					" the old one must still be served for the node to cross over", s.Alias, was, serial))
			}
		}
	}
	return out
}

func tooOld(c holdfast.Part, now time.Time) []string {
	if c.Facts.Participant == nil {
		return nil
	}
	var out []string
	for _, r := range c.Facts.Participant.RecordTimes {
		if age := now.Sub(r.At); age > horizon {
			out = append(out, fmt.Sprintf("the restore point on %s is %d days old; sequencers keep about 30,"+
				" so the node may not catch up: `holdfast reonboard` may be the only way",
				r.Synchronizer, int(age.Hours()/24)))
		}
	}
	return out
}
