package drill

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/record"
)

// Report is what a drill found. It is meant to be filed: everything that the
// verdict rests on is in it.
type Report struct {
	Schema     int               `json:"schema"`
	Set        holdfast.SetID    `json:"set"`
	Node       holdfast.NodeName `json:"node"`
	State      holdfast.State    `json:"state"`
	Taken      time.Time         `json:"taken"`
	At         time.Time         `json:"at"`
	Took       time.Duration     `json:"took_ns"`
	Restore    time.Duration     `json:"restore_ns"` // 0 when it did not come to an end
	Bytes      int64             `json:"bytes"`
	Snapshots  bool              `json:"snapshots,omitempty"` // instances were made of snapshots that a provider keeps
	Machine    string            `json:"machine"`
	Holdfast   string            `json:"holdfast"`
	Server     string            `json:"server"`
	Verdict    holdfast.Verdict  `json:"verdict"`
	Components []Component       `json:"components"`
	Boot       *record.Boot      `json:"boot,omitempty"` // of the participant, where that was tried
	Findings   []Finding         `json:"findings"`
	Cleaned    []string          `json:"cleaned,omitempty"` // what a killed drill had left
	Key        string            `json:"key,omitempty"`     // that the report is signed with
}

// Component is one restored database.
type Component struct {
	Name     holdfast.ComponentName `json:"name"`
	Database string                 `json:"database"`
	Tables   int                    `json:"tables"`
	Rows     int64                  `json:"rows"`
	Bytes    int64                  `json:"bytes"`
	Took     time.Duration          `json:"took_ns"`
}

// Finding is the answer to one question of the drill.
type Finding struct {
	Code        string           `json:"code"`
	Title       string           `json:"title"`
	Verdict     holdfast.Verdict `json:"verdict"`
	Evidence    string           `json:"evidence"`
	Consequence string           `json:"consequence,omitempty"` // of its not holding
	Next        string           `json:"next,omitempty"`
}

// question is one thing that a drill finds out.
type question struct{ code, title, consequence, next string }

// The questions of a drill.
var (
	isolation = question{"no_network", "The place could reach no network and no socket",
		"A copy of the node's databases was somewhere from where it could be reached or reach out.",
		"Run the drill on Linux as root, or where unprivileged user namespaces are allowed, or in a container."}
	proven = question{"set_proven", "The set is proven", "Nothing restored from it is known to belong together.",
		"`holdfast show` has the details; choose a proven set."}
	restored = question{"restored_equal", "Everything came back equal", "This set does not bring the node back.",
		"Verify the repository: `holdfast verify --read-data`; rehearse an older set: `holdfast list`."}
	inOrder = question{"restored_in_order", "The restored databases are in order",
		"Restored, the validator app would refer to updates that its participant does not have.",
		"Rehearse another set: `holdfast list --state proven`."}
	oneNode = question{"restored_one_node", "The restored databases are one node's",
		"Restored together they would be no node.", "Rehearse another set: `holdfast list --state proven`."}
	identities = question{"identities", "The node's identities are there",
		"Route two, from the identities alone, is closed.",
		"`holdfast backup` stores them; `holdfast identities open` tries a key."}
	questions = question{"question", "The operator's question", "Something that the operator wants to be so is not.",
		"Look at the question under `drill.checks`, and at the live database."}
	boots = question{"participant_boots", "The participant starts on it and is who it was",
		"After a restore the node would not start, or would start as another node.",
		"Compare the image and the participant's last lines with the live node; `drill.boot` has the image and " +
			"what it is started with."}
	nothingLeft = question{"nothing_left", "Nothing was left behind",
		"A copy of the node's databases is still on this machine.", "Remove it by hand."}
)

func (r *Report) say(q question, f holdfast.Finding) {
	out := Finding{Code: q.code, Title: q.title, Verdict: f.Verdict, Evidence: f.Evidence}
	if f.Verdict.Against() {
		out.Consequence, out.Next = q.consequence, q.next
	}
	r.Findings = append(r.Findings, out)
}

// found says that a question was answered so.
func (r *Report) found(q question, v holdfast.Verdict) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == q.code && f.Verdict == v })
}

// manifest judges the set by its recomputed verdicts.
func (r *Report) manifest(set holdfast.Set) {
	set.Prove()
	f := holdfast.Finding{Verdict: holdfast.Holds, Evidence: "every verdict of its manifest, computed again, holds"}
	if problems := set.Problems(); len(problems) > 0 {
		f = holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: problems[0].What}
		if set.State != holdfast.Unproven {
			f.Verdict = holdfast.Violated
		}
	}
	r.say(proven, f)
}

// judge makes the verdict of the findings: the worst of them.
func (r *Report) judge() {
	r.Verdict = holdfast.Holds
	for _, v := range []holdfast.Verdict{holdfast.CannotTell, holdfast.Violated} {
		if slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Verdict == v }) {
			r.Verdict = v
		}
	}
}

