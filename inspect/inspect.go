package inspect

import (
	"context"
	"fmt"
	"holdfast/pgdump"
	"path/filepath"
	"slices"
	"strings"

	"holdfast"
)

// Job reads dumps and judges them.
type Job struct {
	Read func(ctx context.Context, name string) (pgdump.File, error) // reads one dump
	Each bool                                                        // judge each by itself, not what they are worth together
}

// Question is what a report answers.
type Question string

// The questions. A dump alone has nothing that its order could be judged by,
// so whoever has no more than that asks about each.
const (
	Together Question = "together" // is each all there, and may they be restored together?
	Each     Question = "each"     // is each all there?
)

// Report says what the dumps are, and what they are worth together.
type Report struct {
	Asked   Question         `json:"asked"`
	Verdict holdfast.Verdict `json:"verdict"` // the worst of all that follows
	Reasons []string         `json:"reasons"` // what keeps the verdict from being better
	Dumps   []pgdump.File    `json:"dumps"`
	Pairs   []Pair           `json:"pairs"`
}

// Pair is a validator app's dump and the participant's dump that goes with it
// best.
type Pair struct {
	Verdict     holdfast.Verdict         `json:"verdict"`
	Validator   string                   `json:"validator"`   // the file, and the database in it
	Participant string                   `json:"participant"` // the same
	Whole       holdfast.Finding         `json:"whole"`
	Members     holdfast.MembershipProof `json:"membership"`
	Order       holdfast.Finding         `json:"order"`
}

// Run reads every dump, one after the other, and judges them.
func (j Job) Run(ctx context.Context, names []string) (Report, error) {
	var dumps []pgdump.File
	for _, name := range names {
		d, err := j.Read(ctx, name)
		if err != nil {
			return Report{}, err
		}
		dumps = append(dumps, d)
	}
	if j.Each {
		return JudgeEach(dumps), nil
	}
	return Judge(dumps), nil
}

// JudgeEach says of each dump by itself whether it is all there: the file as it
// was written, with the rows of some database in it, and of a validator app's or
// a participant's the tables that a restored node begins with. It says nothing
// about order.
func JudgeEach(dumps []pgdump.File) Report {
	r := Report{Asked: Each, Verdict: holdfast.Holds, Reasons: []string{}, Dumps: dumps, Pairs: []Pair{}}
	for _, d := range dumps {
		if r.structure(d) != holdfast.Holds {
			continue
		}
		if !slices.ContainsFunc(d.Databases, hasRows) {
			r.note(holdfast.CannotTell, "%s has no table with its rows in it, so it cannot be told what it is for", d.Name)
		}
		for i := range d.Databases {
			if p := (place{&d, &d.Databases[i]}); p.db.Kind != "" && p.db.Facts.Unknown != "" {
				r.note(holdfast.CannotTell, "%s is %s, but: %s", p, p.db.Found, p.db.Facts.Unknown)
			} else if p.db.Kind != "" && len(p.db.Unread) > 0 {
				r.note(holdfast.CannotTell, "%s has no rows of %s", p, strings.Join(p.db.Unread, ", "))
			}
		}
	}
	return r
}

func hasRows(db pgdump.Database) bool {
	return slices.ContainsFunc(db.Tables, func(t pgdump.Table) bool { return t.Data })
}

// Judge says what dumps are worth: each by itself, and in pairs.
func Judge(dumps []pgdump.File) Report {
	r := Report{Asked: Together, Verdict: holdfast.Holds, Reasons: []string{}, Dumps: dumps, Pairs: []Pair{}}
	for _, d := range dumps {
		r.structure(d)
	}
	validators, participants := places(dumps, holdfast.Validator), places(dumps, holdfast.Participant)
	switch {
	case len(validators) == 0 && len(participants) == 0:
		r.note(holdfast.CannotTell, "neither a validator app's database is among them nor a participant's")
	case len(validators) == 0:
		r.note(holdfast.CannotTell, "no validator app's database is among them, so there is nothing to compare the participant's with")
	case len(participants) == 0:
		r.note(holdfast.CannotTell, "no participant's database is among them, so there is nothing to compare the validator app's with")
	}
	for _, v := range validators {
		if best := v.partner(participants); best != nil {
			r.Pairs = append(r.Pairs, *best)
			r.judged(*best)
		}
	}
	return r
}

// structure folds in whether a dump is all there.
func (r *Report) structure(d pgdump.File) holdfast.Verdict {
	v := d.State.Verdict()
	if v != holdfast.Holds {
		r.note(v, "%s is %s: %s", d.Name, whole(d.State), strings.Join(d.Faults, "; "))
	}
	return v
}

