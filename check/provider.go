package check

import (
	"fmt"
	"strings"

	"holdfast"
)

// RoomWanted is how many more snapshots an account should take: those of two days at
// six sets a day.
const RoomWanted = 12

func providerKeepsSnapshots(v *view) answer {
	instances, ok := v.Provider.Get()
	switch {
	case !ok:
		return cannotTell(inProvider, v.Provider.Missing())
	case len(instances) == 0:
		return holds("not judged: no provider takes snapshots of this node")
	}
	if gone := v.gone(instances); len(gone) > 0 {
		return violated("the provider does not keep the snapshots of %s any more: %s", count(len(gone), "set"), some(gone))
	}
	var found []string
	for _, i := range instances {
		left := max(i.Most-i.Used, 0)
		switch {
		case left < RoomWanted:
			return violated("%s has %d of %d snapshots, so %d are left", i.Keeper, i.Used, i.Most, left)
		case !i.Protected:
			return violated("deletion protection of %s is off", i.Name)
		}
		found = append(found, fmt.Sprintf("%s is protected, %s left", i.Name, count(left, "snapshot")))
	}
	return holds("%s", strings.Join(found, "; "))
}

// gone are the proven sets that refer to more snapshots than are there.
func (v *view) gone(instances []Instance) (ids []string) {
	there := map[holdfast.SetID]int{}
	for _, i := range instances {
		for _, id := range i.Sets {
			there[id]++
		}
	}
	for _, s := range v.proven {
		wants := 0
		for _, c := range s.Captures {
			if c.Method == holdfast.Snapshot {
				wants++
			}
		}
		if there[s.ID] < wants {
			ids = append(ids, string(s.ID))
		}
	}
	return ids
}

func rowsInRepository(v *view) answer {
	latest, a, ok := v.latest()
	switch {
	case !ok:
		return a
	case !latest.KeptElsewhere():
		return holds("not judged: set %s has its rows in the repository", latest.ID)
	}
	for i := len(v.proven) - 1; i >= 0; i-- {
		s := v.proven[i]
		if s.KeptElsewhere() || v.inDoubt(s) {
			continue
		}
		age := v.now.Sub(takenAt(s))
		if age > v.Limits.Rows {
			return violated("set %s is the newest with its rows in the repository, and %s old; the limit is %s",
				s.ID, span(age), span(v.Limits.Rows))
		}
		return holds("set %s, %s old, has its rows in the repository", s.ID, span(age))
	}
	return violated("every proven set refers to snapshots that a provider keeps")
}
