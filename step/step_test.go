package step_test

import (
	"encoding/json"
	"slices"
	"testing"

	"holdfast/step"
)

// Each step's opposite, the last one first; what holds nothing of the
// operator's has none.
func TestTheWayBack(t *testing.T) {
	container := func(act step.Act, name, role string) step.Step {
		return step.Step{Act: act, Kind: step.Container, Name: name, Of: role}
	}
	workload := func(act step.Act) step.Step {
		return step.Step{Act: act, Kind: step.Workload, Name: "deployment/p", Of: "participant", Replicas: 2}
	}
	previous, fresh := &step.Label{Role: step.Previous}, &step.Label{Role: step.New}
	rename := step.Step{Act: step.Rename, Kind: step.Server, Name: "p", Moves: []step.Move{
		{From: "db", To: "db~before", Label: previous}, {From: "db~new", To: "db", Was: fresh}}}
	build := step.Step{Act: step.Build, Kind: step.Database, Name: "db", As: "db~new", Of: "p"}
	hold := container(step.DisableRestart, "v", "validator")
	hold.Policy = "always"
	keep := step.Step{Act: step.Keep, Kind: step.Volume, Name: "data", As: "data.before"}
	replace := container(step.Replace, "v", "validator")
	replace.As = "v.before"
	for _, c := range []struct {
		name string
		done []step.Step
		want []string
	}{
		{"programs", []step.Step{hold, container(step.Stop, "v", "validator")}, []string{"start container v", "enable restart container v: always"}},
		{"databases", []step.Step{build, rename}, []string{"rename db to db~new, db~before to db", "drop database db~new"}},
		{"a start", []step.Step{container(step.Start, "v", "validator")}, []string{"stop container v"}},
		{"a second run stops what the first has started", []step.Step{
			hold, container(step.Stop, "v", "validator"), rename, container(step.Start, "v", "validator"), container(step.Stop, "v", "validator"),
		}, []string{"stop container v", "rename db to db~new, db~before to db", "start container v", "enable restart container v: always"}},
		{"a workload that a second run has stopped as well", []step.Step{
			workload(step.Stop), rename, workload(step.Stop), workload(step.Start), workload(step.Stop),
		}, []string{"stop workload deployment/p, scale from 2 to 0", "rename db to db~new, db~before to db", "start workload deployment/p, scale from 0 to 2"}},
		{"containers that were made", []step.Step{replace, container(step.Create, "n", "")}, []string{"remove container n", "put back container v from v.before"}},
		{"whatever was made", []step.Step{
			{Act: step.Create, Kind: step.Directory, Name: "/d", Owner: "0:0", Mode: "0755"}, {Act: step.Write, Kind: step.File, Name: "/d/f"},
			{Act: step.Write, Kind: step.File, Name: "/e", As: "/e.of-set"}, {Act: step.Create, Kind: step.Volume, Name: "v"},
			{Act: step.Create, Kind: step.Network, Name: "n"},
		}, []string{"remove network n", "remove volume v", "remove file /e.of-set", "remove file /d/f", "remove directory /d"}},
		{"what stays", []step.Step{
			{Act: step.Fetch, Kind: step.Image, Name: "i"}, {Act: step.Create, Kind: step.Volume, Name: "/there/perhaps", If: true},
			{Act: step.Remove, Kind: step.Container, Name: "c"}, {Act: step.Drop, Kind: step.Database, Name: "d"},
		}, nil},
		{"databases on a volume that goes", []step.Step{container(step.Stop, "pg", "postgres"), keep, build, rename}, []string{
			"put back volume data from data.before", "start container pg, wait until it is ready"}},
		{"databases on a volume before it went", []step.Step{build, rename, keep}, []string{
			"put back volume data from data.before", "rename db to db~new, db~before to db", "drop database db~new"}},
	} {
		var done []step.Entry
		for _, s := range c.done {
			done = append(done, step.Entry{Step: s, Mark: step.Done})
		}
		var got []string
		for _, s := range step.Reverse(done) {
			got = append(got, s.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got  %q\nwant %q", c.name, got, c.want)
		}
	}
}

// To go back from a way back is to go forward again, with every label as it was.
func TestTheWayBackFromARename(t *testing.T) {
	label := func(r step.Role) *step.Label { return &step.Label{Role: r, Database: "db"} }
	s := step.Step{Act: step.Rename, Kind: step.Server, Name: "p", Moves: []step.Move{
		{From: "db", To: "db~before", Label: label(step.Previous)}, {From: "db~new", To: "db", Was: label(step.New)}}}
	back := step.Reverse([]step.Entry{{Step: s, Mark: step.Done}})
	forth := step.Reverse([]step.Entry{{Step: back[0], Mark: step.Done}})
	want, _ := json.Marshal(s)
	if got, _ := json.Marshal(forth[0]); string(got) != string(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if back := step.Reverse([]step.Entry{{Step: s, Mark: step.Begun}}); !back[0].If {
		t.Error("a rename that may not have been done is taken back as if it was")
	}
}

// The words on operators' machines, in comments and labels of earlier versions.
func TestWordsOnOperatorsMachines(t *testing.T) {
	const comment = `{"holdfast":"before","database":"participant-4","component":"participant","set":"20261122T154500Z-1f0c9a3e","at":"2026-11-22T17:19:51Z"}`
	var l step.Label
	if err := json.Unmarshal([]byte(comment), &l); err != nil || l.Role != step.Previous || l.Database != "participant-4" || l.At.IsZero() {
		t.Errorf("%+v, %v", l, err)
	}
	if got, _ := json.Marshal(l); string(got) != comment {
		t.Errorf("it is written as %s", got)
	}
	if step.New != "new" || step.Undone != "undone" {
		t.Error("the roles have other words")
	}
}
