package gather

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"holdfast"
	"holdfast/check"
	"holdfast/record"
)

// repository reads every manifest of the node, and the newest proven set's small
// files.
func (s Sources) repository(ctx context.Context, o *check.Observations) {
	unknown := func(err error) {
		o.Drills = holdfast.Unknown[[]record.Drill](err.Error())
		o.KeyTests = holdfast.Unknown[[]record.KeyTest](err.Error())
		o.Disproofs = holdfast.Unknown[[]record.Disproof](err.Error())
	}
	if err := s.Unlock(ctx); err != nil {
		o.Repository = holdfast.Unknown[check.Repository](err.Error())
		unknown(err)
		return
	}
	found := check.Repository{Name: s.RepositoryName}
	r, err := s.Open(ctx)
	var entries []Entry
	if err == nil {
		entries, err = r.Entries(ctx)
	}
	if err != nil {
		found.Problem = err.Error()
		unknown(err)
	} else {
		found.Sets, found.Unreadable, found.Newest = readSets(ctx, entries)
		o.Drills, o.KeyTests = holdfast.Observe(r.Drills(ctx)), holdfast.Observe(r.KeyTests(ctx))
		o.Disproofs = holdfast.Observe(r.Disproofs(ctx))
	}
	o.Repository = holdfast.Known(found)
}

// readSets reads the manifests, several at a time. Tables and their segments
// make up most of one and no condition asks for them.
func readSets(
	ctx context.Context, entries []Entry,
) (sets []holdfast.Set, unreadable []string, newest string) {
	const lanes = 4
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(lanes)
	read := map[int]holdfast.Set{}
	last := -1
	for i, e := range entries {
		if e.State == holdfast.Proven {
			last = i
		}
	}
	for i, e := range entries {
		g.Go(func() error {
			stored, err := e.Load(ctx)
			back := ""
			if err == nil && i == last {
				back = readBack(ctx, stored)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				unreadable = append(unreadable, fmt.Sprintf("%s: %v", e.ID, err))
				return nil
			}
			newest += back
			read[i] = slim(stored.Manifest())
			return nil
		})
	}
	_ = g.Wait()
	slices.Sort(unreadable)
	for _, i := range slices.Sorted(maps.Keys(read)) {
		sets = append(sets, read[i])
	}
	return sets, unreadable, newest
}

// slim is a set without what its captures hold.
func slim(s holdfast.Set) holdfast.Set {
	for k := range s.Captures {
		s.Captures[k].Content = nil
	}
	return s
}

// readBack says what is wrong with the files of a set: one that is missing, or
// a small one that does not read. Reading all the rest is what verify is for.
func readBack(ctx context.Context, s Stored) string {
	set, there := s.Manifest(), s.Names()
	for _, name := range set.FileNames() {
		if !slices.Contains(there, name) {
			return fmt.Sprintf("set %s lacks its file %s", set.ID, name)
		}
	}
	small := []string{holdfast.ReadmeName}
	for _, c := range set.Captures {
		for _, f := range c.Files() {
			if f.Format == "" && c.Method == holdfast.Dump {
				small = append(small, f.Name)
			}
		}
	}
	if i := set.Identities; i != nil && i.SealedFile != "" {
		small = append(small, i.SealedFile)
	}
	for _, name := range small {
		if err := drain(ctx, s, name); err != nil {
			return fmt.Sprintf("%s of set %s: %v", name, set.ID, err)
		}
	}
	return ""
}

// newestProven is the newest set that is proven by what it records.
func newestProven(o check.Observations) *holdfast.ParticipantFacts {
	r, _ := o.Repository.Get()
	for _, s := range slices.Backward(r.Sets) {
		if s.Prove(); s.State != holdfast.Proven {
			continue
		}
		for _, c := range s.Parts() {
			if c.Facts.Participant != nil {
				return c.Facts.Participant
			}
		}
	}
	return nil
}

// drain reads a file of a set to its end.
func drain(ctx context.Context, files holdfast.Files, name string) error {
	in, err := files.Open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	_, err = io.Copy(io.Discard, in)
	return err
}
