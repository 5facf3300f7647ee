package verify

import (
	"fmt"
	"holdfast/record"
	"holdfast/stored"
	"slices"
	"strings"

	"holdfast"
)

// set judges a set by its manifest and its list of files: whether it is the set
// that it is listed as, whether it claims more than its facts say, and whether
// the files are those that it names, with the sizes that it says.
func (r *Report) set(h stored.Set) {
	whole := []Suffering{{Set: h.ID, Parts: []Part{{File: holdfast.ManifestName}}}}
	if h.Manifest == nil {
		if lost(h.Damages) || slices.ContainsFunc(h.Files, func(f stored.File) bool { return f.Name == holdfast.ManifestName && lost(f.Damages) }) {
			return // the damage says it
		}
		f := Finding{Code: "manifest_unreadable", Verdict: holdfast.Violated, Suffers: whole,
			Evidence:    fmt.Sprintf("set %s: %s", h.ID, h.Trouble),
			Consequence: "Without its manifest nothing in the set can be proven.",
			Next:        "Choose another set: `holdfast list --state proven`."}
		if strings.Contains(h.Trouble, "manifest version") {
			f.Code, f.Verdict, f.Consequence, f.Next = "manifest_of_later_version", holdfast.CannotTell, "This program cannot judge it.", "Verify it with the Holdfast version that wrote it, or a later one."
		}
		r.add(f)
		return
	}
	if what := impostor(h); what != "" {
		r.add(Finding{Code: "set_is_another", Verdict: holdfast.Violated, Suffers: whole, Evidence: fmt.Sprintf("set %s: %s", h.ID, what),
			Consequence: "A restore would bring back something else than the list promises.", Next: "Do not restore it; choose another: `holdfast list`. Find out who wrote to the repository."})
		return
	}
	fresh := *h.Manifest
	fresh.Prove()
	if fresh.State != h.Manifest.State {
		why := ""
		if problems := fresh.Problems(); len(problems) > 0 {
			why = ": " + problems[0].What
		}
		r.add(Finding{Code: "set_claims_more", Verdict: holdfast.Violated, Suffers: whole,
			Evidence:    fmt.Sprintf("set %s is listed as %s, its facts say %s%s", h.ID, h.Manifest.State, fresh.State, why),
			Consequence: "It is not worth what it says.", Next: "Choose another set: `holdfast list --state proven`; `holdfast show " + string(h.ID) + "` has the facts."})
	}
	r.files(h)
}

// impostor says how a set differs from what it is listed as.
func impostor(h stored.Set) string {
	switch {
	case h.Manifest.ID != h.ID:
		return fmt.Sprintf("its manifest is that of set %s", h.Manifest.ID)
	case h.Manifest.Node.Name != h.Node:
		return fmt.Sprintf("it is listed for node %s, its manifest is of node %s", h.Node, h.Manifest.Node.Name)
	case h.Manifest.State != h.State:
		return fmt.Sprintf("it is listed as %s, its manifest says %s", h.State, h.Manifest.State)
	}
	return ""
}

// files compares the files that are there with those that the manifest names.
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
			say(name, "is not in it")
		case of && row.file.Format != "" && row.file.Bytes != bytes:
			say(name, fmt.Sprintf("has %d bytes there, %d in the manifest", bytes, row.file.Bytes))
		}
	}
	if len(parts) > 0 {
		r.add(Finding{Code: "files_differ", Verdict: holdfast.Violated, Suffers: []Suffering{{Set: h.ID, Parts: parts}},
			Evidence:    fmt.Sprintf("set %s: %s of its manifest %s", h.ID, countOf(len(parts), "file"), map[bool]string{true: "is not as it says: ", false: "are not as it says: "}[len(parts) == 1]) + first,
			Consequence: "It cannot be restored whole.", Next: "Choose another set: `holdfast list --state proven`. Find out who wrote to the repository."})
	}
}

// differ makes a finding of each set with files that read well and hold other
// rows than its manifest says.
func (r *Report) differ(list []differing) {
	bySet := map[holdfast.SetID]*Finding{}
	var order []holdfast.SetID
	for _, d := range list {
		f := bySet[d.use.set]
		if f == nil {
			f = &Finding{Code: "rows_differ", Verdict: holdfast.Violated, Suffers: []Suffering{{Set: d.use.set}},
				Evidence:    fmt.Sprintf("set %s: %s in file %s: %s", d.use.set, d.use.part, d.use.part.File, d.what),
				Consequence: "What is stored is readable, and is not what was captured.",
				Next:        "Do not restore it; choose another: `holdfast list --state proven`. Report it: this is a fault of Holdfast's, or somebody forged the set."}
			bySet[d.use.set], order = f, append(order, d.use.set)
		}
		f.Suffers[0].Parts = append(f.Suffers[0].Parts, d.use.part)
	}
	for _, id := range order {
		r.add(*bySet[id])
	}
}

// vanished finds sets that an earlier verification has seen, that nobody
// dropped, and that are listed no more.
func (r *Report) vanished(holdings []stored.Set, memory record.Verification, dropped []holdfast.SetID) {
	if r.Set != "" {
		return
	}
	var gone []string
	for _, id := range memory.Sets {
		if !slices.Contains(dropped, id) && !slices.ContainsFunc(holdings, func(h stored.Set) bool { return h.ID == id }) {
			gone = append(gone, string(id))
		}
	}
	if len(gone) == 0 {
		return
	}
	were := countOf(len(gone), "set") + map[bool]string{true: " was", false: " were"}[len(gone) == 1]
	r.add(Finding{Code: "sets_vanished", Verdict: holdfast.CannotTell,
		Evidence:    fmt.Sprintf("%s listed at the last verification, %s, and not now: %s", were, memory.At.UTC().Format("2006-01-02 15:04Z"), strings.Join(gone, ", ")),
		Consequence: "Either somebody dropped them with another program, or a blob of the index was lost, and with it the only word of where they are.",
		Next:        "If nobody dropped them: `holdfast verify --rebuild-index`."})
}

// unknown finds a repository full of data and without a set.
func (r *Report) unknown(holdings []stored.Set) {
	if r.Set != "" || len(holdings) > 0 || r.Stock.Orphans == 0 || r.Stock.Pieces > 0 {
		return
	}
	r.add(Finding{Code: "index_gone", Verdict: holdfast.CannotTell,
		Evidence:    fmt.Sprintf("%s with data, %s, and no index that names any of it", countOf(r.Stock.Orphans, "blob"), bytesOf(r.Stock.OrphanBytes)),
		Consequence: "Either the first backup was interrupted, or the index was lost: then every set is still there and nobody knows where.",
		Next:        "`holdfast verify --rebuild-index`."})
}
