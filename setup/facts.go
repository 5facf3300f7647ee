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

// setFacts are what lists need of a set's manifest. A set never changes, so they
// are read once, and this machine remembers them.
type setFacts struct {
	Candidate retention.Candidate
	Databases int64
}

// rememberedFacts are those of a node's sets, as the program of that version
// reads them. They serve for looking: what is dropped is decided by manifests.
type rememberedFacts struct {
	Version string
	Sets    map[holdfast.SetID]setFacts
}

// facts are those of the node's sets among the entries. Known ones are not read
// again; nil stands for those that this machine remembers.
func (p *Parts) facts(
	ctx context.Context, r *repository.Repository, entries []repository.Entry, known map[holdfast.SetID]setFacts,
) (map[holdfast.SetID]setFacts, error) {
	file := stateFileOf(p.Config.Node, "sets")
	if len(known) == 0 {
		var remembered rememberedFacts
		file.load(&remembered)
		if remembered.Version == p.Version {
			known = remembered.Sets
		}
	}
	own := slices.DeleteFunc(slices.Clone(entries), func(e repository.Entry) bool { return e.Node != p.Node.Name })
	facts, err := learn(ctx, r, own, known)
	if err == nil && p.AsOf.IsZero() {
		file.save(rememberedFacts{p.Version, facts})
	}
	return facts, err
}

// readAtOnce is how many manifests are in memory at a time.
const readAtOnce = 32

// learn reads the manifests of sets that are not known, a few at a time: all of
// them together would take much memory.
func learn(
	ctx context.Context, r *repository.Repository, entries []repository.Entry, known map[holdfast.SetID]setFacts,
) (map[holdfast.SetID]setFacts, error) {
	out := map[holdfast.SetID]setFacts{}
	var unknown []repository.Entry
	for _, e := range entries {
		if f, ok := known[e.ID]; ok && f.Candidate.Unreadable == "" {
			out[e.ID] = f
		} else {
			unknown = append(unknown, e)
		}
	}
	for some := range slices.Chunk(unknown, readAtOnce) {
		read, err := r.ManifestsOf(ctx, some)
		if err != nil {
			return nil, err
		}
		for _, one := range read {
			out[one.ID] = factsOf(one)
		}
	}
	return out, nil
}

func factsOf(read repository.Read) setFacts {
	if read.Err != nil {
		return setFacts{Candidate: retention.Candidate{
			Set: read.ID, State: read.State, At: read.Began, Unreadable: read.Err.Error(),
		}}
	}
	f := setFacts{Candidate: retention.Look(read.Set, holdfast.CannotTell)}
	for _, part := range read.Set.Parts() {
		f.Databases += part.Database.Bytes
	}
	return f
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
	policy := policyOf(p.Config.Retention)
	policy.Cadence = time.Duration(p.Config.Check.Cadence)
	plan := retention.Decide(policy, sets, pins, now)
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
