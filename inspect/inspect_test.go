package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"holdfast"
	"holdfast/pgdump"
)

func offset(n int64) *int64 { return &n }

const id = "somebody::1220aa"

// validator is a dump of a validator app that has ingested so far.
func validator(name string, at int64, id string) pgdump.File {
	raw := fmt.Sprintf("00%016x", at)
	return aDump(name, holdfast.Validator, holdfast.Facts{Schema: "validator", Validator: &holdfast.SpliceFacts{Stores: []holdfast.Store{
		{Name: "DbValidatorStore", Version: 2, Participant: "PAR::" + id, Raw: raw, Offset: &at, Current: true},
	}}})
}

// participant is a dump of a participant whose ledger ends there.
func participant(name string, end int64, id string) pgdump.File {
	return aDump(name, holdfast.Participant, holdfast.Facts{Schema: "participant", Participant: &holdfast.ParticipantFacts{ParticipantID: id, LedgerEnd: &end}})
}

func aDump(name string, kind holdfast.Kind, facts holdfast.Facts) pgdump.File {
	return pgdump.File{Name: name, State: pgdump.Complete, Databases: []pgdump.Database{{Kind: kind, Facts: facts}}}
}

func state(d pgdump.File, s pgdump.State) pgdump.File {
	d.State, d.Faults = s, []string{"something is wrong"}
	return d
}

func pruned(d pgdump.File, to int64) pgdump.File {
	d.Databases[0].Facts.Participant.PrunedUpTo = offset(to)
	return d
}

// together puts several dumps into one file, as pg_dumpall does.
func together(name string, dumps ...pgdump.File) pgdump.File {
	all := pgdump.File{Name: name, State: pgdump.Complete}
	for _, d := range dumps {
		db := d.Databases[0]
		db.Name = d.Name
		all.Databases = append(all.Databases, db)
	}
	return all
}

func TestJudge(t *testing.T) {
	empty := aDump("empty.sql", "", holdfast.Facts{Schema: "unknown", Unknown: "an empty database: no tables at all"})
	for _, c := range []struct {
		name   string
		dumps  []pgdump.File
		want   holdfast.Verdict
		pairs  string
		reason string
	}{
		{"a right pair", []pgdump.File{validator("v", 64, id), participant("p", 66, id)}, holdfast.Holds, "v+p holds", ""},
		{"equal offsets", []pgdump.File{participant("p", 66, id), validator("v", 66, id)}, holdfast.Holds, "v+p holds", ""},
		{"a reversed pair", []pgdump.File{validator("v", 66, id), participant("p", 65, id)}, holdfast.Violated, "v+p violated", "ingested up to offset 66, but the participant's ledger ends at 65"},
		{"pruned past the validator app", []pgdump.File{validator("v", 64, id), pruned(participant("p", 90, id), 70)}, holdfast.Violated, "v+p violated", "pruned up to 70"},
		{"two nodes", []pgdump.File{validator("v", 64, id), participant("p", 66, "other::1220bb")}, holdfast.Violated, "v+p violated", "v belongs to participant somebody::1220aa, but the participant's database is that of other::1220bb"},
		{"a cut dump", []pgdump.File{validator("v", 64, id), state(participant("p", 66, id), pgdump.Truncated)}, holdfast.Violated, "v+p violated", "p is truncated: something is wrong"},
		{"a dump that is not clear", []pgdump.File{state(validator("v", 64, id), pgdump.Unclear), participant("p", 66, id)}, holdfast.CannotTell, "v+p cannot tell", "v is not clear"},
		{"a damaged dump and an unclear one", []pgdump.File{state(validator("v", 64, id), pgdump.Unclear), state(participant("p", 66, id), pgdump.Damaged)}, holdfast.Violated, "v+p violated", "p is damaged"},
		{"half a pair", []pgdump.File{participant("p", 66, id)}, holdfast.CannotTell, "", "the dumps contain no validator app's database"},
		{"the other half", []pgdump.File{validator("v", 66, id)}, holdfast.CannotTell, "", "the dumps contain no participant's database"},
		{"an empty database", []pgdump.File{validator("v", 66, id), empty}, holdfast.CannotTell, "", "the dumps contain no participant's database"},
		{"nothing that is known", []pgdump.File{empty}, holdfast.CannotTell, "", "the dumps contain neither a validator app's database"},
		{"a pair and something else", []pgdump.File{validator("v", 64, id), empty, participant("p", 66, id)}, holdfast.Holds, "v+p holds", ""},
		{"everything in one file", []pgdump.File{together("all", participant("pdb", 60, id), validator("vdb", 66, id)), participant("later", 70, id)}, holdfast.Violated, "all (vdb)+all (pdb) violated", "ends at 60"},
		{"days in directories", []pgdump.File{
			validator("mon/v", 10, id), participant("mon/p", 12, id), validator("tue/v", 20, id), participant("tue/p", 22, id),
		}, holdfast.Holds, "mon/v+mon/p holds, tue/v+tue/p holds", ""},
		{"a reversed day is not saved by the next", []pgdump.File{
			validator("mon/v", 13, id), participant("mon/p", 12, id), validator("tue/v", 20, id), participant("tue/p", 22, id),
		}, holdfast.Violated, "mon/v+mon/p violated, tue/v+tue/p holds", "mon/v with mon/p"},
		{"days in one directory", []pgdump.File{
			validator("v1", 10, id), participant("p1", 12, id), validator("v2", 20, id), participant("p2", 22, id), participant("p3", 30, id),
		}, holdfast.Holds, "v1+p1 holds, v2+p2 holds", ""},
		{"two nodes", []pgdump.File{
			validator("va", 10, id), participant("pa", 12, id), validator("vb", 3, "other::1220bb"), participant("pb", 4, "other::1220bb"),
		}, holdfast.Holds, "va+pa holds, vb+pb holds", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Judge(c.dumps)
			var pairs []string
			for _, p := range r.Pairs {
				pairs = append(pairs, fmt.Sprintf("%s+%s %s", p.Validator, p.Participant, p.Verdict))
			}
			if r.Verdict != c.want || strings.Join(pairs, ", ") != c.pairs || !strings.Contains(strings.Join(r.Reasons, "; "), c.reason) || (len(r.Reasons) == 0) != (c.want == holdfast.Holds) {
				t.Errorf("%s, pairs %v, reasons %q", r.Verdict, pairs, r.Reasons)
			}
		})
	}
}

