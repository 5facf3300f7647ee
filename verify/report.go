package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/record"
	"holdfast/size"
	"holdfast/stored"
)

// Report is what a verification found.
type Report struct {
	Level       Level            `json:"level"`
	Set         holdfast.SetID   `json:"set,omitempty"`
	At          time.Time        `json:"at"`
	Took        time.Duration    `json:"took_ns"`
	Stock       stored.Stock     `json:"stock"`
	Read        int64            `json:"read_bytes"` // of the stored data
	Verdict     holdfast.Verdict `json:"verdict"`
	Findings    []Finding        `json:"findings"` // worst first
	Sets        []SetVerdict     `json:"sets"`
	Share       float64          `json:"share_read"`               // of the stored data, in this round of samples
	Since       time.Time        `json:"all_read_since,omitzero"`  // everything older was read since then
	NotRecorded string           `json:"not_remembered,omitempty"` // why the repository has no record of the run

	Recovered []holdfast.SetID `json:"found_again,omitempty"` // sets that were missing in a damaged list
}

// Finding is one fault, with its consequence and what to do next.
type Finding struct {
	Code        string                    `json:"code"`
	Verdict     holdfast.Verdict          `json:"verdict"`
	Evidence    string                    `json:"evidence"`
	Consequence string                    `json:"consequence"`
	Next        string                    `json:"next"`
	Blob        string                    `json:"blob,omitempty"`
	Pieces      int                       `json:"pieces,omitempty"`
	Bytes       int64                     `json:"bytes,omitempty"`
	Mended      map[stored.RemedyKind]int `json:"mended,omitempty"` // pieces by what was done
	Suffers     []Suffering               `json:"suffers,omitempty"`
}

// Suffering is a set and its parts that a finding affects.
type Suffering struct {
	Set   holdfast.SetID `json:"set"`
	Parts []Part         `json:"parts"`
}

// concerns reports whether a finding affects a set.
func (f Finding) concerns(set holdfast.SetID) bool {
	return slices.ContainsFunc(f.Suffers, func(s Suffering) bool { return s.Set == set })
}

// Part is a part of a set: a table's file, or another one.
type Part struct {
	Component holdfast.ComponentName `json:"component,omitempty"`
	Table     string                 `json:"table,omitempty"`
	File      string                 `json:"file"`
}

func (p Part) String() string {
	switch {
	case p.Table != "":
		return fmt.Sprintf("%s %s", p.Component, p.Table)
	case p.Component != "":
		return fmt.Sprintf("%s (%s)", p.Component, p.File)
	}
	return p.File
}

// SetVerdict is the verdict on one set: holds means that the requested level
// found nothing wrong with it.
type SetVerdict struct {
	ID      holdfast.SetID    `json:"id"`
	Node    holdfast.NodeName `json:"node"`
	State   holdfast.State    `json:"state"`
	Verdict holdfast.Verdict  `json:"verdict"`
	Why     string            `json:"why,omitempty"`
	Suffers []Part            `json:"suffers,omitempty"`
}

func (r *Report) add(f Finding) { r.Findings = append(r.Findings, f) }

// judge turns damages and sets into findings and verdicts. Holdings are the
// sets after a repair, before the same sets until then.
func (r *Report) judge(
	before, holdings []stored.Set, damages []stored.Damage, remedies []stored.Remedy, differing []differing,
	memory record.Verification, dropped []holdfast.SetID,
) {
	interrupted := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == storageGone })
	for _, m := range remedies {
		if !slices.ContainsFunc(damages, func(d stored.Damage) bool { return d.Piece == m.Piece }) {
			damages = append(damages, m.Damage)
		}
	}
	r.damages(before, holdings, damages, remedies)
	for _, h := range holdings {
		r.set(h)
	}
	r.differ(differing)
	r.vanished(holdings, memory, dropped)
	r.unknown(holdings)
	for _, h := range holdings {
		v := SetVerdict{ID: h.ID, Node: h.Node, State: h.State, Verdict: holdfast.Holds}
		if interrupted && r.Level == Data {
			v.Verdict, v.Why = holdfast.CannotTell, "the storage stopped answering"
		}
		for _, f := range r.Findings {
			for _, s := range f.Suffers {
				if s.Set == h.ID && f.Verdict == holdfast.Violated {
					v.Verdict, v.Why = holdfast.Violated, cmp.Or(v.Why, f.Evidence)
					v.Suffers = append(v.Suffers, s.Parts...)
				}
			}
		}
		for _, f := range r.Findings {
			if f.Verdict == holdfast.CannotTell && v.Verdict == holdfast.Holds && f.concerns(h.ID) {
				v.Verdict, v.Why = holdfast.CannotTell, f.Evidence
			}
		}
		r.Sets = append(r.Sets, v)
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return rank(a.Verdict) - rank(b.Verdict) })
	r.Verdict = holdfast.Holds
	for _, f := range slices.Backward(r.Findings) {
		if f.Verdict != holdfast.Holds {
			r.Verdict = f.Verdict
		}
	}
}

func rank(v holdfast.Verdict) int {
	return slices.Index([]holdfast.Verdict{holdfast.Violated, holdfast.CannotTell, holdfast.Holds}, v)
}

