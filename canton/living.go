package canton

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"holdfast"
)

// Living is a program of a database's kind that is connected to it.
type Living struct {
	Name   string // of its container, or its address
	Locked bool   // it holds the lock of its kind
}

// HasLock reports whether programs of a kind hold a lock on their database.
func HasLock(kind holdfast.Kind) bool {
	return slices.Contains(slices.Collect(maps.Values(programs)), kind)
}

// LivingOn are the programs of a kind among the sessions of a database, by their
// locks and their addresses.
func LivingOn(list []Session, kind holdfast.Kind) (out []Living) {
	for _, s := range list {
		if s.Program == kind {
			out = append(out, Living{Name: s.From, Locked: true})
		}
	}
	return out
}

// OneLiving judges whether one program of a kind at most is alive on a database.
// One that is connected next to the one with the lock is a replica, and passive.
func OneLiving(database string, kind holdfast.Kind, list []Living) holdfast.Finding {
	var locked, others []string
	for _, l := range list {
		if l.Locked && !slices.Contains(locked, l.Name) {
			locked = append(locked, l.Name)
		}
	}
	for _, l := range list {
		if !slices.Contains(locked, l.Name) && !slices.Contains(others, l.Name) {
			others = append(others, l.Name)
		}
	}
	writers := locked
	if len(writers) == 0 {
		writers = others
	}
	title := string(kind)
	if kind == holdfast.Validator {
		title = "validator app"
	}
	switch {
	case len(writers) > 1:
		return holdfast.Finding{
			Verdict:  holdfast.Violated,
			Evidence: fmt.Sprintf("database %s has more than one %s: %s", database, title, strings.Join(writers, ", ")),
		}
	case len(writers) == 0:
		return holdfast.Finding{Verdict: holdfast.Holds, Evidence: "no " + title + " is alive"}
	}
	one := holdfast.Finding{Verdict: holdfast.Holds, Evidence: "one " + title + " is alive, " + writers[0]}
	if len(locked) > 0 && len(others) > 0 {
		one.Evidence += ", and passive next to it " + strings.Join(others, ", ")
	}
	return one
}
