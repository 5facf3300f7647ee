package setup

import (
	"context"
	"fmt"
	"slices"
	"time"

	"holdfast"
	"holdfast/databases"
	"holdfast/loss"
)

// wish is why a set is wanted at once: the node has something that a restore
// would lose, or an upgrade is near.
type wish struct {
	why string
	at  time.Time
	// served are what sets were taken for already: what a new set does not hold
	// either is no reason for another one.
	served map[string]bool
}

// beforeUpgrade is how long before an upgrade of the synchronizer a set is taken.
const beforeUpgrade = 30 * time.Minute

// missing is why each task is wanted at once, by its name.
func (s *Service) missing() map[string]string { return s.missingAt(time.Now()) }

func (s *Service) missingAt(now time.Time) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	if s.status.outdated() {
		out[checkTask] = "the repository is back"
	}
	var taken time.Time // of any state: one that is not proven is not taken over and over
	if n := len(s.status.Stored.Entries); n > 0 {
		taken = s.status.Stored.Entries[n-1].Began
	}
	switch up := s.upgrade; {
	case s.wish.why != "" && taken.Before(s.wish.at):
		out[backupTask] = s.wish.why
	case now.Before(up) && now.After(up.Add(-beforeUpgrade)) && taken.Before(up.Add(-beforeUpgrade)):
		out[backupTask] = "the synchronizer is upgraded at " + up.UTC().Format(time.RFC3339)
	}
	return out
}

// watch looks for what a restore of the newest proven set would lose and no
// replay brings back. It reads the live databases alone, and the repository only
// when something is new: somebody else may have taken a set of it already.
func (s *Service) watch(ctx context.Context, p *Parts) error {
	set := s.Status().Stored.Proven
	if set == nil {
		return nil // the next set is the first
	}
	now := time.Now()
	found, err := p.lostSince(ctx, *set)
	if err != nil {
		return err
	}
	if s.unserved(found) && s.read(ctx, p) == nil { // else the backup says why the repository cannot be read
		if newer := s.Status().Stored.Proven; newer != nil && newer.ID != set.ID {
			if found, err = p.lostSince(ctx, *newer); err != nil {
				return err
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wish = s.wish.with(found, now)
	return nil
}

// unserved says whether something among what was found is new since the last look.
func (s *Service) unserved(found []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(found, func(what string) bool { return !s.wish.served[what] })
}

// with is the wish after another look.
func (w wish) with(found []string, now time.Time) wish {
	next := wish{at: now, served: map[string]bool{}}
	for _, what := range found {
		if w.served[what] {
			next.served[what] = true
			continue
		}
		if next.why == "" {
			next.why = what + ", and in no set"
		}
		next.served[what] = true
	}
	if next.why == "" && w.why != "" { // not served yet
		next.why, next.at = w.why, w.at
	}
	return next
}

// untouched says whether nothing at all has changed in the node's databases since
// the set was taken, by one question to each.
func (p *Parts) untouched(ctx context.Context, live databases.Live, set holdfast.Set) (bool, error) {
	own := set.OwnTransactions()
	for _, part := range set.Parts() {
		at, has := live.Addresses[part.Component]
		if !has {
			return false, nil
		}
		same, err := p.dumper(at).Untouched(ctx, part.Ground, own)
		if err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// lostSince are what the live databases have and the set has not.
func (p *Parts) lostSince(ctx context.Context, set holdfast.Set) (found []string, err error) {
	live, err := p.Databases(ctx)
	if err != nil {
		return nil, err
	}
	if same, err := p.untouched(ctx, live, set); same || err != nil {
		return nil, err
	}
	for _, part := range set.Parts() {
		i := slices.IndexFunc(p.Node.Components, func(c holdfast.Component) bool { return c.Name == part.Component })
		if i < 0 || part.Kind != holdfast.Participant && part.Kind != holdfast.Validator {
			continue
		}
		var since *int64
		if part.Facts.Participant != nil {
			since = part.Facts.Participant.LedgerEnd
		}
		seen, err := live.Observe(ctx, p.Node.Components[i], since)
		if err != nil {
			return nil, err
		}
		for _, l := range loss.Compare(part.Facts, seen.Facts) {
			if l.Kind != loss.Replayed {
				found = append(found, l.What)
			}
		}
		for _, party := range seen.Parties {
			found = append(found, fmt.Sprintf("participant: party %s, hosted since", party))
		}
		found = append(found, upgrades(part, seen.Facts)...)
	}
	return found, nil
}

// upgrades are those of a component since its part of the set was captured. A
// restore of the set goes through them again, and is only as fast as they are.
func upgrades(part holdfast.Part, now holdfast.Facts) (list []string) {
	then := part.Facts
	add := func(format string, args ...any) {
		list = append(list, fmt.Sprintf("%s: %s, upgraded since", part.Component, fmt.Sprintf(format, args...)))
	}
	if then.Migrations != "" && now.Migrations != "" && then.Migrations != now.Migrations {
		add("database schema %s", now.Migrations)
	}
	if t, n := then.Participant, now.Participant; t != nil && n != nil {
		was, known := t.ActiveSerial()
		if is, active := n.ActiveSerial(); known && active && is != was {
			add("synchronizer serial %d", is)
		}
	}
	if t, n := then.Validator, now.Validator; t != nil && n != nil && n.MigrationID != t.MigrationID {
		add("migration id %d", n.MigrationID)
	}
	return list
}
