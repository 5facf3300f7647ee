package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"holdfast"
)

func offset(n int64) *int64 { return &n }

const id = "somebody::1220aa"

// validator is a dump of a validator app that has ingested so far.
func validator(name string, at int64, id string) holdfast.Dump {
	raw := fmt.Sprintf("00%016x", at)
	return dumped(name, holdfast.Validator, holdfast.Facts{Schema: "validator", Validator: &holdfast.ValidatorFacts{Stores: []holdfast.Store{
		{Name: "DbValidatorStore", Version: 2, Participant: "PAR::" + id, Raw: raw, Offset: &at, Current: true},
	}}})
}

// participant is a dump of a participant whose ledger ends there.
func participant(name string, end int64, id string) holdfast.Dump {
	return dumped(name, holdfast.Participant, holdfast.Facts{Schema: "participant", Participant: &holdfast.ParticipantFacts{ParticipantID: id, LedgerEnd: &end}})
}

func dumped(name string, kind holdfast.Kind, facts holdfast.Facts) holdfast.Dump {
	return holdfast.Dump{Name: name, State: holdfast.CompleteDump, Databases: []holdfast.DumpedDatabase{{Kind: kind, Facts: facts}}}
}

func state(d holdfast.Dump, s holdfast.DumpState) holdfast.Dump {
	d.State, d.Faults = s, []string{"something is wrong"}
	return d
}

func pruned(d holdfast.Dump, to int64) holdfast.Dump {
	d.Databases[0].Facts.Participant.PrunedUpTo = offset(to)
	return d
}

// together puts several dumps into one file, as pg_dumpall does.
func together(name string, dumps ...holdfast.Dump) holdfast.Dump {
	all := holdfast.Dump{Name: name, State: holdfast.CompleteDump}
	for _, d := range dumps {
		db := d.Databases[0]
		db.Name = d.Name
		all.Databases = append(all.Databases, db)
	}
	return all
}

