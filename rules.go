package holdfast

import "fmt"

// rule orders every component of one kind before every component of another.
type rule struct {
	first, then Kind
	why         string
	source      string // where it is written down
	soft        bool   // a wish
	// content proves the rule by what the two databases say about each other;
	// nil: they say nothing, and the clock alone decides.
	content func(first Kind, f, then Facts) Finding
}

// rules is the table of the rules of order. Another rule is another row.
var rules = []rule{
	{Validator, Participant, "the validator app's backup is complete before the participant's starts",
		"Splice: validator_backups", false, offsetOrder},
	{SV, Participant, "the SV app's backup is complete before the participant's starts",
		"Splice: sv_backup", false, offsetOrder},
	{Scan, Participant, "Scan's backup is complete before the participant's starts",
		"Splice: sv_backup", false, offsetOrder},
	{Orderer, Sequencer, "the block orderer's backup is complete before its sequencer's starts",
		"Splice: node-backup.sh", false, nil},
	{Scan, Mediator, "verdicts that Scan has and the mediator has not come twice",
		"Splice: scan_verdict_store", true, nil},
}

// ruleOf is the rule that orders components of those kinds.
func ruleOf(first, then Kind) (rule, bool) {
	for _, r := range rules {
		if r.first == first && r.then == then {
			return r, true
		}
	}
	return rule{}, false
}

func (r rule) edge(first, then Component) Edge {
	return Edge{First: first.Name, Then: then.Name, Why: fmt.Sprintf("%s (%s)", r.why, r.source), Soft: r.soft}
}

// offsetOrder applies the invariant of a consistent pair: no store of an app of
// Splice is ahead of the participant's ledger end, and the app is not behind
// what the participant has pruned. Stores of another participant are
// membership's business and are not compared here.
func offsetOrder(app Kind, f, then Facts) Finding {
	s, p := f.stores(), then.Participant
	if s == nil || p == nil {
		return Finding{CannotTell, "one of the two says nothing about itself"}
	}
	ingested, odd := s.ingested(app, *p)
	if odd != nil {
		return *odd
	}
	who := app.Title()
	switch {
	case ingested < 0:
		return Finding{CannotTell, fmt.Sprintf("the %s has not ingested anything from this participant yet", who)}
	case p.LedgerEnd == nil && ingested > 0:
		return Finding{Violated,
			fmt.Sprintf("the %s has ingested up to offset %d, but the participant's ledger is empty", who, ingested)}
	case p.LedgerEnd == nil:
		return Finding{Holds, "both ledgers are empty"}
	case p.PrunedUpTo != nil && ingested < *p.PrunedUpTo:
		return Finding{Violated,
			fmt.Sprintf("the %s has ingested up to offset %d, but the participant has pruned up to %d: the updates "+
				"between are gone",
				who, ingested, *p.PrunedUpTo)}
	}
	return Finding{Holds,
		fmt.Sprintf("%s ingested up to offset %d, participant's ledger end %d", who, ingested, *p.LedgerEnd)}
}

// ingested is the newest offset that any store of the participant has, -1 when
// none has one; or the store that speaks against the pair or cannot be read.
func (f SpliceFacts) ingested(app Kind, p ParticipantFacts) (int64, *Finding) {
	var newest int64 = -1
	for _, s := range f.Stores {
		if s.MigrationID != f.MigrationID || s.Participant != "PAR::"+p.ParticipantID {
			continue
		}
		if s.Offset == nil {
			if s.Raw == "" || !s.Current {
				continue // nothing ingested yet, or a store that was left behind
			}
			return 0, &Finding{CannotTell,
				fmt.Sprintf("store %s of the %s has an offset that does not decode: %q", s.Name, app.Title(), s.Raw)}
		}
		if p.LedgerEnd != nil && *s.Offset > *p.LedgerEnd {
			return 0, &Finding{Violated,
				fmt.Sprintf("store %s of the %s has ingested up to offset %d, but the participant's "+
					"ledger ends at %d",
					s.Name, app.Title(), *s.Offset, *p.LedgerEnd)}
		}
		newest = max(newest, *s.Offset)
	}
	return newest, nil
}
