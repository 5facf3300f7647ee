package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"holdfast"
	"holdfast/config"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/retention"
)

// RetentionOptions say how the history is changed.
type RetentionOptions struct {
	Wait time.Duration // for another process that drops sets or maintains the repository
	Full bool          // maintain fully, whether or not it is time for that
	Copy place.Place   // of which second copy; zero: of the repository
}

// Retention is the retention of the node's sets.
func (p *Parts) Retention(ctx context.Context, o RetentionOptions) (retention.Job, error) {
	r, err := p.repositoryIn(ctx, o.Copy)
	if err != nil {
		return retention.Job{}, err
	}
	policy := p.policyOf(p.Config.Retention)
	if !o.Copy.IsZero() {
		policy = p.copyPolicy(p.copyIn(o.Copy))
	}
	r.Patience = o.Wait
	return retention.Job{
		Node: p.Node.Name, Policy: policy, Store: upkeep{r, p, o.Full, o.Copy}, Now: time.Now, Events: p.Events,
		Clocks: p.serverClocks,
		Look: func(ctx context.Context) ([]retention.Candidate, []record.Pin, error) {
			return candidates(ctx, r, p.Node.Name)
		},
	}, nil
}

// clockPatience is how long retention waits for a server's clock. A node that is
// not there has none.
const clockPatience = 10 * time.Second

// serverClocks are those of the node's database servers that answer.
func (p *Parts) serverClocks(ctx context.Context) (out []retention.Clock) {
	ctx, cancel := context.WithTimeout(ctx, clockPatience)
	defer cancel()
	live, err := p.Databases(ctx)
	if err != nil {
		return nil
	}
	for _, c := range p.Node.Components {
		if ahead, err := live.Clock(ctx, c.Name); err == nil {
			out = append(out, retention.Clock{Of: fmt.Sprintf("%s's server", c.Name), Ahead: ahead})
		}
	}
	return out
}

// upkeep is the repository as retention needs it, with the operator's word on
// how to maintain it.
type upkeep struct {
	*repository.Repository
	parts *Parts
	full  bool
	copy  place.Place // zero: it is the repository itself
}

// Maintain maintains fully if the operator wants it so. Snapshots that a provider
// keeps, and that no set refers to any more, are deleted as well.
func (u upkeep) Maintain(ctx context.Context, full bool) (record.Maintenance, error) {
	done, err := u.Repository.Maintain(ctx, full || u.full)
	if err == nil && u.copy.IsZero() {
		err = u.parts.sweep(ctx, u.Repository)
	}
	return done, err
}

// fates note on entries of the node what retention makes of them. Other nodes
// have rules of their own, which are not known here.
func (p *Parts) fates(ctx context.Context, r *repository.Repository, entries []repository.Entry) error {
	facts, err := p.facts(ctx, r, entries, nil)
	if err != nil {
		return err
	}
	drills, err := r.Drills(ctx, p.Node.Name)
	if err != nil {
		return err
	}
	pins, err := r.Pins(ctx, p.Node.Name)
	if err == nil {
		decide(p, entries, facts, drills, pins, time.Now())
	}
	return err
}

// repositoryIn is the second copy in a place, or the repository for none.
func (p *Parts) repositoryIn(ctx context.Context, second place.Place) (*repository.Repository, error) {
	if second.IsZero() {
		return p.Repository(ctx)
	}
	return p.openCopy(ctx, p.copyIn(second))
}

// Match is the ID of the set of the repository, or of a second copy, that an
// argument names.
func (p *Parts) Match(ctx context.Context, second place.Place, arg string) (holdfast.SetID, error) {
	if second.IsZero() && arg == "latest" {
		set, _, err := p.Find(ctx, arg)
		return set.ID, err
	}
	r, err := p.repositoryIn(ctx, second)
	if err != nil {
		return "", err
	}
	e, err := r.Match(ctx, p.Node.Name, arg)
	return e.ID, err
}

// policyOf are the rules of the configuration.
func (p *Parts) policyOf(c config.Retention) retention.Policy {
	var scheduled time.Duration
	if when, err := p.Config.Schedule.When(); err == nil && !when.Backup.Never() { // Load has checked it
		scheduled = when.Backup.Interval(time.Now())
	}
	return retention.Policy{
		Scheduled: scheduled,
		Cadence:   time.Duration(p.Config.Check.Cadence),
		Within:    time.Duration(c.Within), Last: c.Last,
		Hourly: c.Hourly, Daily: c.Daily, Weekly: c.Weekly, Monthly: c.Monthly, Yearly: c.Yearly,
		History: time.Duration(c.History), Faulty: time.Duration(c.Faulty),
	}
}

// candidates are a node's sets as retention sees them, with what drills have
// shown, and the pins.
func candidates(
	ctx context.Context, r *repository.Repository, node holdfast.NodeName,
) ([]retention.Candidate, []record.Pin, error) {
	entries, err := r.Sets(ctx, node)
	if err != nil {
		return nil, nil, err
	}
	return candidatesOf(ctx, r, node, entries)
}

// candidatesOf are those of the listed sets. Their manifests are read a few at a
// time: those of a year fill 200 MiB.
func candidatesOf(
	ctx context.Context, r *repository.Repository, node holdfast.NodeName, entries []repository.Entry,
) ([]retention.Candidate, []record.Pin, error) {
	facts := map[holdfast.SetID]setFacts{}
	if err := learn(ctx, r, entries, facts); err != nil {
		return nil, nil, err
	}
	drills, err := r.Drills(ctx, node)
	if err != nil {
		return nil, nil, err
	}
	pins, err := r.Pins(ctx, node)
	if err != nil {
		return nil, nil, err
	}
	var out []retention.Candidate
	for _, e := range entries {
		c := facts[e.ID].Candidate
		c.Restores = record.Restores(e.ID, drills)
		out = append(out, c)
	}
	return out, pins, nil
}

// PinEnd reads when a pin ends.
func PinEnd(text string, now time.Time) (time.Time, error) {
	var end time.Time
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		end = day.AddDate(0, 0, 1)
	} else if at, err := time.Parse(time.RFC3339, text); err == nil {
		end = at.UTC()
	} else if age, err := config.ParseAge(text); err == nil && age != config.Forever {
		end = now.Add(time.Duration(age)).UTC().Truncate(time.Second)
	} else {
		return end, errors.New("--until: a pin needs an end: a day such as 2027-01-31, a time such as 2027-01-31T12:00:00Z, or a time from now such as 90d")
	}
	if !end.After(now) {
		return end, fmt.Errorf("--until: %s is over already", text)
	}
	return end, nil
}

// Who is the user who pins.
func Who() string {
	host, _ := os.Hostname()
	if u, err := user.Current(); err == nil {
		return u.Username + "@" + host
	}
	return host
}
