package restore

import (
	"context"
	"fmt"
	"holdfast/loss"
	"holdfast/record"
	"holdfast/step"
	"holdfast/target"
	"slices"
	"strings"
	"time"

	"holdfast"
)

// Target is the node, or another place, that a set goes back to.
type Target interface {
	// Look says where a capture would go and what is there now.
	Look(ctx context.Context, set holdfast.SetID, c holdfast.Capture) (target.Database, error)
	// Build restores the capture into p.New, and proves it. A leftover of an
	// earlier attempt under that name is replaced; anything else is refused.
	Build(ctx context.Context, set holdfast.SetID, p target.Database, c holdfast.Capture, files holdfast.Files) error
	// Swap puts every p.New into the place of p.Database, which becomes p.Keep.
	// All of them change, or none.
	Swap(ctx context.Context, set holdfast.SetID, placements []target.Database) error
	// Discard drops p.New.
	Discard(ctx context.Context, p target.Database) error
}

// Options choose what is restored.
type Options struct {
	Components []holdfast.ComponentName // empty: all
	OnlyProve  bool                     // build and prove beside the live databases, then drop what was built
	Unproven   bool                     // take a set that is not proven
	Drills     []record.Drill           // rehearsals so far, for the estimate
}

// Plan is what a restore will do.
type Plan struct {
	Set        holdfast.SetID    `json:"set"`
	Node       holdfast.NodeName `json:"node"`
	State      holdfast.State    `json:"state"`
	Taken      time.Time         `json:"taken"`
	Age        time.Duration     `json:"age_ns"`
	OnlyProve  bool              `json:"only_prove"`
	Estimate   time.Duration     `json:"estimate_ns,omitempty"` // of Apply, at the pace of the last drill
	Placements []target.Database `json:"placements"`
	Losses     []string          `json:"losses"`   // what the live node has and the set does not
	Untold     []string          `json:"untold"`   // why that cannot be told of a database
	Warnings   []string          `json:"warnings"` // what may keep the restored node from catching up
	// Standstill is what happens to the node's programs; nil where the operator
	// stops and starts them.
	Standstill *step.Standstill `json:"standstill,omitempty"`
}

// horizon is how old a restore point may be for the node to catch up: the
// sequencers' retention, which the super validators are advised to set to 30
// days (Splice: validator_disaster_recovery, sv_pruning).
const horizon = 30 * 24 * time.Hour

// Make looks at the set and at the place, and says what Apply would do. It
// changes nothing. Now is the time that ages are counted to.
func Make(ctx context.Context, place Target, set holdfast.Set, o Options, now time.Time) (Plan, error) {
	if err := usable(set, o); err != nil {
		return Plan{}, err
	}
	p := Plan{Set: set.ID, Node: set.Node.Name, State: set.State, Taken: set.Ended.Wall, Age: now.Sub(set.Ended.Wall), OnlyProve: o.OnlyProve, Losses: []string{}, Untold: []string{}, Warnings: []string{}}
	captures, err := chosen(set, o.Components)
	if err != nil {
		return Plan{}, err
	}
	var bytes int64
	for _, c := range captures {
		bytes += c.Database.Bytes
	}
	p.Estimate, _ = record.RestoreEstimate(bytes, o.Drills)
	if living, ok := place.(Living); ok && !o.OnlyProve {
		if err := p.survey(ctx, living, set); err != nil {
			return Plan{}, err
		}
	}
	for _, c := range captures {
		placement, err := p.look(ctx, place, set.ID, c)
		if err != nil {
			return Plan{}, fmt.Errorf("%s: %w", c.Component, err)
		}
		p.Placements = append(p.Placements, placement)
		if why := untold(c.Facts, placement); why != "" {
			p.Untold = append(p.Untold, fmt.Sprintf("%s: database %s %s", c.Component, placement.Database, why))
		}
		if placement.Now != nil {
			for _, l := range loss.Compare(c.Facts, *placement.Now) {
				p.Losses = append(p.Losses, l.What)
			}
			p.Warnings = append(p.Warnings, moved(c.Facts, *placement.Now)...)
		}
		p.Warnings = append(p.Warnings, tooOld(c, now)...)
		if placement.Unseen == "" {
			p.Warnings = append(p.Warnings, roles(c.Component, placement.Fit)...)
		}
	}
	if len(captures) < len(set.Captures) {
		p.Warnings = append(p.Warnings, partial(set, captures)...)
	}
	return p, nil
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

// look asks the place, unless its server has to be started first.
func (p *Plan) look(ctx context.Context, place Target, set holdfast.SetID, c holdfast.Capture) (target.Database, error) {
	if p.Standstill == nil || p.Standstill.Server == "" {
		return place.Look(ctx, set, c)
	}
	return target.Database{Component: c.Component, Where: "database " + c.Database.Name, Database: c.Database.Name,
		Fit: target.Compatibility{Server: c.Server, DatabaseBytes: c.Database.Bytes}, Unseen: p.Standstill.Server}, nil
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
	p := &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("set %s is %s: %s", set.ID, worth.State, problems[0].What),
		Why: "Databases that do not belong together start without complaint and lose updates silently.",
		Do:  "Choose a proven set: `holdfast list --state proven`."}
	if worth.State == holdfast.Unproven {
		p.Why = "Nothing contradicts it, but nothing proves it either."
		p.Do += " If there is none, `--accept-unproven` takes this one."
	}
	return p
}

