package retention

import (
	"context"
	"fmt"
	"slices"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/record"
)

// Store is where the sets are.
type Store interface {
	// Drop drops the node's sets that choose returns, all of them or none. From
	// before the call of choose until the end, no other process drops or pins.
	Drop(ctx context.Context, node holdfast.NodeName, choose func(context.Context) ([]holdfast.SetID, error)) error
	// Maintain deletes data that no set needs any more, as far as it is safe. A
	// full maintenance runs on request or when it is due.
	Maintain(ctx context.Context, full bool) (record.Maintenance, error)
}

// Job is a node's retention and what it needs.
type Job struct {
	Node   holdfast.NodeName
	Policy Policy
	Look   func(context.Context) ([]Candidate, []record.Pin, error) // the sets and pins of the node
	Store  Store
	Now    func() time.Time
	Clocks func(context.Context) []Clock // those of servers that answer; nil: none
	Force  bool                          // the operator has looked at every doubt
	Events event.Listener
}

// Report is what was done.
type Report struct {
	Plan        Plan                `json:"plan"`
	Dropped     []holdfast.SetID    `json:"dropped"`
	Maintenance *record.Maintenance `json:"maintenance,omitempty"`
}

// Plan decides, and changes nothing.
func (j Job) Plan(ctx context.Context) (Plan, error) {
	sets, pins, err := j.Look(ctx)
	if err != nil {
		return Plan{}, err
	}
	now := j.Now()
	p := Decide(j.Policy, sets, pins, now)
	p.Node = j.Node
	p.clocks = clockDoubts(j.Policy, unique(sets), j.clocks(ctx), now)
	p.Doubts = slices.Concat(p.tooMany(), j.Policy.crowded(unique(sets)), p.clocks)
	return p, nil
}

// Apply decides again, drops what the decision says, and maintains the
// repository: fully if sets were dropped. It refuses what is in doubt, unless
// forced. The report says what was done even if an error ended it.
func (j Job) Apply(ctx context.Context, maintain bool) (Report, error) {
	return j.apply(ctx, maintain, func(p *Plan) ([]holdfast.SetID, error) {
		if len(p.Dropped()) == 0 {
			return nil, nil
		}
		return p.Dropped(), j.unattended(p.Doubts, "no set is dropped")
	})
}

// ApplyTo drops the sets that the operator names, whatever the policy says. It
// refuses to drop sets that no policy may drop.
func (j Job) ApplyTo(ctx context.Context, maintain bool, ids ...holdfast.SetID) (Report, error) {
	return j.apply(ctx, maintain, func(p *Plan) ([]holdfast.SetID, error) { return ids, p.only(ids) })
}

func (j Job) apply(ctx context.Context, maintain bool, choose func(*Plan) ([]holdfast.SetID, error)) (Report, error) {
	report := Report{Dropped: []holdfast.SetID{}}
	var chosen []holdfast.SetID
	err := j.Store.Drop(ctx, j.Node, func(ctx context.Context) ([]holdfast.SetID, error) {
		var err error
		if report.Plan, err = j.Plan(ctx); err != nil {
			return nil, err
		}
		chosen, err = choose(&report.Plan)
		return chosen, err
	})
	if err != nil {
		return report, err
	}
	report.Dropped = append(report.Dropped, chosen...)
	for _, id := range chosen {
		j.Events.Report(SetDropped{Node: j.Node, Set: id, Why: report.Plan.why(id)})
	}
	if !maintain {
		return report, nil
	}
	if err := j.unattended(report.Plan.clocks, "the repository is not maintained"); err != nil {
		return report, err
	}
	maintenance, err := j.Store.Maintain(ctx, len(chosen) > 0)
	if err != nil {
		return report, err
	}
	report.Maintenance = &maintenance
	return report, nil
}

// Naming returns the plan that drops those sets, and only those, because the
// operator names them.
func (p Plan) Naming(ids ...holdfast.SetID) (Plan, error) {
	p.Sets = slices.Clone(p.Sets)
	return p, p.only(ids)
}

func (p *Plan) only(ids []holdfast.SetID) error {
	for i := range p.Sets {
		d := &p.Sets[i]
		if !slices.Contains(ids, d.Set) {
			if !d.Keep {
				d.Keep, d.Reasons = true, append([]Reason{{ByName, "not named"}}, d.Reasons...)
			}
			continue
		}
		for _, r := range d.Reasons {
			if d.Keep && slices.Contains([]Rule{Newest, Restores, BestThere, Pinned}, r.Rule) {
				return &holdfast.Problem{
					Class: holdfast.Refused,
					What:  fmt.Sprintf("set %s is not dropped: %s", d.Set, r.Text),
					Why:   "Without it the node may not be restorable.",
					Do: "Take a newer set first: `holdfast backup`. Or remove its pin: " +
						"`holdfast retention unpin`.",
				}
			}
		}
		reason := Reason{ByName, "named on the command line"}
		if d.Keep {
			reason.Text += "; the rules would keep it: " + d.Because()
		}
		d.Keep, d.Reasons = false, []Reason{reason}
	}
	return nil
}
