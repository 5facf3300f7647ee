package holdfast

import (
	"fmt"
	"time"
)

// Reading is what a live database said of itself at one instant.
type Reading struct {
	Facts  Facts  `json:"facts"`
	Server Server `json:"server"`
}

// span is between which facts a capture lies. Both are the same where they were
// read inside the capture.
type span struct{ earliest, latest Facts }

func (c Captured) span() span {
	if c.Before == nil {
		return span{c.Facts, c.Facts}
	}
	return span{c.Before.Facts, c.Facts}
}

// bracketed reports whether the capture itself was not read: its facts are
// those of the live database before and after.
func (c Captured) bracketed() bool { return c.Before != nil }

// broken says why the readings around a capture bracket nothing; "" when they
// do. What was restored or failed over meanwhile may have gone back.
func (p Part) broken() string {
	if !p.bracketed() {
		return ""
	}
	if why := p.Before.Server.differs(p.Server); why != "" {
		return why
	}
	return p.Before.Facts.fell(p.Facts)
}

// differs says why the server that was read later may not go on from where this
// one was.
func (s Server) differs(later Server) string {
	changed := func(what string, before, after any) string {
		return fmt.Sprintf("%s was %v before the snapshot and %v after it", what, before, after)
	}
	switch {
	case s.Standby || later.Standby:
		return "a standby was read, which may be behind its primary"
	case s.SystemID != later.SystemID:
		return changed("the server's system identifier", s.SystemID, later.SystemID)
	case s.Timeline != later.Timeline:
		return changed("the server's timeline", s.Timeline, later.Timeline)
	case s.Started.IsZero() || later.Started.IsZero():
		return "the server does not say when it was started"
	case !s.Started.Equal(later.Started):
		return changed("the server's start", s.Started.Format(time.RFC3339), later.Started.Format(time.RFC3339))
	}
	return ""
}

// fell says which number is lower later: one that only grows has fallen when a
// database was replaced.
func (f Facts) fell(later Facts) string {
	if f.Unknown != "" || later.Unknown != "" { // its contents are judged by nothing else
		return ""
	}
	if f.Schema != later.Schema {
		return fmt.Sprintf("the schema was %s before the snapshot and %s after it", f.Schema, later.Schema)
	}
	if p, after := f.Participant, later.Participant; p != nil && after != nil {
		if why := p.fell(*after); why != "" {
			return why
		}
	}
	if s, after := f.stores(), later.stores(); s != nil && after != nil {
		return s.fell(*after)
	}
	return ""
}

func (p ParticipantFacts) fell(later ParticipantFacts) string {
	if p.ParticipantID != later.ParticipantID {
		return fmt.Sprintf("it was participant %s before the snapshot and %s after it",
			p.ParticipantID, later.ParticipantID)
	}
	if why := fallen("the ledger end", p.LedgerEnd, later.LedgerEnd); why != "" {
		return why
	}
	return fallen("what is pruned", p.PrunedUpTo, later.PrunedUpTo)
}

func (f SpliceFacts) fell(later SpliceFacts) string {
	if f.MigrationID != later.MigrationID {
		return fmt.Sprintf("the migration was %d before the snapshot and %d after it", f.MigrationID, later.MigrationID)
	}
	for _, s := range f.Stores {
		if s.MigrationID != f.MigrationID {
			continue
		}
		after, ok := later.store(s)
		if !ok {
			return fmt.Sprintf("store %s was there before the snapshot and not after it", s.Name)
		}
		if why := fallen("the offset of store "+s.Name, s.Offset, after.Offset); why != "" {
			return why
		}
	}
	return ""
}

// store is the same store in other facts.
func (f SpliceFacts) store(same Store) (Store, bool) {
	for _, s := range f.Stores {
		if s.Name == same.Name && s.Version == same.Version && s.Party == same.Party &&
			s.Participant == same.Participant && s.MigrationID == same.MigrationID {
			return s, true
		}
	}
	return Store{}, false
}

// fallen says that a number is lower later, or is gone.
func fallen(what string, before, after *int64) string {
	switch {
	case before == nil || after != nil && *after >= *before:
		return ""
	case after == nil:
		return fmt.Sprintf("%s was %d before the snapshot and empty after it", what, *before)
	}
	return fmt.Sprintf("%s fell from %d before the snapshot to %d after it", what, *before, *after)
}

// Outside says what of the facts found in a capture does not lie between those
// that were read before and after it; "" when everything does.
func Outside(before, found, after Facts) string {
	if why := before.fell(found); why != "" {
		return "it is older than the reading before it: " + why
	}
	if why := found.fell(after); why != "" {
		return "it is newer than the reading after it: " + why
	}
	return ""
}
