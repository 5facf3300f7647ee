package holdfast

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// OrderProof is the verdict on the order of a set's captures, edge by edge.
// It holds only when every edge does that is no mere wish; where no rule orders
// anything, it says that none applies.
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

// Finding is one verdict and the observation it rests on. Its verdict may be
// that no rule applies.
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
	s.Order = s.proveOrder()
	s.Members = ProveMembership(s.Parts(), s.Identities)
	switch {
	case s.Members.Verdict == Violated:
		s.State = Mismatched
	case s.Order.Verdict == Violated:
		s.State = Misordered
	case s.Order.Verdict.Against() || s.Members.Verdict.Against() || len(s.Missing) > 0 ||
		len(s.faultyIdentities()) > 0 || len(s.gaps()) > 0 || len(s.obstacles()) > 0 || len(s.doubts()) > 0 ||
		len(s.Deployment.lacking()) > 0:
		s.State = Unproven
	default:
		s.State = Proven
	}
}

// Problems returns everything that speaks against using this set, worst first;
// none means that it is proven. Verdicts are recomputed, not believed.
func (s Set) Problems() []Problem {
	fresh := s
	fresh.Prove()
	var out []Problem
	if s.Schema < 1 || s.Schema > ManifestSchema {
		return []Problem{{
			Class: Undetermined,
			What: fmt.Sprintf("set %s has manifest version %d; this program reads up to %d", s.ID, s.Schema,
				ManifestSchema),
			Do: "Use the Holdfast version that wrote it, or a later one.",
		}}
	}
	for _, f := range fresh.Members.Findings {
		if f.Verdict.Against() {
			out = append(out, s.problem(f, "its parts do not belong to one node"))
		}
	}
	for _, e := range fresh.Order.Edges {
		for _, f := range []Finding{e.Clock, e.Content} {
			if f.Verdict.Against() && !e.Soft {
				out = append(out, s.problem(f, fmt.Sprintf("%s has to be captured before %s", e.First, e.Then)))
			}
		}
	}
	for _, gap := range s.gaps() {
		out = append(out, Problem{Class: Violation, What: fmt.Sprintf("set %s has %s", s.ID, gap)})
	}
	for _, c := range s.faultyIdentities() {
		out = append(out, Problem{
			Class: Violation,
			What:  fmt.Sprintf("set %s: identities: failed: %s: %s", s.ID, c.Title, c.Evidence),
		})
	}
	out = append(out, s.obstacles()...)
	for _, m := range slices.Concat(s.Missing, s.doubts()) {
		out = append(out, Problem{Class: Undetermined, What: fmt.Sprintf("set %s: %s", s.ID, m)})
	}
	for _, what := range s.Deployment.lacking() {
		out = append(out, Problem{
			Class: Undetermined,
			What:  fmt.Sprintf("set %s: a restore on an empty machine cannot make the node again: %s", s.ID, what),
		})
	}
	if fresh.State != s.State {
		out = append(out, Problem{
			Class: Violation,
			What:  fmt.Sprintf("set %s calls itself %s, but its facts say %s", s.ID, s.State, fresh.State),
		})
	}
	slices.SortStableFunc(out, func(a, b Problem) int { return rank(a.Class) - rank(b.Class) })
	return out
}

// gaps are the captures that the set should have and has not.
func (s Set) gaps() []string {
	var out []string
	for _, c := range s.Node.Components {
		if _, ok := s.Part(c.Name); !ok {
			out = append(out, "no capture of "+string(c.Name))
		}
	}
	if len(s.Captures) == 0 {
		out = append(out, "no captures at all")
	}
	return out
}

// doubts are what the methods of the captures could not tell.
func (s Set) doubts() []string {
	var out []string
	for _, c := range s.Captures {
		for _, d := range c.Doubts {
			names := make([]string, len(c.Components))
			for i, of := range c.Components {
				names[i] = string(of.Component)
			}
			out = append(out, fmt.Sprintf("%s: %s", strings.Join(names, ", "), d))
		}
	}
	return out
}

// LacksIdentities reports whether a set of a participant has no identities
// because none are configured. It may be proven: what is proven is that its
// databases come back. It has no second way back.
func (s Set) LacksIdentities() bool {
	return s.Identities == nil && !s.failedIdentities() && s.Node.HasParticipant()
}

// FetchedIdentities reports whether a set's identities were fetched for it: one
// that could not fetch them has those of the set before.
func (s Set) FetchedIdentities() bool { return s.Identities != nil && !s.failedIdentities() }

func (s Set) failedIdentities() bool {
	return slices.ContainsFunc(s.Missing, func(m string) bool { return strings.HasPrefix(m, MissingIdentities) })
}

// MissingIdentities is how what is missing begins, of identities that could not be
// taken.
const MissingIdentities = "identities: "

// faultyIdentities are the offline checks that the identities dump failed. The
// databases in the set are worth no less for that, but the second way back is.
func (s Set) faultyIdentities() []IdentityCheck {
	if s.Identities == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Identities.Checks), func(c IdentityCheck) bool {
		return c.Verdict != Violated
	})
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

func (s Set) proveOrder() OrderProof {
	proof := OrderProof{Verdict: NoneApplies}
	for _, e := range s.Node.Edges() {
		p := s.proveEdge(e)
		proof.Edges = append(proof.Edges, p)
		if !e.Soft {
			proof.Verdict = Worst(proof.Verdict, p.Clock.Verdict, p.Content.Verdict)
		}
	}
	return proof
}

