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
	reports := Container{ID: "reports", Name: "reports"}
	session := func(name string) canton.Session {
		return canton.Session{PID: 7, Database: "validator", Application: name, From: "172.18.0.1"}
	}
	containers, strangers := b.sorted([]Holder{
		{session("participant"), *b.Participant}, {session("app"), *b.Validator}, {session("reports"), reports},
		{session("reports"), reports}, {session("psql"), *b.Postgres}, {session("exporter"), Container{}},
	})
	if len(containers) != 1 || containers[0].Name != "reports" || len(strangers) != 2 {
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
