package check

import (
	"fmt"

	"holdfast"
)

// locked are the locks of a repository that has any. Without, the answer says so:
// there is nothing to judge.
func (v *view) locked() (Locks, answer, bool) {
	if a, ok := v.listed(); !ok {
		return Locks{}, a, false
	}
	l, ok := v.Locks.Get()
	switch {
	case !ok:
		return l, cannotTell(inLocks, v.Locks.Missing()), false
	case l.Mode == "":
		return l, holds("not judged: %s locks nothing", l.Where), false
	}
	return l, answer{}, true
}

func locksWithstandAttack(v *view) answer {
	l, a, ok := v.locked()
	switch {
	case !ok:
		return a
	case !l.Kept:
		return violated("the repository is to lock for %s, and %s keeps no locks", span(l.Period), l.Where)
	case l.Untried != "":
		return cannotTell(inAttacks, l.Untried)
	case l.Tried == nil || l.Tried.At.After(v.now.Add(v.Limits.Skew)):
		return violated("no attack was ever tried")
	}
	age := v.now.Sub(l.Tried.At)
	for _, t := range l.Tried.Tried {
		if t.Verdict == holdfast.Violated {
			return violated("%s ago, %s: %s", span(age), t.Attack, t.Found)
		}
	}
	if age > v.Limits.Attack {
		return violated("the last attacks were tried %s ago; the limit is %s", span(age), span(v.Limits.Attack))
	}
	for _, t := range l.Tried.Tried {
		if t.Verdict != holdfast.Holds {
			return cannotTell(input{
				"what came of an attack",
				"Try it again: `holdfast repository check-immutability`.",
			}, fmt.Sprintf("%s ago, %s: %s", span(age), t.Attack, t.Found))
		}
	}
	return holds("%s failed, %s ago", count(len(l.Tried.Tried), "attack"), span(age))
}

// leastLock is the part of its period that a lock has left at least.
const leastLock = 4

func locksExtended(v *view) answer {
	l, a, ok := v.locked()
	switch {
	case !ok:
		return a
	case !l.Kept:
		return violated("%s keeps no locks", l.Where).dueTo(LocksWithstandAttack)
	case l.Until.IsZero():
		return violated("%s has no lock", l.Of)
	}
	extended := "maintenance has not extended any yet"
	if !l.Extended.IsZero() {
		extended = fmt.Sprintf("maintenance extended them %s ago", span(v.now.Sub(l.Extended)))
	}
	whose := "the locks end"
	if l.Of != "" {
		whose = "the lock of " + l.Of + " ends"
	}
	if left := l.Until.Sub(v.now); left < l.Period/leastLock {
		return violated("%s in %s; %s", whose, span(left), extended)
	}
	also := ""
	if l.Default != "" {
		also = fmt.Sprintf("; the bucket retains every blob (%s), so that markers of sessions pile up", l.Default)
	}
	return holds("%s at the earliest %s; %s%s", whose, when(l.Until), extended, also)
}