// One dump alone: then the question is whether that one is complete, and
// nothing is claimed about order.
func TestJudgeEach(t *testing.T) {
	rows := func(d pgdump.File) pgdump.File {
		d.Databases[0].Tables = []pgdump.Table{{Schema: "a", Name: "b", Data: true}}
		return d
	}
	unread := rows(participant("p", 66, id))
	unread.Databases[0].Unread = []string{"lapi_parameters"}
	unknown := rows(participant("p", 66, id))
	unknown.Databases[0].Facts.Unknown = "a schema of another version"
	definitions := aDump("app", "", holdfast.Facts{})
	definitions.Databases[0].Tables = []pgdump.Table{{Schema: "a", Name: "b"}}
	for _, c := range []struct {
		name   string
		dumps  []pgdump.File
		want   holdfast.Verdict
		reason string
	}{
		{"a participant's", []pgdump.File{rows(participant("p", 66, id))}, holdfast.Holds, ""},
		{"an app's", []pgdump.File{rows(aDump("app", "", holdfast.Facts{Unknown: "not Canton's"}))}, holdfast.Holds, ""},
		{"a reversed pair, judged without order", []pgdump.File{rows(validator("v", 66, id)), rows(participant("p", 65, id))}, holdfast.Holds, ""},
		{"one that is cut", []pgdump.File{state(rows(participant("p", 66, id)), pgdump.Truncated)}, holdfast.Violated, "p is truncated: something is wrong"},
		{"a good one and one that is not clear", []pgdump.File{rows(validator("v", 66, id)), state(participant("p", 66, id), pgdump.Unclear)}, holdfast.CannotTell, "p is not clear"},
		{"definitions without rows", []pgdump.File{definitions}, holdfast.CannotTell, "app has no table with rows"},
		{"nothing at all", []pgdump.File{aDump("empty", "", holdfast.Facts{})}, holdfast.CannotTell, "empty has no table with rows"},
		{"without a table that matters", []pgdump.File{unread}, holdfast.CannotTell, "p has no rows of lapi_parameters"},
		{"an unknown schema", []pgdump.File{unknown}, holdfast.CannotTell, "a schema of another version"},
		{"everything in one file, with an empty database", []pgdump.File{together("all", aDump("postgres", "", holdfast.Facts{}), rows(participant("pdb", 60, id)))}, holdfast.Holds, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := JudgeEach(c.dumps)
			if r.Question != Each || r.Verdict != c.want || len(r.Pairs) > 0 || !strings.Contains(strings.Join(r.Reasons, "; "), c.reason) || (len(r.Reasons) == 0) != (c.want == holdfast.Holds) {
				t.Errorf("%s, pairs %v, reasons %q", r.Verdict, r.Pairs, r.Reasons)
			}
		})
	}
}

func TestRunReadsEachDump(t *testing.T) {
	broken := errors.New("no such file")
	job := Job{Read: func(_ context.Context, name string) (pgdump.File, error) {
		switch name {
		case "v":
			return validator(name, 1, id), nil
		case "p":
			return participant(name, 2, id), nil
		}
		return pgdump.File{}, broken
	}}
	if r, err := job.Run(t.Context(), []string{"v", "p"}); err != nil || r.Verdict != holdfast.Holds || len(r.Dumps) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	job.Each = true
	if r, err := job.Run(t.Context(), []string{"p", "v"}); err != nil || r.Question != Each || len(r.Dumps) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := job.Run(t.Context(), []string{"v", "x"}); !errors.Is(err, broken) {
		t.Error(err)
	}
}