func TestJudge(t *testing.T) {
	empty := dumped("empty.sql", "", holdfast.Facts{Schema: "unknown", Unknown: "an empty database: no tables at all"})
	for _, c := range []struct {
		name   string
		dumps  []holdfast.Dump
		want   holdfast.Verdict
		pairs  string
		reason string
	}{
		{"a right pair", []holdfast.Dump{validator("v", 64, id), participant("p", 66, id)}, holdfast.Holds, "v+p holds", ""},
		{"equal offsets", []holdfast.Dump{participant("p", 66, id), validator("v", 66, id)}, holdfast.Holds, "v+p holds", ""},
		{"a reversed pair", []holdfast.Dump{validator("v", 66, id), participant("p", 65, id)}, holdfast.Violated, "v+p violated", "ingested up to offset 66, but the participant's ledger ends at 65"},
		{"pruned past the validator app", []holdfast.Dump{validator("v", 64, id), pruned(participant("p", 90, id), 70)}, holdfast.Violated, "v+p violated", "pruned up to 70"},
		{"two nodes", []holdfast.Dump{validator("v", 64, id), participant("p", 66, "other::1220bb")}, holdfast.Violated, "v+p violated", "v belongs to participant somebody::1220aa, but the participant's database is that of other::1220bb"},
		{"a cut dump", []holdfast.Dump{validator("v", 64, id), state(participant("p", 66, id), holdfast.TruncatedDump)}, holdfast.Violated, "v+p violated", "p is truncated: something is wrong"},
		{"a dump that is not clear", []holdfast.Dump{state(validator("v", 64, id), holdfast.UnclearDump), participant("p", 66, id)}, holdfast.CannotTell, "v+p cannot tell", "v is not clear"},
		{"a damaged dump and an unclear one", []holdfast.Dump{state(validator("v", 64, id), holdfast.UnclearDump), state(participant("p", 66, id), holdfast.DamagedDump)}, holdfast.Violated, "v+p violated", "p is damaged"},
		{"half a pair", []holdfast.Dump{participant("p", 66, id)}, holdfast.CannotTell, "", "no validator app's database is among them"},
		{"the other half", []holdfast.Dump{validator("v", 66, id)}, holdfast.CannotTell, "", "no participant's database is among them"},
		{"an empty database", []holdfast.Dump{validator("v", 66, id), empty}, holdfast.CannotTell, "", "no participant's database is among them"},
		{"nothing that is known", []holdfast.Dump{empty}, holdfast.CannotTell, "", "neither a validator app's database"},
		{"a pair beside something else", []holdfast.Dump{validator("v", 64, id), empty, participant("p", 66, id)}, holdfast.Holds, "v+p holds", ""},
		{"everything in one file", []holdfast.Dump{together("all", participant("pdb", 60, id), validator("vdb", 66, id)), participant("later", 70, id)}, holdfast.Violated, "all (vdb)+all (pdb) violated", "ends at 60"},
		{"days in directories", []holdfast.Dump{
			validator("mon/v", 10, id), participant("mon/p", 12, id), validator("tue/v", 20, id), participant("tue/p", 22, id),
		}, holdfast.Holds, "mon/v+mon/p holds, tue/v+tue/p holds", ""},
		{"a reversed day is not saved by the next", []holdfast.Dump{
			validator("mon/v", 13, id), participant("mon/p", 12, id), validator("tue/v", 20, id), participant("tue/p", 22, id),
		}, holdfast.Violated, "mon/v+mon/p violated, tue/v+tue/p holds", "mon/v with mon/p"},
		{"days in one directory", []holdfast.Dump{
			validator("v1", 10, id), participant("p1", 12, id), validator("v2", 20, id), participant("p2", 22, id), participant("p3", 30, id),
		}, holdfast.Holds, "v1+p1 holds, v2+p2 holds", ""},
		{"two nodes side by side", []holdfast.Dump{
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

// One dump is all there is: then it is asked whether that one is all there, and
// nothing is claimed about order.
func TestJudgeEach(t *testing.T) {
	rows := func(d holdfast.Dump) holdfast.Dump {
		d.Databases[0].Tables = []holdfast.DumpedTable{{Schema: "a", Name: "b", Data: true}}
		return d
	}
	unread := rows(participant("p", 66, id))
	unread.Databases[0].Unread = []string{"lapi_parameters"}
	unknown := rows(participant("p", 66, id))
	unknown.Databases[0].Facts.Unknown = "a schema of another version"
	definitions := dumped("app", "", holdfast.Facts{})
	definitions.Databases[0].Tables = []holdfast.DumpedTable{{Schema: "a", Name: "b"}}
	for _, c := range []struct {
		name   string
		dumps  []holdfast.Dump
		want   holdfast.Verdict
		reason string
	}{
		{"a participant's", []holdfast.Dump{rows(participant("p", 66, id))}, holdfast.Holds, ""},
		{"an app's", []holdfast.Dump{rows(dumped("app", "", holdfast.Facts{Unknown: "not Canton's"}))}, holdfast.Holds, ""},
		{"a reversed pair, of which order is not asked", []holdfast.Dump{rows(validator("v", 66, id)), rows(participant("p", 65, id))}, holdfast.Holds, ""},
		{"one that is cut", []holdfast.Dump{state(rows(participant("p", 66, id)), holdfast.TruncatedDump)}, holdfast.Violated, "p is truncated: something is wrong"},
		{"a good one beside one that is not clear", []holdfast.Dump{rows(validator("v", 66, id)), state(participant("p", 66, id), holdfast.UnclearDump)}, holdfast.CannotTell, "p is not clear"},
		{"definitions without rows", []holdfast.Dump{definitions}, holdfast.CannotTell, "app has no table with its rows in it"},
		{"nothing at all", []holdfast.Dump{dumped("empty", "", holdfast.Facts{})}, holdfast.CannotTell, "empty has no table with its rows in it"},
		{"without a table that matters", []holdfast.Dump{unread}, holdfast.CannotTell, "p has no rows of lapi_parameters"},
		{"an unknown schema", []holdfast.Dump{unknown}, holdfast.CannotTell, "a schema of another version"},
		{"everything in one file, with an empty database", []holdfast.Dump{together("all", dumped("postgres", "", holdfast.Facts{}), rows(participant("pdb", 60, id)))}, holdfast.Holds, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := JudgeEach(c.dumps)
			if r.Asked != Each || r.Verdict != c.want || len(r.Pairs) > 0 || !strings.Contains(strings.Join(r.Reasons, "; "), c.reason) || (len(r.Reasons) == 0) != (c.want == holdfast.Holds) {
				t.Errorf("%s, pairs %v, reasons %q", r.Verdict, r.Pairs, r.Reasons)
			}
		})
	}
}

func TestRunReadsEachDump(t *testing.T) {
	broken := errors.New("no such file")
	job := Job{Read: func(_ context.Context, name string) (holdfast.Dump, error) {
		switch name {
		case "v":
			return validator(name, 1, id), nil
		case "p":
			return participant(name, 2, id), nil
		}
		return holdfast.Dump{}, broken
	}}
	if r, err := job.Run(t.Context(), []string{"v", "p"}); err != nil || r.Verdict != holdfast.Holds || len(r.Dumps) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	job.Each = true
	if r, err := job.Run(t.Context(), []string{"p", "v"}); err != nil || r.Asked != Each || len(r.Dumps) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := job.Run(t.Context(), []string{"v", "x"}); !errors.Is(err, broken) {
		t.Error(err)
	}
}