func (s Set) proveEdge(e Edge) EdgeProof {
	first, okFirst := s.Part(e.First)
	then, okThen := s.Part(e.Then)
	switch {
	case !okFirst || !okThen:
		none := Finding{CannotTell, "one of the two was not captured"}
		return EdgeProof{Edge: e, Clock: none, Content: none}
	case first.atOnce(then):
		one := "one capture has both as they were at one instant"
		if first.at != then.at {
			one = "one snapshot had both as they were at one instant"
		}
		return EdgeProof{
			Edge:    e,
			Clock:   Finding{Holds, one},
			Content: contentAtOnce(first, then),
		}
	}
	return EdgeProof{Edge: e, Clock: clockOrder(first, then), Content: contentInTurn(first, then)}
}

// clockOrder compares the end of one capture with the begin of the other on
// the run's monotonic clock.
func clockOrder(first, then Part) Finding {
	for _, c := range []Part{first, then} {
		if c.Ended.Since < c.Began.Since {
			return Finding{CannotTell,
				fmt.Sprintf("%s ended before it began: its times are not those of one clock", c.Component)}
		}
	}
	gap := then.Began.Since - first.Ended.Since
	if gap <= 0 {
		return Finding{Violated,
			fmt.Sprintf("%s began %v before %s had ended", then.Component, -gap, first.Component)}
	}
	return Finding{Holds,
		fmt.Sprintf("%s ended %v before %s began", first.Component, gap.Round(time.Microsecond), then.Component)}
}

// Margin is the time between captures that a rule orders, on the run's clock: the
// shortest, and 0 or less where one began too early. It is nil where no rule
// orders two captures.
func (s Set) Margin() (shortest *time.Duration) {
	for _, e := range s.Node.Edges() {
		first, okFirst := s.Part(e.First)
		then, okThen := s.Part(e.Then)
		if e.Soft || !okFirst || !okThen || first.atOnce(then) {
			continue
		}
		gap := then.Began.Since - first.Ended.Since
		if shortest == nil || gap < *shortest {
			shortest = &gap
		}
	}
	return shortest
}

// ContentOrder compares what two databases say about each other, which is all
// there is to go by when nobody has kept the time. Where no rule relates the
// two, the finding says so, and the clock alone decides. Of captures that were
// not read it holds when it holds in the worst case, and is violated when it is
// in the best.
func ContentOrder(first, then Captured) Finding {
	best, worst := contents(first, then)
	if best.Verdict != Holds || worst.Verdict != Violated {
		return best
	}
	return Finding{CannotTell, "the readings around the snapshots allow that " + worst.Evidence}
}

// contents is the order of two contents in the best case and in the worst.
func contents(first, then Captured) (best, worst Finding) {
	r, ok := ruleOf(first.Kind, then.Kind)
	if !ok || r.content == nil {
		none := Finding{NoneApplies,
			fmt.Sprintf("no rule relates the contents of %s and %s; the clock decides", first.Component,
				then.Component)}
		return none, none
	}
	for _, c := range []Captured{first, then} {
		for _, f := range []Facts{c.span().earliest, c.span().latest} {
			if f.Unknown != "" {
				none := Finding{CannotTell,
					fmt.Sprintf("the schema of %s is not one that is known: %s", c.Component, f.Unknown)}
				return none, none
			}
		}
	}
	return r.content(first.Kind, first.span(), then.span())
}

// contentInTurn is ContentOrder of two captures, one after the other.
func contentInTurn(first, then Part) Finding {
	order := ContentOrder(first.Captured, then.Captured)
	if order.Verdict == NoneApplies {
		return order
	}
	for _, p := range []Part{first, then} {
		if why := p.broken(); why != "" {
			return Finding{CannotTell, fmt.Sprintf("the readings of %s bracket nothing: %s", p.Component, why)}
		}
	}
	return order
}

// contentAtOnce is the order of what one capture has. Where nobody read it, the
// readings around it can only contradict that it is in order.
func contentAtOnce(first, then Part) Finding {
	order := contentInTurn(first, then)
	if !first.bracketed() && !then.bracketed() {
		return order
	}
	best, _ := contents(first.Captured, then.Captured)
	if order.Verdict == CannotTell && best.Verdict == Holds && first.broken() == "" && then.broken() == "" {
		return Finding{NoneApplies, "the readings around the snapshot do not contradict it"}
	}
	return order
}

// ProveMembership compares the ids of the node in every place that carries one.
func ProveMembership(parts []Part, ids *IdentityFacts) MembershipProof {
	proof := MembershipProof{Verdict: NoneApplies}
	add := func(v Verdict, format string, args ...any) {
		proof.Findings = append(proof.Findings, Finding{v, fmt.Sprintf(format, args...)})
		proof.Verdict = Worst(proof.Verdict, v)
	}
	var participant *ParticipantFacts
	for _, c := range parts {
		if c.Kind == Participant {
			participant = c.Facts.Participant
			if participant == nil {
				add(CannotTell, "%s: %s", c.Component, c.Facts.Unknown)
			}
		}
	}
	for _, c := range parts {
		if !c.Kind.keepsStores() {
			continue
		}
		switch v := c.Facts.stores(); {
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
			add(Violated, "the identities are those of %s, but the participant's database is that of %s", ids.ID,
				participant.ParticipantID)
		}
	}
	return proof
}
