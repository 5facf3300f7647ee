package check

import (
	"fmt"

	"holdfast"
)

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

// routeOne is a restore of the newest proven set.
func (v *view) routeOne() answer {
	s, a, ok := v.newest()
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
