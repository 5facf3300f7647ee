package holdfast

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// OrderProof is the verdict on the order of a set's captures, edge by edge.
// It holds only when every edge does.
type OrderProof struct {
	Verdict Verdict     `json:"verdict"`
	Edges   []EdgeProof `json:"edges"`
}

// EdgeProof is the evidence for one edge from two independent sources: the
// run's clock, and what the two databases say about each other.
type EdgeProof struct {
	Edge
	Clock   Finding `json:"clock"`
	Content Finding `json:"content"`
}

// Finding is one verdict and the observation it rests on.
type Finding struct {
	Verdict  Verdict `json:"verdict"`
	Evidence string  `json:"evidence"`
}

// MembershipProof says whether the parts of a set belong to one node.
type MembershipProof struct {
	Verdict  Verdict   `json:"verdict"`
	Findings []Finding `json:"findings"`
}

// Prove recomputes the proofs and the state of the set from what it records.
// The program calls it once before it stores a set; Problems calls it again on
// every reading, so that a manifest cannot claim more than its facts say.
func (s *Set) Prove() {
	s.Order = proveOrder(s.Node.Edges(), s.Captures)
	s.Members = ProveMembership(s.Captures, s.Identities)
	switch {
	case s.Members.Verdict == Violated:
		s.State = Mismatched
	case s.Order.Verdict == Violated:
		s.State = Misordered
	case s.Order.Verdict == Holds && s.Members.Verdict == Holds && len(s.Missing) == 0 && len(s.faultyIdentities()) == 0 && len(s.gaps()) == 0:
		s.State = Proven
	default:
		s.State = Unproven
	}
}

// Problems returns everything that speaks against using this set, worst first;
// none means that it is proven. Verdicts are recomputed, not believed.
func (s Set) Problems() []Problem {
	fresh := s
	fresh.Prove()
	var out []Problem
	if s.Schema < 1 || s.Schema > ManifestSchema {
		return []Problem{{Class: Undetermined, What: fmt.Sprintf("set %s has manifest version %d; this program reads up to %d", s.ID, s.Schema, ManifestSchema),
			Do: "Use the Holdfast version that wrote it, or a later one."}}
	}
	for _, f := range fresh.Members.Findings {
		if f.Verdict != Holds {
			out = append(out, s.problem(f, "its parts do not belong to one node"))
		}
	}
	for _, e := range fresh.Order.Edges {
		for _, f := range []Finding{e.Clock, e.Content} {
			if f.Verdict != Holds {
				out = append(out, s.problem(f, fmt.Sprintf("%s has to be captured before %s", e.First, e.Then)))
			}
		}
	}
	for _, gap := range s.gaps() {
		out = append(out, Problem{Class: Violation, What: fmt.Sprintf("set %s has %s", s.ID, gap)})
	}
	for _, c := range s.faultyIdentities() {
		out = append(out, Problem{Class: Violation, What: fmt.Sprintf("set %s: identities: not so that %s: %s", s.ID, c.Title, c.Evidence)})
	}
	for _, m := range s.Missing {
		out = append(out, Problem{Class: Undetermined, What: fmt.Sprintf("set %s: %s", s.ID, m)})
	}
	if fresh.State != s.State {
		out = append(out, Problem{Class: Violation, What: fmt.Sprintf("set %s calls itself %s, but its facts say %s", s.ID, s.State, fresh.State)})
	}
	slices.SortStableFunc(out, func(a, b Problem) int { return rank(a.Class) - rank(b.Class) })
	return out
}

// gaps are the captures that the set should have and has not.
func (s Set) gaps() []string {
	var out []string
	for _, c := range s.Node.Components {
		if _, ok := s.Capture(c.Name); !ok {
			out = append(out, "no capture of "+string(c.Name))
		}
	}
	if len(s.Captures) == 0 {
		out = append(out, "no captures at all")
	}
	return out
}

// faultyIdentities are the offline checks that the identities dump failed. The
// databases beside it are not worth less for that, but the second way back is.
func (s Set) faultyIdentities() []IdentityCheck {
	if s.Identities == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Identities.Checks), func(c IdentityCheck) bool { return c.Verdict != Violated })
}

func rank(c Class) int {
	if c == Violation {
		return 0
	}
	return 1
}

func (s Set) problem(f Finding, rule string) Problem {
	class := Violation
	if f.Verdict == CannotTell {
		class = Undetermined
	}
	return Problem{Class: class, What: fmt.Sprintf("set %s: %s: %s", s.ID, rule, f.Evidence)}
}

// Capture returns the capture of that component.
func (s Set) Capture(name ComponentName) (Capture, bool) {
	for _, c := range s.Captures {
		if c.Component == name {
			return c, true
		}
	}
	return Capture{}, false
}

func proveOrder(edges []Edge, captures []Capture) OrderProof {
	proof := OrderProof{Verdict: Holds}
	for _, e := range edges {
		first, okFirst := find(captures, e.First)
		then, okThen := find(captures, e.Then)
		p := EdgeProof{Edge: e}
		if okFirst && okThen {
			p.Clock, p.Content = clockOrder(first, then), ContentOrder(first, then)
		} else {
			p.Clock = Finding{CannotTell, "one of the two was not captured"}
			p.Content = p.Clock
		}
		proof.Edges = append(proof.Edges, p)
		proof.Verdict = Worst(proof.Verdict, p.Clock.Verdict, p.Content.Verdict)
	}
	return proof
}

func find(captures []Capture, name ComponentName) (Capture, bool) {
	return Set{Captures: captures}.Capture(name)
}