func whole(s pgdump.State) string {
	if s == pgdump.Unclear {
		return "not clear"
	}
	return string(s)
}

func (r *Report) note(v holdfast.Verdict, format string, args ...any) {
	r.Verdict = holdfast.Worst(r.Verdict, v)
	r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...))
}

// judged folds a pair into the report. That its dumps are not whole has been
// said already.
func (r *Report) judged(p Pair) {
	for _, f := range p.Members.Findings {
		if f.Verdict != holdfast.Holds {
			r.note(f.Verdict, "%s", f.Evidence)
		}
	}
	if p.Order.Verdict != holdfast.Holds {
		r.note(p.Order.Verdict, "%s with %s: %s", p.Validator, p.Participant, p.Order.Evidence)
	}
}

// place is one database of one dump.
type place struct {
	dump *pgdump.File
	db   *pgdump.Database
}

// String names a database by its file and, where that has several, by its name.
func (p place) String() string {
	if len(p.dump.Databases) > 1 {
		return p.dump.Name + " (" + p.db.Name + ")"
	}
	return p.dump.Name
}

// places lists the databases of a kind.
func places(dumps []pgdump.File, kind holdfast.Kind) (out []place) {
	for i := range dumps {
		for k := range dumps[i].Databases {
			if p := (place{&dumps[i], &dumps[i].Databases[k]}); p.db.Kind == kind {
				out = append(out, p)
			}
		}
	}
	return out
}

// capture is a dumped database as the rules of order and membership see it.
func (p place) capture() holdfast.Capture {
	return holdfast.Capture{Component: holdfast.ComponentName(p.String()), Kind: p.db.Kind, Facts: p.db.Facts}
}

// partner pairs a validator app with the participant that goes with it best:
// the one in the same file, else one in the same directory, else any; of those,
// one with which the pair holds, and of those the one whose ledger ends the
// soonest, for that was dumped next. There is none where there is no
// participant.
func (p place) partner(participants []place) *Pair {
	var best *Pair
	var bestPlace place
	for _, candidate := range participants {
		pair := judge(p, candidate)
		if best == nil || p.prefers(candidate, pair, bestPlace, *best) {
			best, bestPlace = &pair, candidate
		}
	}
	return best
}

// prefers says whether a pair is a better one than another.
func (p place) prefers(a place, pairA Pair, b place, pairB Pair) bool {
	if na, nb := p.nearness(a), p.nearness(b); na != nb {
		return na > nb
	}
	if ra, rb := rank(pairA.Verdict), rank(pairB.Verdict); ra != rb {
		return ra > rb
	}
	ea, eb := ledgerEnd(a), ledgerEnd(b)
	if pairA.Verdict == holdfast.Holds {
		return ea < eb
	}
	return ea > eb
}

// nearness says how much two databases look as if they were dumped together.
func (p place) nearness(o place) int {
	switch {
	case p.dump == o.dump:
		return 2
	case p.dump.Name != "-" && filepath.Dir(p.dump.Name) == filepath.Dir(o.dump.Name):
		return 1
	}
	return 0
}

func rank(v holdfast.Verdict) int {
	return map[holdfast.Verdict]int{holdfast.Holds: 2, holdfast.CannotTell: 1}[v]
}

func ledgerEnd(p place) int64 {
	if f := p.db.Facts.Participant; f != nil && f.LedgerEnd != nil {
		return *f.LedgerEnd
	}
	return -1
}

// judge judges a pair.
func judge(validator, participant place) Pair {
	v, p := validator.capture(), participant.capture()
	pair := Pair{
		Validator: validator.String(), Participant: participant.String(),
		Whole:   bothWhole(validator, participant),
		Members: holdfast.ProveMembership([]holdfast.Capture{v, p}, nil),
		Order:   holdfast.ContentOrder(v, p),
	}
	pair.Verdict = holdfast.Worst(pair.Whole.Verdict, pair.Members.Verdict, pair.Order.Verdict)
	return pair
}

func bothWhole(validator, participant place) holdfast.Finding {
	f := holdfast.Finding{Verdict: holdfast.Holds, Evidence: "both dumps are complete"}
	for _, p := range []place{validator, participant} {
		if v := p.dump.State.Verdict(); v != holdfast.Holds && rank(v) < rank(f.Verdict) {
			f = holdfast.Finding{Verdict: v, Evidence: p.dump.Name + " is " + whole(p.dump.State)}
		}
	}
	return f
}
