package retention

import (
	"slices"
	"time"

	"holdfast"
)

// spacing keeps more sets, so that the ledger's history has no gap: two
// neighbouring kept sets are never further apart than the participant's pruning
// window between them.
//
// It walks from the newest set back. Each step goes as far as the window
// allows, to a set that the calendar keeps anyway if possible, else to the
// oldest set in reach, which is then kept. A pinned set is no stepping stone:
// when its pin expires, all older stones would be wrong. If the window changed,
// the sets on both sides are kept, so a later decision sees the same windows
// between two sets.
func (d *decider) spacing() {
	if d.policy.History == 0 || len(d.good) == 0 {
		return
	}
	i := len(d.good) - 1
	newest := d.good[i].At
	reached := func(c Candidate) bool {
		if c.Window == 0 && !c.Pruned {
			return true // it holds the ledger from its beginning
		}
		return d.policy.History != Forever && newest.Sub(c.At)+c.Window >= d.policy.History
	}
	for i > 0 && !reached(d.good[i]) {
		next, limit := d.step(i)
		apart := d.good[i].At.Sub(d.good[next].At)
		if limit > 0 && apart > limit {
			d.gaps = append(d.gaps, Gap{From: d.good[next].Set, To: d.good[i].Set, Apart: apart, Window: limit})
			d.keep(d.good[next], Spacing, "the nearest to %s, but %s apart: more than the pruning window of %s",
				d.good[i].Set, span(apart), span(limit))
		} else if !d.anchored(d.good[next].Set) {
			d.keep(d.good[next], Spacing,
				"history: without it its neighbours are further apart than the pruning window of %s",
				span(limit))
		}
		i = next
	}
	slices.Reverse(d.gaps)
	for _, c := range d.good {
		d.speak(c, Spacing, "the wanted history has no gap without it")
	}
}

// step returns the next set after i, and the pruning window in between, 0 for
// none.
func (d *decider) step(i int) (next int, limit time.Duration) {
	stone, oldest := -1, -1
	smallest := d.good[i].Window
	limit = smallest
	for k := i - 1; k >= 0; k-- {
		if w := d.good[k].Window; w > 0 && (smallest == 0 || w < smallest) {
			smallest = w
		}
		if smallest > 0 && d.good[i].At.Sub(d.good[k].At) > smallest {
			break
		}
		limit, oldest = smallest, k
		if d.anchored(d.good[k].Set) {
			stone = k
		}
	}
	switch {
	case stone >= 0:
		return stone, limit
	case oldest >= 0:
		return oldest, limit
	}
	limit = d.good[i].Window
	if w := d.good[i-1].Window; w > 0 && (limit == 0 || w < limit) {
		limit = w
	}
	return i - 1, limit
}

// anchored reports whether a rule keeps the set that does not depend on the
// clock or on a pin.
func (d *decider) anchored(id holdfast.SetID) bool {
	return slices.ContainsFunc(d.kept[id], func(r Reason) bool {
		switch r.Rule {
		case Newest, Within, Last, Hourly, Daily, Weekly, Monthly, Yearly, Change:
			return true
		}
		return false
	})
}
