package retention

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/record"
)

// Rule names the rule behind a reason.
type Rule string

// The rules.
const (
	NoPolicy   Rule = "no-policy"     // none is configured
	Newest     Rule = "newest-proven" // the newest proven set, and the newest that may restore
	Restores   Rule = "restores"      // the newest that a drill restored
	BestThere  Rule = "best-there-is" // no set is proven: the newest unproven one
	Pinned     Rule = "pin"
	Within     Rule = "within"
	Last       Rule = "last"
	Hourly     Rule = "hourly"
	Daily      Rule = "daily"
	Weekly     Rule = "weekly"
	Monthly    Rule = "monthly"
	Yearly     Rule = "yearly"
	Change     Rule = "change"  // next to a change that a restore has to match
	Spacing    Rule = "spacing" // history without a gap
	Faulty     Rule = "faulty"  // does not count, and expires on its own time
	Future     Rule = "future"  // dated in the future: not touched
	Unreadable Rule = "unreadable"
	Disorder   Rule = "disorder" // stored before its date, or after a later set: not touched
	ByName     Rule = "by-name"  // the operator named it
)

// Reason is one reason to keep a set, or not to.
type Reason struct {
	Rule Rule   `json:"rule"`
	Text string `json:"text"`
}

// Decision is what happens to one set, with every reason.
type Decision struct {
	Set     holdfast.SetID `json:"set"`
	State   holdfast.State `json:"state"`
	At      time.Time      `json:"at"`
	Keep    bool           `json:"keep"`
	Reasons []Reason       `json:"reasons"`
}

// Because lists the reasons in one line.
func (d Decision) Because() string { return strings.Join(d.Record().Reasons, "; ") }

// Record is the decision as a listing shows it.
func (d Decision) Record() record.Decision {
	f := record.Decision{Keep: d.Keep, Reasons: []string{}}
	for _, r := range d.Reasons {
		f.Reasons = append(f.Reasons, r.Text)
	}
	return f
}

// Gap is a part of the wanted history that no set covers.
type Gap struct {
	From   holdfast.SetID `json:"from"`
	To     holdfast.SetID `json:"to"`
	Apart  time.Duration  `json:"apart_ns"`
	Window time.Duration  `json:"window_ns"` // the participant's pruning window then
}

// Plan is the decision on every set of a node, oldest first.
type Plan struct {
	Node   holdfast.NodeName `json:"node"`
	Now    time.Time         `json:"now"`
	Policy Policy            `json:"policy"`
	Sets   []Decision        `json:"sets"`
	Gaps   []Gap             `json:"gaps,omitempty"`
	// Doubts say why these sets are not dropped without --force.
	Doubts []string `json:"doubts,omitempty"`
	// clocks are the doubts of them that also concern maintenance.
	clocks []string
}

// Dropped lists the sets that are dropped.
func (p Plan) Dropped() []holdfast.SetID {
	var ids []holdfast.SetID
	for _, d := range p.Sets {
		if !d.Keep {
			ids = append(ids, d.Set)
		}
	}
	return ids
}

// Of returns the decision on one set.
func (p Plan) Of(id holdfast.SetID) (Decision, bool) {
	i := slices.IndexFunc(p.Sets, func(d Decision) bool { return d.Set == id })
	if i < 0 {
		return Decision{}, false
	}
	return p.Sets[i], true
}

// Decide says for every set of a node whether it is kept, and why. The order of
// sets and pins does not matter.
func Decide(p Policy, sets []Candidate, pins []record.Pin, now time.Time) Plan {
	d := decider{
		policy:  p,
		now:     now,
		sets:    unique(sets),
		kept:    map[holdfast.SetID][]Reason{},
		against: map[holdfast.SetID][]Reason{},
	}
	d.sort()
	d.protect()
	d.pins(pins)
	if p.Drops() {
		d.within()
		d.last()
		for _, period := range periods {
			d.period(period)
		}
		d.changes()
		d.spacing()
		d.faulty()
	}
	return d.plan()
}

// decider collects reasons for and against.
type decider struct {
	policy  Policy
	now     time.Time
	sets    []Candidate // oldest first
	good    []Candidate // those that count, oldest first
	bad     []Candidate // those that do not
	latest  time.Time   // of the sets that can be judged and are not in the future
	kept    map[holdfast.SetID][]Reason
	against map[holdfast.SetID][]Reason
	gaps    []Gap
}

func unique(sets []Candidate) []Candidate {
	out := slices.Clone(sets)
	slices.SortStableFunc(out, older)
	return slices.CompactFunc(out, func(a, b Candidate) bool { return a.Set == b.Set })
}

func (d *decider) keep(c Candidate, rule Rule, format string, args ...any) {
	d.kept[c.Set] = append(d.kept[c.Set], Reason{rule, fmt.Sprintf(format, args...)})
}

func (d *decider) speak(c Candidate, rule Rule, format string, args ...any) {
	d.against[c.Set] = append(d.against[c.Set], Reason{rule, fmt.Sprintf(format, args...)})
}

// sort separates the sets that count from those that do not, and keeps those
// that cannot be judged.
func (d *decider) sort() {
	disorder := disordered(d.sets, d.now)
	for _, c := range d.sets {
		switch {
		case disorder[c.Set] != "":
			d.keep(c, Disorder, "kept: %s", disorder[c.Set])
			continue
		case c.Unreadable != "":
			d.keep(c, Unreadable, "kept: it cannot be read: %s", c.Unreadable)
			continue
		case c.At.After(d.now):
			d.keep(c, Future, "kept: it is dated %s, %s in the future: a clock is wrong", stamp(c.At),
				span(c.At.Sub(d.now)))
			continue
		case c.counts():
			d.good = append(d.good, c)
		default:
			d.bad = append(d.bad, c)
		}
		if c.At.After(d.latest) {
			d.latest = c.At
		}
	}
}

