package inspect

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"holdfast"
	"holdfast/pgdump"
)

// Job reads dumps and judges them.
type Job struct {
	Read func(ctx context.Context, name string) (pgdump.File, error) // reads one dump
	Each bool                                                        // judge each dump by itself, not in pairs
}

// Question is what a report answers.
type Question string

// The questions. A single dump has no order to judge, so it is judged by
// itself.
const (
	Together Question = "together" // is each complete, and may they be restored together?
	Each     Question = "each"     // is each complete?
)

// Report describes the dumps, and whether they may be restored together.
type Report struct {
	Question Question         `json:"asked"`
	Verdict  holdfast.Verdict `json:"verdict"` // the worst of all that follows
	Reasons  []string         `json:"reasons"` // why the verdict is not better
	Dumps    []pgdump.File    `json:"dumps"`
	Pairs    []Pair           `json:"pairs"`
}

// Pair is a validator app's dump and the participant's dump that suits it best.
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

// JudgeEach judges each dump by itself: the file is complete, it has the rows of
// a database, and a validator app's or participant's dump has the tables that a
// restored node needs. It does not judge order.
func JudgeEach(dumps []pgdump.File) Report {
	r := Report{Question: Each, Verdict: holdfast.Holds, Reasons: []string{}, Dumps: dumps, Pairs: []Pair{}}
	for _, d := range dumps {
		if r.addState(d) != holdfast.Holds {
			continue
		}
		if !slices.ContainsFunc(d.Databases, hasRows) {
			r.add(holdfast.CannotTell, "%s has no table with rows, so its purpose is unknown", d.Name)
		}
		for i := range d.Databases {
			if p := (dumped{&d, &d.Databases[i]}); p.db.Kind != "" && p.db.Facts.Unknown != "" {
				r.add(holdfast.CannotTell, "%s is %s, but: %s", p, p.db.Found, p.db.Facts.Unknown)
			} else if p.db.Kind != "" && len(p.db.Unread) > 0 {
				r.add(holdfast.CannotTell, "%s has no rows of %s", p, strings.Join(p.db.Unread, ", "))
			}
		}
	}
	return r
}

func hasRows(db pgdump.Database) bool {
	return slices.ContainsFunc(db.Tables, func(t pgdump.Table) bool { return t.Data })
}

// Judge judges dumps: each by itself, and in pairs.
func Judge(dumps []pgdump.File) Report {
	r := Report{Question: Together, Verdict: holdfast.Holds, Reasons: []string{}, Dumps: dumps, Pairs: []Pair{}}
	for _, d := range dumps {
		r.addState(d)
	}
	validators, participants := databases(dumps, holdfast.Validator), databases(dumps, holdfast.Participant)
	switch {
	case len(validators) == 0 && len(participants) == 0:
		r.add(holdfast.CannotTell, "the dumps contain neither a validator app's database nor a participant's")
	case len(validators) == 0:
		r.add(holdfast.CannotTell, "the dumps contain no validator app's database to compare with the participant's")
	case len(participants) == 0:
		r.add(holdfast.CannotTell, "the dumps contain no participant's database to compare with the validator app's")
	}
	for _, v := range validators {
		if best := v.partner(participants); best != nil {
			r.Pairs = append(r.Pairs, *best)
			r.addPair(*best)
		}
	}
	return r
}

// addState adds the verdict on whether a dump is complete.
func (r *Report) addState(d pgdump.File) holdfast.Verdict {
	v := d.State.Verdict()
	if v != holdfast.Holds {
		r.add(v, "%s is %s: %s", d.Name, stateName(d.State), strings.Join(d.Faults, "; "))
	}
	return v
}

func stateName(s pgdump.State) string {
	if s == pgdump.Unclear {
		return "not clear"
	}
	return string(s)
}

func (r *Report) add(v holdfast.Verdict, format string, args ...any) {
	r.Verdict = holdfast.Worst(r.Verdict, v)
	r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...))
}

// addPair adds the verdict on a pair. The states of its dumps are in the report
// already.
func (r *Report) addPair(p Pair) {
	for _, f := range p.Members.Findings {
		if f.Verdict != holdfast.Holds {
			r.add(f.Verdict, "%s", f.Evidence)
		}
	}
	if p.Order.Verdict != holdfast.Holds {
		r.add(p.Order.Verdict, "%s with %s: %s", p.Validator, p.Participant, p.Order.Evidence)
	}
}

// dumped is one database of one dump.
type dumped struct {
	dump *pgdump.File
	db   *pgdump.Database
}

// String names a database by its file and, in a file of several, by its name.
func (p dumped) String() string {
	if len(p.dump.Databases) > 1 {
		return p.dump.Name + " (" + p.db.Name + ")"
	}
	return p.dump.Name
}

// databases lists the databases of a kind.
func databases(dumps []pgdump.File, kind holdfast.Kind) (out []dumped) {
	for i := range dumps {
		for k := range dumps[i].Databases {
			if p := (dumped{&dumps[i], &dumps[i].Databases[k]}); p.db.Kind == kind {
				out = append(out, p)
			}
		}
	}
	return out
}

// capture is a dumped database in the form that the rules of order and
// membership take.
func (p dumped) capture() holdfast.Captured {
	return holdfast.Captured{Component: holdfast.ComponentName(p.String()), Kind: p.db.Kind, Facts: p.db.Facts}
}

// partner pairs a validator app with the participant that suits it best: in the
// same file, else in the same directory, else any. Among those it prefers a pair
// that holds, then the earliest ledger end, which was dumped next. Without a
// participant there is no partner.
func (p dumped) partner(participants []dumped) *Pair {
	var best *Pair
	var bestCandidate dumped
	for _, candidate := range participants {
		pair := judge(p, candidate)
		if best == nil || p.prefers(candidate, pair, bestCandidate, *best) {
			best, bestCandidate = &pair, candidate
		}
	}
	return best
}

// prefers reports whether pair A is better than pair B.
func (p dumped) prefers(a dumped, pairA Pair, b dumped, pairB Pair) bool {
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

// nearness ranks how likely two databases were dumped together.
func (p dumped) nearness(o dumped) int {
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

func ledgerEnd(p dumped) int64 {
	if f := p.db.Facts.Participant; f != nil && f.LedgerEnd != nil {
		return *f.LedgerEnd
	}
	return -1
}

// judge judges one pair.
func judge(validator, participant dumped) Pair {
	v, p := validator.capture(), participant.capture()
	pair := Pair{
		Validator: validator.String(), Participant: participant.String(),
		Whole:   bothWhole(validator, participant),
		Members: holdfast.ProveMembership([]holdfast.Part{{Captured: v}, {Captured: p}}, nil),
		Order:   holdfast.ContentOrder(v, p),
	}
	pair.Verdict = holdfast.Worst(pair.Whole.Verdict, pair.Members.Verdict, pair.Order.Verdict)
	return pair
}

func bothWhole(validator, participant dumped) holdfast.Finding {
	f := holdfast.Finding{Verdict: holdfast.Holds, Evidence: "both dumps are complete"}
	for _, p := range []dumped{validator, participant} {
		if v := p.dump.State.Verdict(); v != holdfast.Holds && rank(v) < rank(f.Verdict) {
			f = holdfast.Finding{Verdict: v, Evidence: p.dump.Name + " is " + stateName(p.dump.State)}
		}
	}
	return f
}
