package setup

import (
	"context"
	"slices"
	"time"

	"holdfast"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/retention"
)

// setFacts are what lists need of a set's manifest.
type setFacts struct {
	Candidate retention.Candidate
	Databases int64
}

// readWhole is how many of the newest sets, those of two days, a list reads although
// their summaries are known: a manifest that has been damaged since shows there. Older ones are
// read by checks, verifications and retention.
const readWhole = 12

// facts are those of the node's sets among the entries. Known ones are not read
// again: a set never changes.
func (p *Parts) facts(
	ctx context.Context, r *repository.Repository, entries []repository.Entry, known map[holdfast.SetID]setFacts,
) (map[holdfast.SetID]setFacts, error) {
	own := slices.DeleteFunc(slices.Clone(entries), func(e repository.Entry) bool { return e.Node != p.Node.Name })
	out := map[holdfast.SetID]setFacts{}
	var unknown []repository.Entry
	for i, e := range own {
		f, ok := known[e.ID]
		switch {
		case ok && f.Candidate.Unreadable == "":
			out[e.ID] = f
		case e.Summary != nil && i < len(own)-readWhole:
			out[e.ID] = listedFacts(e)
		default:
			unknown = append(unknown, e)
		}
	}
	return out, learn(ctx, r, unknown, out)
}

// readAtOnce is how many manifests are in memory at a time.
const readAtOnce = 32

// learn reads the manifests of sets, a few at a time: all of them together would
// take much memory.
func learn(
	ctx context.Context, r *repository.Repository, entries []repository.Entry, into map[holdfast.SetID]setFacts,
) error {
	for some := range slices.Chunk(entries, readAtOnce) {
		read, err := r.ManifestsOf(ctx, some)
		if err != nil {
			return err
		}
		for _, one := range read {
			into[one.ID] = factsOf(one)
		}
	}
	return nil
}

// listedFacts are what the listing says.
func listedFacts(e repository.Entry) setFacts {
	c := retention.Listed(e.ID, e.State, *e.Summary, holdfast.CannotTell)
	c.Stored = e.Stored
	return setFacts{Candidate: c, Databases: e.Summary.Databases}
}

// withoutSummaries drops from entries what facts are made of: a service keeps its
// entries for hours.
func withoutSummaries(entries []repository.Entry) {
	for i := range entries {
		entries[i].Summary = nil
	}
}

func factsOf(read repository.Read) setFacts {
	if read.Err != nil {
		return setFacts{Candidate: retention.Candidate{
			Set: read.ID, State: read.State, At: read.Began, Unreadable: read.Err.Error(),
		}}
	}
	c := retention.Look(read.Set, holdfast.CannotTell)
	c.Stored = read.Stored
	return setFacts{Candidate: c, Databases: record.Summarize(read.Set).Databases}
}

// decide notes on entries what retention makes of them.
func decide(
	p *Parts, entries []repository.Entry, facts map[holdfast.SetID]setFacts, drills []record.Drill, pins []record.Pin,
	now time.Time,
) {
	var sets []retention.Candidate
	for _, e := range entries {
		if e.Node != p.Node.Name { // its rules are not known here
			continue
		}
		c := facts[e.ID].Candidate
		c.Restores = record.Restores(e.ID, drills)
		sets = append(sets, c)
	}
	plan := retention.Decide(p.policyOf(p.Config.Retention), sets, pins, now)
	decisions := map[holdfast.SetID]record.Decision{}
	for _, d := range plan.Sets {
		decisions[d.Set] = d.Record()
	}
	for i := range entries {
		if d, ok := decisions[entries[i].ID]; ok {
			entries[i].Decision = &d
		}
	}
}
