package verify

import (
	"fmt"
	"slices"
	"strings"

	"holdfast"
	"holdfast/record"
	"holdfast/size"
	"holdfast/stored"
)

// set checks a set's manifest and its list of files: whether the manifest
// matches the listing, whether its facts support its state, and whether its
// files exist with the sizes that it names.
func (r *Report) set(h stored.Set) {
	whole := []Suffering{{Set: h.ID, Parts: []Part{{File: holdfast.ManifestName}}}}
	if h.Manifest == nil {
		if lost(h.Damages) || slices.ContainsFunc(h.Files, func(f stored.File) bool {
			return f.Name == holdfast.ManifestName && lost(f.Damages)
		}) {
			return // the damage is a finding already
		}
		f := Finding{Code: "manifest_unreadable", Verdict: holdfast.Violated, Suffers: whole,
			Evidence:    fmt.Sprintf("set %s: %s", h.ID, h.Trouble),
			Consequence: "Without its manifest the set cannot be proven.",
			Next:        "Choose another set: `holdfast list --state proven`."}
		if h.Later {
			f.Code, f.Verdict = "manifest_of_later_version", holdfast.CannotTell
			f.Consequence = "This version cannot check it."
			f.Next = "Verify it with the Holdfast version that wrote it, or a newer one."
		}
		r.add(f)
		return
	}
	if what := mismatch(h); what != "" {
		r.add(Finding{
			Code:        "set_is_another",
			Verdict:     holdfast.Violated,
			Suffers:     whole,
			Evidence:    fmt.Sprintf("set %s: %s", h.ID, what),
			Consequence: "A restore would bring back another set than the listed one.",
			Next: "Do not restore it. Choose another set: `holdfast list`. Find out who wrote to the " +
				"repository.",
		})
		return
	}
	fresh := *h.Manifest
	fresh.Prove()
	if fresh.State != h.Manifest.State {
		why := ""
		if problems := fresh.Problems(); len(problems) > 0 {
			why = ": " + problems[0].What
		}
		r.add(Finding{
			Code:    "set_claims_more",
			Verdict: holdfast.Violated,
			Suffers: whole,
			Evidence: fmt.Sprintf("set %s is listed as %s, but its facts make it %s%s", h.ID, h.Manifest.State,
				fresh.State, why),
			Consequence: "Its state is wrong.",
			Next: "Choose another set: `holdfast list --state proven`; `holdfast show " + string(h.ID) +
				"` has the facts.",
		})
	}
	r.files(h)
}

// mismatch says how a set's manifest differs from its listing.
func mismatch(h stored.Set) string {
	switch {
	case h.Manifest.ID != h.ID:
		return fmt.Sprintf("its manifest is that of set %s", h.Manifest.ID)
	case h.Manifest.Node.Name != h.Node:
		return fmt.Sprintf("it is listed for node %s, but its manifest is of node %s", h.Node, h.Manifest.Node.Name)
	case h.Manifest.State != h.State:
		return fmt.Sprintf("it is listed as %s, but its manifest says %s", h.State, h.Manifest.State)
	}
	return ""
}

// files compares the stored files with those that the manifest names.
func (r *Report) files(h stored.Set) {
	there := map[string]int64{}
	for _, f := range h.Files {
		there[f.Name] = f.Bytes
	}
	rows := captured(h.Manifest)
	var parts []Part
	var first string
	say := func(name, what string) {
		parts = append(parts, partOf(rows, name))
		if first == "" {
			first = name + " " + what
		}
	}
	for _, name := range append(h.Manifest.FileNames(), holdfast.ManifestName) {
		bytes, ok := there[name]
		switch row, of := rows[name]; {
		case !ok:
			say(name, "does not exist")
		case of && row.file.Format != "" && row.file.Bytes != bytes:
			say(name, fmt.Sprintf("has %d bytes, but %d in the manifest", bytes, row.file.Bytes))
		}
	}
	if len(parts) > 0 {
		r.add(Finding{
			Code:    "files_differ",
			Verdict: holdfast.Violated,
			Suffers: []Suffering{{Set: h.ID, Parts: parts}},
			Evidence: fmt.Sprintf("set %s: %s of its manifest %s", h.ID, countOf(len(parts), "file"), map[bool]string{
				true:  "is not as it says: ",
				false: "are not as it says: ",
			}[len(parts) == 1]) + first,
			Consequence: "It cannot be restored completely.",
			Next:        "Choose another set: `holdfast list --state proven`. Find out who wrote to the repository.",
		})
	}
}