// damages makes a finding of each blob and each kind of damage in it.
func (r *Report) damages(before, after []stored.Set, damages []stored.Damage, remedies []stored.Remedy) {
	type group struct {
		blob string
		kind stored.DamageKind
	}
	pieces := map[group]map[string]stored.Damage{}
	var order []group
	for _, d := range damages {
		g := group{d.Blob, d.Kind}
		if pieces[g] == nil {
			pieces[g] = map[string]stored.Damage{}
			order = append(order, g)
		}
		pieces[g][d.Piece] = d
	}
	for _, g := range order {
		f := Finding{Code: "blob_" + string(g.kind), Verdict: holdfast.Violated, Blob: g.blob, Pieces: len(pieces[g])}
		for _, d := range pieces[g] {
			f.Bytes += d.Bytes
		}
		healed := 0
		for _, m := range remedies {
			if _, ours := pieces[g][m.Piece]; ours {
				if f.Mended == nil {
					f.Mended = map[stored.RemedyKind]int{}
				}
				f.Mended[m.How]++
				if m.How == stored.Rewritten || m.How == stored.Copied {
					healed++
				}
			}
		}
		if healed == f.Pieces || g.kind == stored.Corrected {
			f.Verdict = holdfast.Holds
		}
		f.Suffers = sufferers(after, pieces[g])
		if f.Verdict == holdfast.Holds {
			f.Suffers = sufferers(before, pieces[g])
		}
		f.explain(g.kind, healed)
		r.add(f)
	}
}

// sufferers lists the sets, and in them the parts, that need those pieces.
func sufferers(holdings []stored.Set, pieces map[string]stored.Damage) []Suffering {
	touched := func(list []stored.Damage) bool {
		return slices.ContainsFunc(list, func(d stored.Damage) bool { _, ok := pieces[d.Piece]; return ok })
	}
	var out []Suffering
	for _, h := range holdings {
		s := Suffering{Set: h.ID, Parts: []Part{}}
		if touched(h.Damages) {
			s.Parts = append(s.Parts, Part{File: "its directories"})
		}
		rows := captured(h.Manifest)
		for _, f := range h.Files {
			if touched(f.Damages) {
				s.Parts = append(s.Parts, partOf(rows, f.Name))
			}
		}
		if len(s.Parts) > 0 {
			out = append(out, s)
		}
	}
	return out
}

func partOf(rows map[string]row, file string) Part {
	if row, ok := rows[file]; ok {
		return row.part
	}
	return Part{File: file}
}

// explain says what a damaged blob means, and what to do next.
func (f *Finding) explain(kind stored.DamageKind, healed int) {
	what := map[stored.DamageKind]string{
		stored.Missing:    "blob %s does not exist in the storage",
		stored.Truncated:  "blob %s ends too early",
		stored.Altered:    "the bytes of blob %s have changed",
		stored.Unreadable: "the storage cannot read blob %s",
		stored.Corrected:  "bytes of blob %s have changed, and error correction repaired them while reading",
		stored.Unindexed:  "no index knows where %sthe data is stored stored",
	}[kind]
	f.Evidence = fmt.Sprintf(what, f.Blob) + fmt.Sprintf(": %d pieces, %s", f.Pieces, size.Of(f.Bytes))
	if kind == stored.Unindexed {
		f.Evidence = fmt.Sprintf("sets need %d pieces that no index lists", f.Pieces)
	}
	switch {
	case len(f.Suffers) == 0:
		f.Consequence = "No set needs them now, but the next backup may reuse them, and be damaged."
	case f.Verdict == holdfast.Holds && kind != stored.Corrected:
		f.Consequence = "They were repaired: the sets that need them are intact."
	case kind == stored.Corrected:
		f.Consequence = "All sets are intact. More damage to the same bytes would be too much to correct."
	default:
		f.Consequence = fmt.Sprintf("%s cannot be restored completely: %s.", countOf(len(f.Suffers), "set"),
			names(f.Suffers))
	}
	switch {
	case f.Mended[stored.Marked] > 0:
		f.Next = "Run `holdfast backup`, then `holdfast verify`. The backup stores marked pieces again if the " +
			"databases still have those rows. That also repairs the older sets that need them."
	case f.Mended[stored.Helpless] > 0:
		f.Next = "`holdfast verify --rebuild-index` searches the blobs for them."
	case healed == f.Pieces && healed > 0:
		f.Next = "Find out what damaged the storage: look at its disk."
	case kind == stored.Corrected:
		f.Next = "`holdfast verify --repair` with the same level rewrites them."
	case kind == stored.Unindexed:
		f.Next = "`holdfast verify --rebuild-index` searches the blobs for them. " +
			"`holdfast verify --repair --copy DIRECTORY` takes them from a copy of the repository."
	default:
		f.Next = "`holdfast verify --repair` takes them from a copy of the repository (--copy DIRECTORY), or marks " +
			"them for the next backup to store again."
	}
}

func names(list []Suffering) string {
	const most = 3
	var out []string
	for i, s := range list {
		if i == most {
			out = append(out, fmt.Sprintf("and %d more", len(list)-most))
			break
		}
		out = append(out, string(s.Set))
	}
	return strings.Join(out, ", ")
}

// problem is the error of the run, nil if everything holds.
func (r *Report) problem() error {
	switch r.Verdict {
	case holdfast.Violated:
		p := &holdfast.Problem{
			Class: holdfast.Violation,
			What:  fmt.Sprintf("verify: %s", r.Findings[0].Evidence),
			Why:   r.Findings[0].Consequence,
			Do:    r.Findings[0].Next,
		}
		if len(r.Findings) > 1 {
			p.What += fmt.Sprintf(", and %s more", countOf(len(r.Findings)-1, "finding"))
		}
		return p
	case holdfast.CannotTell:
		return &holdfast.Problem{
			Class: holdfast.Undetermined,
			What:  "verify: " + r.Findings[0].Evidence,
			Why:   r.Findings[0].Consequence,
			Do:    r.Findings[0].Next,
		}
	}
	return nil
}

func lost(list []stored.Damage) bool { return slices.ContainsFunc(list, stored.Damage.Lost) }

func countOf(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