func chosen(set holdfast.Set, names []holdfast.ComponentName) ([]holdfast.Capture, error) {
	if len(names) == 0 {
		return set.Captures, nil
	}
	var out []holdfast.Capture
	for _, name := range names {
		c, ok := set.Capture(name)
		if !ok {
			var there []holdfast.ComponentName
			for _, c := range set.Captures {
				there = append(there, c.Component)
			}
			return nil, &holdfast.Problem{Class: holdfast.Usage, What: fmt.Sprintf("set %s has no component %s; it has %v", set.ID, name, there)}
		}
		out = append(out, c)
	}
	return out, nil
}

// partial warns of restoring one side of an edge without the other.
func partial(set holdfast.Set, chosen []holdfast.Capture) []string {
	in := func(name holdfast.ComponentName) bool {
		return slices.ContainsFunc(chosen, func(c holdfast.Capture) bool { return c.Component == name })
	}
	var out []string
	for _, e := range set.Order.Edges {
		if in(e.First) != in(e.Then) {
			out = append(out, fmt.Sprintf("%s and %s belong together (%s); only one of them is restored, so the pair is no longer proven", e.First, e.Then, e.Why))
		}
	}
	return out
}

// untold says why a live database does not tell what it has; "" when it does,
// and for the databases of apps, of which nothing is known.
func untold(then holdfast.Facts, p target.Database) string {
	if then.Participant == nil && then.Validator == nil {
		return ""
	}
	switch now := p.Now; {
	case p.Unseen != "":
		return "cannot be looked at yet: " + p.Unseen
	case !p.Live:
		return "is not there"
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
		out = append(out, fmt.Sprintf("participant: the live database is that of another participant, %s; the set is of %s", n.ParticipantID, t.ParticipantID))
	}
	for _, s := range n.Synchronizers {
		serial, ok := s.Serial()
		if !s.Active || !ok {
			continue
		}
		for _, old := range t.Synchronizers {
			if was, ok := old.Serial(); ok && old.Active && old.Alias == s.Alias && was != serial {
				out = append(out, fmt.Sprintf("synchronizer %s had serial %d then and has %d now: the old one must still be served for the node to cross over", s.Alias, was, serial))
			}
		}
	}
	return out
}

func tooOld(c holdfast.Capture, now time.Time) []string {
	if c.Facts.Participant == nil {
		return nil
	}
	var out []string
	for _, r := range c.Facts.Participant.RecordTimes {
		if age := now.Sub(r.At); age > horizon {
			out = append(out, fmt.Sprintf("the restore point on %s is %d days old; sequencers keep about 30, so the node may not catch up: route two, from the identities, may be the only way",
				r.Synchronizer, int(age.Hours()/24)))
		}
	}
	return out
}
