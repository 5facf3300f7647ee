package holdfast

import (
	"cmp"
	"fmt"
	"slices"
)

// rule orders every component of one kind before every component of another.
type rule struct {
	first, then Kind
	why         string
	source      string // where it is written down
	soft        bool   // a wish
	// content proves the rule by what the two databases say about each other, in the
	// best case and in the worst, which are one where both captures were read; nil:
	// they say nothing, and the clock alone decides.
	content func(first Kind, f, then span) (best, worst Finding)
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
func offsetOrder(app Kind, f, then span) (best, worst Finding) {
	early, late := f.earliest.stores(), f.latest.stores()
	from, to := then.earliest.Participant, then.latest.Participant
	if early == nil || late == nil || from == nil || to == nil {
		none := Finding{CannotTell, "one of the two says nothing about itself"}
		return none, none
	}
	unknown := cmp.Or(early.unknown(app, *to), late.unknown(app, *to))
	holds := Finding{Holds, "both ledgers are empty"}
	if newest, _ := late.newest(from.ParticipantID); from.LedgerEnd != nil {
		holds.Evidence = fmt.Sprintf("%s ingested up to offset %d, participant's ledger end %d",
			app.Title(), newest, *from.LedgerEnd)
	}
	judge := func(ahead, behind string) Finding {
		switch {
		case ahead != "":
			return Finding{Violated, ahead}
		case unknown != "":
			return Finding{CannotTell, unknown}
		case behind != "":
			return Finding{Violated, behind}
		}
		return holds
	}
	return judge(early.ahead(app, *to), late.behind(app, *from)), judge(late.ahead(app, *from), early.behind(app, *to))
}

// of are the stores that count the offsets of this participant.
func (f SpliceFacts) of(p ParticipantFacts) []Store {
	return slices.DeleteFunc(slices.Clone(f.Stores), func(s Store) bool {
		return s.MigrationID != f.MigrationID || s.Participant != "PAR::"+p.ParticipantID
	})
}

// ahead says which store has ingested what the participant does not have.
func (f SpliceFacts) ahead(app Kind, p ParticipantFacts) string {
	if newest, _ := f.newest(p.ParticipantID); p.LedgerEnd == nil && newest > 0 {
		return fmt.Sprintf("the %s has ingested up to offset %d, but the participant's ledger is empty",
			app.Title(), newest)
	}
	for _, s := range f.of(p) {
		if s.Offset != nil && p.LedgerEnd != nil && *s.Offset > *p.LedgerEnd {
			return fmt.Sprintf("store %s of the %s has ingested up to offset %d, but the participant's ledger ends at %d",
				s.Name, app.Title(), *s.Offset, *p.LedgerEnd)
		}
	}
	return ""
}

// behind says that the participant has pruned what the app has not ingested.
func (f SpliceFacts) behind(app Kind, p ParticipantFacts) string {
	newest, known := f.newest(p.ParticipantID)
	if !known || p.PrunedUpTo == nil || newest >= *p.PrunedUpTo {
		return ""
	}
	return fmt.Sprintf("the %s has ingested up to offset %d, but the participant has pruned up to %d: the updates "+
		"between are gone", app.Title(), newest, *p.PrunedUpTo)
}

// unknown says why the app's offset is not known. What ingested nothing yet, or
// was left behind, need not have one.
func (f SpliceFacts) unknown(app Kind, p ParticipantFacts) string {
	for _, s := range f.of(p) {
		if s.Offset == nil && s.Raw != "" && s.Current {
			return fmt.Sprintf("store %s of the %s has an offset that does not decode: %q", s.Name, app.Title(), s.Raw)
		}
	}
	if _, known := f.newest(p.ParticipantID); !known {
		return fmt.Sprintf("the %s has not ingested anything from this participant yet", app.Title())
	}
	return ""
}
