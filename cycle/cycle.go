package cycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast"
	"holdfast/cost"
	"holdfast/event"
)

// Plan is what a cycle will do, before anything is made.
type Plan struct {
	Region         string   `json:"region"`
	Instance       string   `json:"instance"`
	Class          string   `json:"class"`
	GB             int      `json:"storage_gb"`
	Version        string   `json:"postgres"`
	Subnets        string   `json:"subnet_group,omitempty"`
	SecurityGroups []string `json:"security_groups,omitempty"`
	Like           string   `json:"like,omitempty"` // the instance that the network is taken from
	Steps          []string `json:"steps"`
	// Left is what earlier cycles have left. It is removed first.
	Left []string `json:"left,omitempty"`
	// Expected is what a cycle uses that takes Takes, and Most one that is killed and
	// that nobody removes before the end of its time.
	Takes       time.Duration `json:"takes_ns"`
	Expected    cost.Usage    `json:"expected"`
	ExpectedSum cost.Sum      `json:"expected_sum"`
	Most        cost.Usage    `json:"most"`
	MostSum     cost.Sum      `json:"most_sum"`
}

// Takes is how long a cycle is expected to take: three instances are made or deleted
// one after the other, which takes RDS ten minutes or more each. It was not measured.
const Takes = 90 * time.Minute

// Estimate completes a plan with what it will use.
func (p Plan) Estimate(lifetime time.Duration, prices cost.Prices) Plan {
	p.Takes = Takes
	p.Expected = p.uses(Takes, Takes/2)
	p.Most = p.uses(lifetime, lifetime)
	p.ExpectedSum, p.MostSum = prices.Of(p.Expected), prices.Of(p.Most)
	return p
}

// uses is what two instances are charged for, and one snapshot.
func (p Plan) uses(first, second time.Duration) cost.Usage {
	return cost.Instance(p.Class, float64(p.GB), first).Plus(cost.Instance(p.Class, float64(p.GB), second)).
		Plus(cost.Snapshot(float64(p.GB), first))
}

// Step is one of a cycle.
type Step struct {
	What string // "take a set of snapshots"
	Do   func(ctx context.Context) error
}

// Job goes through a cycle.
type Job struct {
	Plan   Plan
	Steps  []Step
	Prices cost.Prices
	// Remove removes all that was made, and names it. An error says what is left.
	Remove func(ctx context.Context) ([]string, error)
	// Seen is what the steps have seen so far.
	Seen   func() Seen
	Now    func() time.Time
	Events event.Listener
}

// patience is how long removing may take after an interrupt or a failure.
const patience = 2 * time.Hour

// Outcome is what came of a step.
type Outcome struct {
	What  string        `json:"what"`
	Took  time.Duration `json:"took_ns"`
	Error string        `json:"error,omitempty"`
}

// Report is what a cycle did. One that was not run has its plan alone.
type Report struct {
	Plan     Plan             `json:"plan"`
	Steps    []Outcome        `json:"steps,omitempty"`
	Rows     int64            `json:"rows_compared,omitempty"` // each equal to what was written
	Claims   []Claim          `json:"claims,omitempty"`
	Removed  []string         `json:"removed,omitempty"`
	Left     string           `json:"left,omitempty"` // why not all is removed
	Took     time.Duration    `json:"took_ns,omitempty"`
	Used     *cost.Usage      `json:"used,omitempty"` // at most: from the request to the deletion
	Sum      *cost.Sum        `json:"sum,omitempty"`
	Verdict  holdfast.Verdict `json:"verdict,omitempty"`
	Holdfast string           `json:"holdfast,omitempty"`
}

// Began and Ended are the events of a step.
type (
	Began struct{ What string }
	Ended struct {
		What string
		Took time.Duration
	}
)

func (b Began) String() string { return b.What }

func (e Ended) String() string { return fmt.Sprintf("%s: done after %v", e.What, round(e.Took)) }

func round(d time.Duration) time.Duration {
	if d > time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}

// Run goes through the cycle and removes everything. The report says what was seen
// also where a step failed; the error is nil only when every step was done, every
// claim holds or is not judged, and nothing is left.
func (j Job) Run(ctx context.Context) (Report, error) {
	began := j.Now()
	r := Report{Plan: j.Plan}
	var failed error
	for _, s := range j.Steps {
		if failed = ctx.Err(); failed != nil {
			break
		}
		var out Outcome
		if out, failed = j.step(ctx, s.What, s.Do); failed != nil {
			r.Steps = append(r.Steps, out)
			break
		}
		r.Steps = append(r.Steps, out)
	}
	removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	out, left := j.step(removing, Removing, func(ctx context.Context) (err error) {
		r.Removed, err = j.Remove(ctx)
		return err
	})
	r.Steps = append(r.Steps, out)
	if left != nil {
		r.Left = left.Error()
	}
	seen := j.Seen()
	r.Rows, r.Claims, r.Took = seen.Rows, seen.Claims(), j.Now().Sub(began)
	used := j.Plan.uses(r.Took, seen.Lifted)
	if seen.Created.IsZero() {
		used = cost.Usage{}
	}
	sum := j.Prices.Of(used)
	r.Used, r.Sum = &used, &sum
	r.judge(failed, left)
	return r, errors.Join(failed, r.differs(), left)
}

// Removing is the last step of every cycle.
const Removing = "delete what is left of it"

func (j Job) step(ctx context.Context, what string, do func(context.Context) error) (Outcome, error) {
	began := j.Now()
	j.Events.Report(Began{what})
	err := do(ctx)
	out := Outcome{What: what, Took: j.Now().Sub(began)}
	if err != nil {
		out.Error = err.Error()
		return out, fmt.Errorf("%s: %w", what, err)
	}
	j.Events.Report(Ended{what, out.Took})
	return out, nil
}

func (r *Report) judge(failed, left error) {
	verdicts := []holdfast.Verdict{}
	for _, c := range r.Claims {
		verdicts = append(verdicts, c.Verdict)
	}
	if failed != nil {
		verdicts = append(verdicts, holdfast.CannotTell)
	}
	if left != nil {
		verdicts = append(verdicts, holdfast.Violated)
	}
	r.Verdict = holdfast.Worst(verdicts...)
}

// differs is the error of claims that do not hold, or of which nothing was seen.
func (r Report) differs() error {
	n := map[holdfast.Verdict]int{}
	first := map[holdfast.Verdict]Claim{}
	for _, c := range r.Claims {
		if n[c.Verdict]++; n[c.Verdict] == 1 {
			first[c.Verdict] = c
		}
	}
	switch {
	case n[holdfast.Violated] > 0:
		return &holdfast.Problem{
			Class: holdfast.Violation,
			What: fmt.Sprintf("%d of %d claims do not hold in this account; the first: %s: %s",
				n[holdfast.Violated], len(r.Claims), first[holdfast.Violated].Claim, first[holdfast.Violated].Seen),
			Why: "Holdfast relies on these. It was made from the provider's documentation.",
			Do:  "Use `method: dump` here instead of `method: rds`, and report the claims as they are printed.",
		}
	case n[holdfast.CannotTell] > 0:
		return &holdfast.Problem{
			Class: holdfast.Undetermined,
			What: fmt.Sprintf("%d of %d claims could not be judged; the first: %s: %s", n[holdfast.CannotTell], len(r.Claims),
				first[holdfast.CannotTell].Claim, first[holdfast.CannotTell].Seen),
			Do: "Run it again when the cause is removed: `holdfast cloud rehearse`.",
		}
	}
	return nil
}
