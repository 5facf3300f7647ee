package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Runway is the time the node has left with one super validator: its retention,
// less the time since the participant last acknowledged. When it ends, that
// sequencer disables the node for good. The end is nil where an input is
// missing: it is never computed from an assumed value.
type Runway struct {
	SV        string         `json:"sv"`
	Retention *time.Duration `json:"retention_ns"`
	Source    string         `json:"source"` // "published: ...", "declared: ...", "unknown"
	Acked     *time.Time     `json:"last_acknowledgement"`
	Left      *time.Duration `json:"left_ns"`
	Ends      *time.Time     `json:"ends"`
}

// String prints a runway that was computed.
func (r *Runway) String() string {
	return fmt.Sprintf("%s keeps %s (%s): %s left", r.SV, span(*r.Retention), r.Source, span(*r.Left))
}

func (r *Runway) left(at, now time.Time) {
	ends := at.Add(*r.Retention)
	left := ends.Sub(now)
	r.Acked, r.Left, r.Ends = &at, &left, &ends
}

// Runways computes the runway of every known super validator, the shortest
// first, the unknown ones last.
func Runways(o Observations, now time.Time) []Runway {
	v := newView(o, now)
	svs, _ := v.retentions()
	at, _, _, known := v.progress()
	out := []Runway{}
	for _, r := range svs {
		if known {
			r.Acked = &at
		}
		if known && r.Retention != nil {
			r.left(at, now)
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b Runway) int {
		switch {
		case a.Left == nil && b.Left == nil:
			return cmp.Compare(a.SV, b.SV)
		case a.Left == nil:
			return 1
		case b.Left == nil:
			return -1
		}
		return cmp.Or(cmp.Compare(*a.Left, *b.Left), cmp.Compare(a.SV, b.SV))
	})
	return out
}

// retentions lists the super validators that at least two Scans name and those
// that are declared, with their retention if it is known. The second result
// reports whether the list is complete.
func (v *view) retentions() ([]Runway, bool) {
	byName := map[string]Retention{}
	for _, r := range v.Declared.Retention {
		byName[r.SV] = r
	}
	fallback, every := byName[EverySV]
	votes := map[string]int{}
	answered := 0
	for _, s := range v.Scans {
		list, ok := s.Sequencers.Get()
		if ok {
			answered++
		}
		named := map[string]bool{}
		for _, q := range list {
			if q.SV != "" && !named[q.SV] {
				named[q.SV] = true
				votes[q.SV]++
			}
		}
	}
	names := map[string]bool{}
	for name, n := range votes {
		if n >= 2 {
			names[name] = true
		}
	}
	listed := answered >= 2 && len(names) > 0
	for name := range byName {
		if name != EverySV || len(names) == 0 {
			names[name] = true
		}
	}
	var out []Runway
	for name := range names {
		r, declared := byName[name]
		if !declared && every {
			r, declared = fallback, true
		}
		one := Runway{SV: name, Source: "unknown"}
		if name == EverySV {
			one.SV = "every super validator"
		}
		if declared {
			one.Retention = &r.Keeps
			one.Source = "declared: " + r.Source
			if r.Published {
				one.Source = "published: " + r.Source
			}
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Runway) int { return cmp.Compare(a.SV, b.SV) })
	return out, listed || every
}