// Worst is the finding that the verdict rests on; the one on the restore when
// everything holds.
func (r *Report) Worst() Finding {
	for _, f := range r.Findings {
		if f.Verdict == r.Verdict && (r.Verdict != holdfast.Holds || f.Code == restored.code) {
			return f
		}
	}
	return Finding{}
}

func (r *Report) problem() error {
	worst := r.Worst()
	p := &holdfast.Problem{
		What: fmt.Sprintf("drill of set %s: failed: %s: %s", r.Set, lower(worst.Title), worst.Evidence),
		Why:  worst.Consequence,
		Do:   worst.Next,
	}
	switch r.Verdict {
	case holdfast.Violated:
		p.Class = holdfast.Violation
	case holdfast.CannotTell:
		p.Class = holdfast.Undetermined
		p.What = fmt.Sprintf("drill of set %s: cannot tell whether %s: %s", r.Set, lower(worst.Title), worst.Evidence)
	default:
		return nil
	}
	return p
}

func lower(title string) string { return strings.ToLower(title[:1]) + title[1:] }

// Remembered is what the repository keeps of the drill. Its verdict is on the
// set alone: a place that may have had a network says nothing against the set,
// nor does a participant that an image or an environment keeps from starting.
func (r *Report) Remembered(report []byte) record.Drill {
	sum := sha256.Sum256(report)
	d := record.Drill{
		Set:      r.Set,
		Node:     r.Node,
		At:       r.At,
		Verdict:  holdfast.Holds,
		Restore:  r.Restore,
		Took:     r.Took,
		Bytes:    r.Bytes,
		Kept:     r.Snapshots,
		Host:     r.Machine,
		Report:   hex.EncodeToString(sum[:]),
		Holdfast: r.Holdfast,
		Found:    r.Worst().Evidence,
	}
	for _, f := range r.Findings {
		switch {
		case f.Code == isolation.code:
			d.Isolated = f.Verdict
		case f.Code == boots.code:
			d.Booted = f.Verdict
		case f.Code == nothingLeft.code || f.Code == questions.code:
		case f.Verdict == holdfast.Violated, f.Verdict == holdfast.CannotTell && d.Verdict == holdfast.Holds:
			d.Verdict, d.Found = f.Verdict, f.Evidence
		}
	}
	return d
}

// JSON is the report for programs.
func (r *Report) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}

// Text is the report for people at a terminal.
func (r *Report) Text() []byte {
	var b bytes.Buffer
	_, _ = fmt.Fprintf(&b, "Drill of set %s of node %s: %s\n\n", r.Set, r.Node, r.Verdict)
	_, _ = fmt.Fprintf(&b, "Set       %s, taken %s\nDrill     %s, on %s, by Holdfast %s\nServer    %s\n", r.State,
		r.Taken.UTC().Format(clock), r.At.UTC().Format(clock), r.Machine, r.Holdfast, r.Server)
	if r.Restore > 0 {
		_, _ = fmt.Fprintf(&b, "Restored  in %s; the whole drill took %s\n", round(r.Restore), round(r.Took))
	}
	if r.Boot != nil {
		_, _ = fmt.Fprintf(&b, "Started   %s (%s), for %s\n", r.Boot.Image, r.Boot.Digest, round(r.Boot.Took))
	}
	_, _ = fmt.Fprintln(&b)
	for _, c := range r.Components {
		_, _ = fmt.Fprintf(&b, "  %-14s database %s: %d tables, %d rows, %d MiB, %s\n", c.Name, c.Database, c.Tables,
			c.Rows, c.Bytes>>20, round(c.Took))
	}
	_, _ = fmt.Fprintln(&b)
	for _, f := range r.Findings {
		_, _ = fmt.Fprintf(&b, "%-12s %s\n             %s\n", f.Verdict, f.Title, f.Evidence)
		if f.Verdict.Against() {
			_, _ = fmt.Fprintf(&b, "             %s\n             next: %s\n", f.Consequence, f.Next)
		}
	}
	if r.Key != "" {
		_, _ = fmt.Fprintf(&b, "\nSigned with %s\n", r.Key)
	}
	return b.Bytes()
}

const clock = "2006-01-02 15:04:05Z"

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

//go:embed report.html
var page string

// HTML is the report as one page that needs nothing else and prints well.
func (r *Report) HTML() ([]byte, error) {
	t, err := template.New("report").Funcs(template.FuncMap{
		"time":  func(t time.Time) string { return t.UTC().Format(clock) },
		"span":  func(d time.Duration) string { return round(d).String() },
		"mib":   func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) },
		"count": grouped,
		"rich":  rich,
		"class": func(v holdfast.Verdict) string { return strings.ReplaceAll(string(v), " ", "-") },
	}).Parse(page)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, r)
	return b.Bytes(), err
}

// rich is a sentence of ours with its `commands` set as such.
func rich(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		part = template.HTMLEscapeString(part)
		if i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String()) //nolint:gosec // every part is escaped
}

// grouped is a number in groups of three digits, with thin spaces.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "\u2009" + text[i:]
	}
	return text
}
