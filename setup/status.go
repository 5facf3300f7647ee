package setup

import (
	"context"
	"fmt"
	"slices"
	"time"

	"holdfast"
	"holdfast/check"
	"holdfast/config"
	"holdfast/daemon"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/schedule"
)

// Status is what a service knows of its node: what its repository said last, how
// its conditions were judged last, and what its work stands at. Metrics and pages
// are views of it.
type Status struct {
	Node   holdfast.NodeName
	Work   daemon.State
	Stored Stored
	Report *check.Report // the newest; nil before the first
	Looked time.Time     // when that report began to look
	Locks  check.Locks   // on what is stored, as they were last seen
	// Undelivered are the attempts in a row that failed to reach a target of notices.
	Undelivered map[string]int
}

// Stored is what the repository said of the node when it was read last.
type Stored struct {
	At           time.Time // zero before it was read
	Bytes        int64     // of the repository in its storage, as it was last measured
	Failed       error     // why the newest attempt to read it failed; nil when it did not
	Back         time.Time // when it was read again after it could not be; zero if it always could
	Entries      []repository.Entry
	Newest       *holdfast.Set // the newest set; nil without one
	Proven       *holdfast.Set // the newest proven one
	Drills       []record.Drill
	Verification record.Verification
	Copied       []record.Copied // what each configured copy was sent, by those that were sent something
}

// outdated reports whether the conditions were judged before the repository was back:
// what they say of it is of then.
func (st Status) outdated() bool { return st.Report != nil && st.Looked.Before(st.Stored.Back) }

// Status is what is known of the node now.
func (s *Service) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *Service) show(work daemon.State) {
	s.mu.Lock()
	before := s.status.Work
	s.status.Work = work
	s.mu.Unlock()
	s.board.works(before, work)
}

func (s *Service) judged(r check.Report, seen check.Observations, looked time.Time) {
	s.board.judged(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Report, s.status.Looked = &r, looked
	if at, known := check.Upgrade(seen); known { // an announcement stands while the Scans are silent
		s.upgrade = at
	}
	if locks, ok := seen.Locks.Get(); ok {
		s.status.Locks = locks
	}
}

// unread notes that the repository did not say anything. What it said before
// stays, with its time.
func (s *Service) unread(err error) {
	s.glimpse.failed(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Stored.Failed = err
}

// read reads what the repository knows of the node.
func (s *Service) read(ctx context.Context, p *Parts) error {
	found, err := p.stored(ctx, s.Status().Stored)
	if err != nil {
		return err
	}
	r, err := p.Repository(ctx)
	if err == nil {
		found.Bytes, err = s.size.of(ctx, r, found.At)
	}
	if err != nil {
		return err
	}
	s.glimpse.failed(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	found.Back = s.status.Stored.Back
	if s.status.Stored.Failed != nil {
		found.Back = time.Now().UTC()
	}
	s.status.Stored = found
	s.board.changed()
	return nil
}

// stored reads what the repository knows of the node. A set that is known is not
// read again.
func (p *Parts) stored(ctx context.Context, known Stored) (out Stored, err error) {
	r, err := p.still(ctx)
	if err != nil {
		return out, err
	}
	out.At = time.Now().UTC()
	if out.Entries, err = r.Sets(ctx, p.Node.Name); err != nil {
		return out, err
	}
	withoutSummaries(out.Entries)
	if n := len(out.Entries); n > 0 {
		if out.Newest, err = manifestOf(ctx, r, out.Entries[n-1], known); err != nil {
			return out, err
		}
	}
	if proven := out.proven(); proven.ID != "" {
		known.Newest = out.Newest
		if out.Proven, err = manifestOf(ctx, r, proven, known); err != nil {
			return out, err
		}
	}
	if out.Drills, err = r.Drills(ctx, p.Node.Name); err != nil {
		return out, err
	}
	if out.Verification, err = r.Verification(ctx); err != nil {
		return out, err
	}
	out.Copied, err = p.copied(ctx, r)
	out.Copied = slices.DeleteFunc(out.Copied, func(c record.Copied) bool { return c.At.IsZero() })
	return out, err
}

func manifestOf(
	ctx context.Context, r *repository.Repository, e repository.Entry, known Stored,
) (*holdfast.Set, error) {
	for _, set := range []*holdfast.Set{known.Newest, known.Proven} {
		if set != nil && set.ID == e.ID {
			return set, nil
		}
	}
	found, err := r.Load(ctx, e)
	if err != nil {
		return nil, err
	}
	set := found.Set // a copy: a pointer into found would keep the repository in memory, closed as it is
	return &set, nil
}

// proven is the newest proven set; its ID is empty without one.
func (s Stored) proven() (newest repository.Entry) {
	for _, e := range s.Entries {
		if e.State == holdfast.Proven && e.ID > newest.ID {
			newest = e
		}
	}
	return newest
}

// past is when each task was done last, as far as the repository knows.
func (s Stored) past(c *config.Config) map[string]schedule.Past {
	out := map[string]schedule.Past{verifyTask: {Done: s.Verification.At}}
	for _, e := range s.Entries {
		if e.Began.After(out[backupTask].Done) {
			out[backupTask] = schedule.Past{Done: e.Began, Took: e.Ended.Sub(e.Began)}
		}
	}
	for _, d := range s.Drills {
		out[drillTask] = schedule.Past{Done: d.At, Took: d.Took}
	}
	out[copyTask] = s.copies(c)
	out[identitiesTask] = schedule.Past{Done: s.identities()}
	return out
}

// identities is when the newest set was begun that fetched the identities; zero
// without one. A set that could not has those of the set before.
func (s Stored) identities() (at time.Time) {
	for _, set := range []*holdfast.Set{s.Proven, s.Newest} {
		if set != nil && set.FetchedIdentities() {
			at = set.Began.Wall
		}
	}
	return at
}

// copies is when the copy that is behind most was brought up to date, and that
// it is wanted when one lacks a set.
func (s Stored) copies(c *config.Config) (past schedule.Past) {
	newest, behind := s.proven(), len(c.Copies)
	for _, sent := range s.Copied {
		if past.Done.IsZero() || sent.At.Before(past.Done) {
			past.Done = sent.At
		}
		if sent.Sent(holdfast.NodeName(c.Node), newest.ID) {
			behind--
		}
	}
	switch {
	case newest.ID == "": // there is nothing to send
		past.Done = s.At
	case behind > 0:
		past.Wanted = fmt.Sprintf("set %s is not in every copy", newest.ID)
	}
	return past
}