// protect keeps the sets that no policy may drop.
func (d *decider) protect() {
	if !d.policy.Drops() {
		for _, c := range d.sets {
			d.keep(c, NoPolicy, "no retention is configured: nothing is dropped")
		}
	}
	newest := func(list []Candidate, rule Rule, text string, suits func(Candidate) bool) bool {
		for _, c := range slices.Backward(list) {
			if suits(c) {
				d.keep(c, rule, "%s", text)
				return true
			}
		}
		return false
	}
	proven := func(c Candidate) bool { return c.State == holdfast.Proven }
	any := newest(d.good, Newest, "the newest proven set", proven)
	if !any {
		any = newest(d.bad, Newest, "the newest proven set, although a drill failed to restore it", proven)
	}
	newest(d.good, Restores, "the newest set that a drill restored", func(c Candidate) bool {
		return c.Restores == holdfast.Holds
	})
	if !any {
		newest(d.bad, BestThere, "no set is proven: this is the newest unproven set",
			func(c Candidate) bool {
				return c.State == holdfast.Unproven
			})
	}
}

func (d *decider) pins(pins []record.Pin) {
	sorted := slices.Clone(pins)
	slices.SortStableFunc(sorted, func(a, b record.Pin) int {
		return strings.Compare(a.Until.UTC().Format(time.RFC3339)+a.Reason,
			b.Until.UTC().Format(time.RFC3339)+b.Reason)
	})
	for _, c := range d.sets {
		for _, p := range sorted {
			switch {
			case p.Set != c.Set:
			case p.HoldsAt(d.now):
				d.keep(c, Pinned, "pinned until %s: %s", stamp(p.Until), p.Reason)
			default:
				d.speak(c, Pinned, "its pin ended on %s", stamp(p.Until))
			}
		}
	}
}

func (d *decider) within() {
	if d.policy.Within == 0 || len(d.good) == 0 {
		return
	}
	newest := d.good[len(d.good)-1].At
	for _, c := range d.good {
		if age := newest.Sub(c.At); age <= d.policy.Within {
			d.keep(c, Within, "within %s of the newest", span(d.policy.Within))
		} else {
			d.speak(c, Within, "%s older than the newest, not within %s", span(age), span(d.policy.Within))
		}
	}
}

func (d *decider) last() {
	if d.policy.Last == 0 {
		return
	}
	for i, c := range d.good {
		if place := len(d.good) - i; place <= d.policy.Last {
			d.keep(c, Last, "%d of the last %d", place, d.policy.Last)
		} else {
			d.speak(c, Last, "not among the last %d", d.policy.Last)
		}
	}
}

// period keeps the newest set of each of the newest periods that have sets.
func (d *decider) period(p period) {
	most := p.count(d.policy)
	if most == 0 {
		return
	}
	stands := map[string]holdfast.SetID{}
	for _, c := range slices.Backward(d.good) {
		name := p.of(c.At.UTC())
		other, taken := stands[name]
		switch {
		case taken:
			d.speak(c, p.rule, "%s is kept for %s %s", other, p.name, name)
		case len(stands) == most:
			d.speak(c, p.rule, "%s %s is not among the last %d", p.name, name, most)
		default:
			stands[name] = c.Set
			d.keep(c, p.rule, "the newest of %s %s, %d of %d", p.name, name, len(stands), most)
		}
	}
}

// changes keeps the sets on both sides of every change.
func (d *decider) changes() {
	var names []string
	for _, c := range d.good {
		for name := range c.Marks {
			if !slices.Contains(names, name) && (name != windowMark || d.policy.History > 0) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		var before *Candidate
		for i := range d.good {
			c := &d.good[i]
			value, known := c.Marks[name]
			if !known {
				continue
			}
			if before != nil && before.Marks[name] != value {
				d.keep(*before, Change, "the last before the %s went from %s to %s", name, before.Marks[name], value)
				d.keep(*c, Change, "the first after the %s went from %s to %s", name, before.Marks[name], value)
			}
			before = c
		}
	}
}

// faulty keeps sets that do not count for a while, to find out what went wrong.
func (d *decider) faulty() {
	limit := d.policy.Faulty
	if limit == 0 {
		limit = DefaultFaulty
	}
	for _, c := range d.bad {
		what := string(c.State)
		if c.State == holdfast.Proven {
			what = "failed in a drill"
		}
		if age := d.latest.Sub(c.At); age <= limit {
			d.keep(c, Faulty, "%s: kept for %s", what, span(limit))
		} else {
			d.speak(c, Faulty, "%s, and %s older than the newest set: such sets are kept for %s", what, span(age),
				span(limit))
		}
	}
}

func (d *decider) plan() Plan {
	p := Plan{Now: d.now, Policy: d.policy, Sets: []Decision{}, Gaps: d.gaps}
	for _, c := range d.sets {
		decision := Decision{Set: c.Set, State: c.State, At: c.At, Reasons: d.kept[c.Set]}
		decision.Keep = len(decision.Reasons) > 0
		if !decision.Keep {
			decision.Reasons = d.against[c.Set]
		}
		if decision.Reasons == nil {
			decision.Reasons = []Reason{{Last, "no rule keeps it"}}
		}
		p.Sets = append(p.Sets, decision)
	}
	return p
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }
