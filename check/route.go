package check

import (
	"fmt"
	"time"

	"holdfast"
	"holdfast/record"
)

// Route is one way back, judged: whether it is open, what it costs, and the
// command that shows its plan and changes nothing.
type Route struct {
	Name     string           `json:"name"` // "set" or "identities"
	Title    string           `json:"title"`
	Verdict  holdfast.Verdict `json:"verdict"`
	Evidence string           `json:"evidence"`
	Set      holdfast.SetID   `json:"set,omitempty"` // that it starts from
	Next     string           `json:"next,omitempty"`
	Loses    string           `json:"loses"`
	Command  string           `json:"command"`
}

// Routes judges each way back, the one that loses less first.
func Routes(o Observations, now time.Time) []Route {
	v := newView(o, now)
	one := Route{
		Name: "set", Title: "Restore a set",
		Loses:   "What the databases changed since the set was taken, unless the network still replays it.",
		Command: "holdfast restore latest",
	}
	two := Route{
		Name: "identities", Title: "Onboard again with the identities",
		Loses: "Everything but party ids, Canton Coin and name entries: other contracts, the transaction " +
			"history, wallet users, and parties hosted on several participants or with keys of their own.",
		Command: "holdfast reonboard",
	}
	if s, _, ok := v.latest(); ok {
		one.Set = s.ID
	}
	if s, ok := v.sealed(); ok {
		two.Set = s.ID
	}
	return []Route{one.judged(v.routeOne()), two.judged(v.routeTwo())}
}

func (r Route) judged(a answer) Route {
	r.Verdict, r.Evidence = a.verdict, a.evidence
	if a.verdict == holdfast.CannotTell {
		r.Next = a.next
	}
	return r
}

// recoveryRoute judges whether one of the two routes is open. An unknown route
// does not close the other one.
func recoveryRoute(v *view) answer {
	one, two := v.routeOne(), v.routeTwo()
	both := func(a, b answer) string {
		return fmt.Sprintf("route one, a set: %s. Route two, the identities: %s", a.evidence, b.evidence)
	}
	switch {
	case one.verdict == holdfast.Holds || two.verdict == holdfast.Holds:
		return holds("%s", both(one, two))
	case one.verdict == holdfast.Violated && two.verdict == holdfast.Violated:
		return violated("%s", both(one, two)) // never silenced: nothing matters more
	}
	a := one
	if one.verdict != holdfast.CannotTell {
		a = two
	}
	a.evidence = both(one, two)
	return a
}

// routeOne is a restore of the newest proven set that is not in doubt.
func (v *view) routeOne() answer {
	s, a, ok := v.latest()
	switch {
	case !ok && a.because == PostgresCadence:
		return violated("closed: there is no proven set")
	case !ok && v.of(RepositoryReadable).verdict == holdfast.Violated:
		return violated("closed: %s", v.of(RepositoryReadable).evidence)
	case !ok:
		return a
	}
	// A violated condition closes the route, even when another is unknown.
	for _, verdict := range []holdfast.Verdict{holdfast.Violated, holdfast.CannotTell} {
		for _, code := range []Code{RestorePointRetained, OldSynchronizer} {
			if needed := v.of(code); needed.verdict == verdict {
				state := map[holdfast.Verdict]string{holdfast.Violated: "closed", holdfast.CannotTell: "cannot tell"}[verdict]
				return answer{
					verdict:  verdict,
					evidence: fmt.Sprintf("%s: %s", state, code),
					missing:  needed.missing,
					next:     needed.next,
					because:  code,
				}
			}
		}
	}
	// A restored participant fetches its keys from the KMS as it starts.
	if c, _ := captured(s); c.Facts.Participant != nil && len(c.Facts.Participant.KMSKeys) > 0 {
		keys := count(len(c.Facts.Participant.KMSKeys), "key")
		return cannotTell(inKMS, fmt.Sprintf("set %s holds the names of %s in a KMS", s.ID, keys))
	}
	if _, passed := record.Latest(v.proven, v.inDoubt); len(passed) > 0 {
		return holds("open, with set %s; newer and in doubt: %s", s.ID, count(len(passed), "proven set"))
	}
	return holds("open, with set %s", s.ID)
}

// routeTwo is a new onboarding with the identities of a set.
func (v *view) routeTwo() answer {
	if a, ok := v.listed(); !ok {
		if v.of(RepositoryReadable).verdict == holdfast.Violated {
			return violated("closed: %s", v.of(RepositoryReadable).evidence)
		}
		return a
	}
	s, ok := v.sealed()
	if !ok {
		return violated("closed: no set holds identities")
	}
	if why := failed(s.Identities.Checks, holdfast.Violated); why != "" {
		return violated("closed: the identities in set %s: %s", s.ID, why)
	}
	if s.Identities.KMS {
		return cannotTell(inKMS, fmt.Sprintf("the identities in set %s hold only the names "+
			"of keys%s", s.ID, kmsKeys(*s.Identities)))
	}
	if tested := v.of(RecoveryKeyTested); tested.verdict != holdfast.Holds {
		return answer{
			verdict:  holdfast.CannotTell,
			evidence: fmt.Sprintf("no current test shows that a key opens the identities in set %s", s.ID),
			missing:  []string{inKeyTests.name},
			next:     v.entry(RecoveryKeyTested).Next,
			because:  RecoveryKeyTested,
		}
	}
	return holds("open, with the identities in set %s", s.ID)
}

// kmsKeys lists the keys of a dump that are in a KMS.
func kmsKeys(i holdfast.IdentityFacts) string {
	var names []string
	for _, k := range i.Keys {
		if k.KMSKey != "" {
			names = append(names, k.KMSKey)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ": " + some(names)
}
