package compose

import (
	"fmt"
	"strings"
	"testing"

	"holdfast"
	"holdfast/canton"
	"holdfast/step"
)

func TestWhatARestoreHasStoppedAndNotStarted(t *testing.T) {
	of := func(act step.Act, name, role string) step.Entry {
		return step.Entry{Step: step.Step{Act: act, Kind: step.Container, Name: name, Of: role}, Mark: step.Done}
	}
	log := step.Log{Entries: []step.Entry{
		of(step.DisableRestart, "app", "validator"), of(step.Stop, "app", "validator"), of(step.Stop, "participant", "participant"),
		of(step.Stop, "postgres", "postgres"), of(step.Stop, "reports", ""), of(step.Start, "reports", ""),
	}}
	if got := fmt.Sprint(halted(log)); got != "[app participant]" {
		t.Errorf("got %s", got)
	}
}

// TestWhoHoldsADatabase: containers are stopped, whatever they are; who is in
// none is in the way.
func TestWhoHoldsADatabase(t *testing.T) {
	all := node(t, "splice-validator", "participant-4", "postgres-splice", "running")
	for i := range all {
		all[i].ID = all[i].Name
	}
	b, err := Choose(all, Site{})
	if err != nil {
		t.Fatal(err)
	}
	reports, archive := Container{ID: "reports", Name: "reports"}, Container{ID: "archive", Name: "archive"}
	session := func(name string) canton.Session {
		return canton.Session{PID: 7, Database: "validator", Application: name, From: "172.18.0.1"}
	}
	containers, strangers := b.sorted([]Holder{
		{session("participant"), *b.Participant}, {session("app"), *b.Validator}, {session("reports"), reports},
		{session("reports"), reports}, {session("psql"), *b.Postgres}, {session("exporter"), Container{}},
		{session("archive"), archive},
	})
	if len(containers) != 2 || containers[0].Name != "archive" || containers[1].Name != "reports" || len(strangers) != 2 {
		t.Errorf("containers %v, strangers %v", containers, strangers)
	}
	err = inTheWay(strangers)
	if holdfast.ClassOf(err) != holdfast.Refused || !strings.Contains(err.Error(), "validator by psql (pid 7") || !strings.Contains(err.Error(), "exporter") {
		t.Errorf("got %v", err)
	}
	if inTheWay(nil) != nil {
		t.Error("nobody is in the way")
	}
}

// Containers that were started as the participant and hold its database count,
// whether or not they take its lock.
func TestWhoLivesOnADatabase(t *testing.T) {
	started := func(name string) Container {
		return inspected(t, "p", name, "x/canton-participant:0.6.11", "running", map[string]string{"CANTON_PARTICIPANT_POSTGRES_DB": "participant"})
	}
	at := func(database string, program holdfast.Kind) canton.Session {
		return canton.Session{Database: database, Program: program, From: "203.0.113.9"}
	}
	participant, copied := started("participant"), started("copy")
	for _, c := range []struct {
		name    string
		holders []Holder
		verdict holdfast.Verdict
	}{
		{"the node's own", []Holder{{at("participant", holdfast.Participant), participant}, {at("participant", ""), participant}}, holdfast.Holds},
		{"a passive copy", []Holder{{at("participant", holdfast.Participant), participant}, {at("participant", ""), copied}}, holdfast.Holds},
		{"a copy, without locks", []Holder{{at("participant", ""), participant}, {at("participant", ""), copied}}, holdfast.Violated},
		{"one of another machine", []Holder{{at("participant", holdfast.Participant), participant}, {at("participant", holdfast.Participant), Container{}}}, holdfast.Violated},
		{"on another database", []Holder{{at("participant", ""), participant}, {at("validator", ""), copied}}, holdfast.Holds},
		{"no participant at all", []Holder{{at("participant", ""), participant}, {at("participant", ""), Container{Name: "reports"}}}, holdfast.Holds},
	} {
		f := canton.OneLiving("participant", holdfast.Participant, living(c.holders, "participant", holdfast.Participant))
		if f.Verdict != c.verdict {
			t.Errorf("%s: got %s, %s", c.name, f.Verdict, f.Evidence)
		}
	}
}