// differ makes a finding of each set with readable files whose rows differ from
// its manifest.
func (r *Report) differ(list []differing) {
	bySet := map[holdfast.SetID]*Finding{}
	var order []holdfast.SetID
	for _, d := range list {
		f := bySet[d.use.set]
		if f == nil {
			f = &Finding{
				Code:        "rows_differ",
				Verdict:     holdfast.Violated,
				Suffers:     []Suffering{{Set: d.use.set}},
				Evidence:    fmt.Sprintf("set %s: %s in file %s: %s", d.use.set, d.use.part, d.use.part.File, d.what),
				Consequence: "The stored data is readable, but is not what was captured.",
				Next: "Do not restore it. Choose another set: `holdfast list --state proven`. Report this: " +
					"either Holdfast has a bug, or the set was forged.",
			}
			bySet[d.use.set], order = f, append(order, d.use.set)
		}
		f.Suffers[0].Parts = append(f.Suffers[0].Parts, d.use.part)
	}
	for _, id := range order {
		r.add(*bySet[id])
	}
}

// vanished finds sets that the last verification saw, that were not dropped,
// and that are no longer listed.
func (r *Report) vanished(holdings []stored.Set, memory record.Verification, dropped []holdfast.SetID) {
	if r.Set != "" {
		return
	}
	var gone []string
	for _, id := range memory.Sets {
		if !slices.Contains(dropped, id) && !slices.ContainsFunc(holdings, func(h stored.Set) bool {
			return h.ID == id
		}) {
			gone = append(gone, string(id))
		}
	}
	if len(gone) == 0 {
		return
	}
	were := countOf(len(gone), "set") + map[bool]string{true: " was", false: " were"}[len(gone) == 1]
	r.add(Finding{
		Code:    "sets_vanished",
		Verdict: holdfast.CannotTell,
		Evidence: fmt.Sprintf("%s listed at the last verification, %s, but not now: %s", were,
			memory.At.UTC().Format("2006-01-02 15:04Z"), strings.Join(gone, ", ")),
		Consequence: "Either another program dropped them, or a blob of the index was lost.",
		Next:        "Unless they were dropped: `holdfast verify --rebuild-index`.",
	})
}

// rowsInDoubt is the code of sets whose rows may be wrong, although what is stored
// is what they hold.
const rowsInDoubt = "rows_in_doubt"

// doubtful finds sets that may have rows wrong, because these changed unseen.
func (r *Report) doubtful(holdings []stored.Set, disproofs []record.Disproof) {
	for _, d := range disproofs {
		part := Part{Component: d.Component, Table: d.Table}
		var suffers []Suffering
		for _, h := range holdings {
			if h.Manifest != nil && d.Doubts(h.Node, h.Manifest.Began.Wall) {
				suffers = append(suffers, Suffering{Set: h.ID, Parts: []Part{part}})
			}
		}
		if len(suffers) == 0 {
			continue
		}
		r.add(Finding{
			Code:        rowsInDoubt,
			Verdict:     holdfast.CannotTell,
			Suffers:     suffers,
			Evidence:    d.String(),
			Consequence: "These sets took the rows over from an earlier one and may have them wrong.",
			Next: fmt.Sprintf("Restore set %s, which read everything again, or a later one. Drop the sets in doubt: "+
				"`holdfast retention drop SET`.", d.Set),
		})
	}
}

// unknown finds a repository that holds data but no index.
func (r *Report) unknown(holdings []stored.Set) {
	if r.Set != "" || len(holdings) > 0 || r.Stock.Orphans == 0 || r.Stock.Pieces > 0 {
		return
	}
	r.add(Finding{
		Code:    "index_gone",
		Verdict: holdfast.CannotTell,
		Evidence: fmt.Sprintf("%s with data, %s, but no index of them",
			countOf(r.Stock.Orphans, "blob"), size.Of(r.Stock.OrphanBytes)),
		Consequence: "Either the first backup was interrupted, or the index was lost. Then all sets are " +
			"still stored.",
		Next: "`holdfast verify --rebuild-index`.",
	})
}
