package history

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"holdfast"
	"holdfast/record"
)

// Window is how far back a report looks.
const Window = 30 * 24 * time.Hour

// Set is a stored set as a history sees it.
type Set struct {
	record.Set
	Databases int64            `json:"database_bytes"`    // of the databases as captured
	Drilled   holdfast.Verdict `json:"drilled,omitempty"` // of the newest conclusive drill; "" without one
	Pinned    *record.Pin      `json:"pinned,omitempty"`
	// Marks are what a restore has to match, by name: "Postgres version of
	// participant" is "15.18".
	Marks map[string]string `json:"-"`
}

// Report is a node's history up to a time.
type Report struct {
	From    time.Time     `json:"from"`
	To      time.Time     `json:"to"`
	Cadence time.Duration `json:"cadence_ns"`
	Sets    []Set         `json:"sets"`    // of the window, oldest first
	Gaps    []Gap         `json:"gaps"`    // longer than the rule allows
	Changes []Change      `json:"changes"` // between two sets
	Growth  Growth        `json:"growth"`
}

// Gap is a time without a proven set that is longer than the rule allows. It
// ends when the next proven set began.
type Gap struct {
	From  time.Time     `json:"from"`
	To    time.Time     `json:"to"`
	Apart time.Duration `json:"apart_ns"`
	Open  bool          `json:"open,omitempty"` // it has not ended
}

// Change is a difference between two neighbouring sets that a restore has to
// match: an upgrade, mostly.
type Change struct {
	At   time.Time      `json:"at"`
	Set  holdfast.SetID `json:"set"` // the first with the new value
	What string         `json:"what"`
	From string         `json:"from"`
	Now  string         `json:"now"`
}

// Options are the rules that a history is held against.
type Options struct {
	Cadence time.Duration // between the begins of proven sets; 4 h (Splice: validator_backups)
	Grace   time.Duration // by which a set may be late; 30 min
	Stored  int64         // bytes in the storage; 0: unknown
	Price   Price
}

// Make reports on a node's sets as of now.
func Make(sets []Set, now time.Time, o Options) Report {
	o.Cadence, o.Grace = cmp.Or(o.Cadence, 4*time.Hour), cmp.Or(o.Grace, 30*time.Minute)
	sets = slices.SortedStableFunc(slices.Values(sets), func(a, b Set) int { return a.Began.Compare(b.Began) })
	sets = slices.DeleteFunc(sets, func(s Set) bool { return s.Began.After(now) })
	r := Report{
		From: now.Add(-Window), To: now, Cadence: o.Cadence,
		Sets: []Set{}, Changes: []Change{},
		Growth: growth(sets, now, o),
	}
	r.Gaps = gaps(sets, r.From, now, o)
	for i, s := range sets {
		if s.Began.Before(r.From) {
			continue
		}
		r.Sets = append(r.Sets, s)
		if i > 0 {
			r.Changes = append(r.Changes, changes(sets[i-1], s)...)
		}
	}
	return r
}

// gaps are measured between the begins of proven sets: that is how old a restore
// is. What is before the first set is no gap.
func gaps(sets []Set, from, now time.Time, o Options) []Gap {
	out := []Gap{}
	var last time.Time
	step := func(to time.Time, open bool) {
		if apart := to.Sub(last); !last.IsZero() && apart > o.Cadence+o.Grace && to.After(from) {
			out = append(out, Gap{From: last, To: to, Apart: apart, Open: open})
		}
	}
	for _, s := range sets {
		if s.State == holdfast.Proven {
			step(s.Began, false)
			last = s.Began
		}
	}
	step(now, true)
	return out
}

func changes(before, after Set) (out []Change) {
	for _, name := range slices.Sorted(maps.Keys(after.Marks)) {
		was, known := before.Marks[name]
		if is := after.Marks[name]; known && was != is {
			out = append(out, Change{At: after.Began, Set: after.ID, What: name, From: was, Now: is})
		}
	}
	return out
}