// clockOrder compares the end of one capture with the begin of the other on
// the run's monotonic clock.
func clockOrder(first, then Capture) Finding {
	for _, c := range []Capture{first, then} {
		if c.Ended.Since < c.Began.Since {
			return Finding{CannotTell, fmt.Sprintf("%s ended before it began: its times are not those of one clock", c.Component)}
		}
	}
	gap := then.Began.Since - first.Ended.Since
	if gap <= 0 {
		return Finding{Violated, fmt.Sprintf("%s began %v before %s had ended", then.Component, -gap, first.Component)}
	}
	return Finding{Holds, fmt.Sprintf("%s ended %v before %s began", first.Component, gap.Round(time.Microsecond), then.Component)}
}

// ContentOrder compares what two databases say about each other, which is all
// there is to go by when nobody has kept the time. Only a
// validator app and its participant do; for other components the clock alone
// decides, and the evidence says so.
func ContentOrder(first, then Capture) Finding {
	if first.Kind != Validator || then.Kind != Participant {
		return Finding{Holds, fmt.Sprintf("the contents of %s and %s are not related by a rule; the clock decides", first.Component, then.Component)}
	}
	v, p := first.Facts.Validator, then.Facts.Participant
	switch {
	case v == nil:
		return Finding{CannotTell, fmt.Sprintf("the schema of %s is not one that is known: %s", first.Component, first.Facts.Unknown)}
	case p == nil:
		return Finding{CannotTell, fmt.Sprintf("the schema of %s is not one that is known: %s", then.Component, then.Facts.Unknown)}
	}
	return offsetOrder(*v, *p)
}

// offsetOrder applies the invariant of a consistent pair: no store of the
// validator app is ahead of the participant's ledger end, and the validator
// app is not behind what the participant has pruned. Stores of another
// participant are membership's business and are not compared here.
func offsetOrder(v ValidatorFacts, p ParticipantFacts) Finding {
	var ingested int64 = -1
	for _, s := range v.Stores {
		if s.MigrationID != v.MigrationID || s.Participant != "PAR::"+p.ParticipantID {
			continue
		}
		if s.Offset == nil {
			if s.Raw == "" || !s.Current {
				continue // nothing ingested yet, or a store that was left behind
			}
			return Finding{CannotTell, fmt.Sprintf("store %s of the validator app has an offset that does not decode: %q", s.Name, s.Raw)}
		}
		if p.LedgerEnd != nil && *s.Offset > *p.LedgerEnd {
			return Finding{Violated, fmt.Sprintf("store %s of the validator app has ingested up to offset %d, but the participant's ledger ends at %d",
				s.Name, *s.Offset, *p.LedgerEnd)}
		}
		ingested = max(ingested, *s.Offset)
	}
	switch {
	case ingested < 0:
		return Finding{CannotTell, "the validator app has not ingested anything from this participant yet"}
	case p.LedgerEnd == nil && ingested > 0:
		return Finding{Violated, fmt.Sprintf("the validator app has ingested up to offset %d, but the participant's ledger is empty", ingested)}
	case p.LedgerEnd == nil:
		return Finding{Holds, "both ledgers are empty"}
	case p.PrunedUpTo != nil && ingested < *p.PrunedUpTo:
		return Finding{Violated, fmt.Sprintf("the validator app has ingested up to offset %d, but the participant has pruned up to %d: the updates between are gone",
			ingested, *p.PrunedUpTo)}
	}
	return Finding{Holds, fmt.Sprintf("validator app ingested up to offset %d, participant's ledger end %d", ingested, *p.LedgerEnd)}
}

// ProveMembership compares the ids of the node in every place that carries one.
func ProveMembership(captures []Capture, ids *IdentityFacts) MembershipProof {
	proof := MembershipProof{Verdict: Holds}
	add := func(v Verdict, format string, args ...any) {
		proof.Findings = append(proof.Findings, Finding{v, fmt.Sprintf(format, args...)})
		proof.Verdict = Worst(proof.Verdict, v)
	}
	var participant *ParticipantFacts
	for _, c := range captures {
		if c.Kind == Participant {
			participant = c.Facts.Participant
			if participant == nil {
				add(CannotTell, "%s: %s", c.Component, c.Facts.Unknown)
			}
		}
	}
	for _, c := range captures {
		if c.Kind != Validator {
			continue
		}
		switch v := c.Facts.Validator; {
		case v == nil:
			add(CannotTell, "%s: %s", c.Component, c.Facts.Unknown)
		case participant == nil:
		case len(v.Participants()) == 0:
			add(CannotTell, "%s has no stores yet: it does not say which participant it belongs to", c.Component)
		case !slices.Contains(v.Participants(), participant.ParticipantID):
			add(Violated, "%s belongs to participant %s, but the participant's database is that of %s",
				c.Component, strings.Join(v.Participants(), ", "), participant.ParticipantID)
		default:
			add(Holds, "%s belongs to participant %s", c.Component, participant.ParticipantID)
		}
	}
	if ids != nil && participant != nil {
		if ids.ID == "PAR::"+participant.ParticipantID {
			add(Holds, "the identities are those of participant %s", participant.ParticipantID)
		} else {
			add(Violated, "the identities are those of %s, but the participant's database is that of %s", ids.ID, participant.ParticipantID)
		}
	}
	return proof
}

// Worst folds verdicts: a violation outweighs what cannot be told, which
// outweighs what holds.
func Worst(verdicts ...Verdict) Verdict {
	switch {
	case slices.Contains(verdicts, Violated):
		return Violated
	case slices.Contains(verdicts, CannotTell):
		return CannotTell
	}
	return Holds
}
