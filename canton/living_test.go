package canton

import (
	"strings"
	"testing"

	"holdfast"
)

func TestOneProgramIsAliveOnADatabase(t *testing.T) {
	locked := func(name string) Living { return Living{name, true} }
	for _, c := range []struct {
		name    string
		list    []Living
		verdict holdfast.Verdict
		says    string
	}{
		{"none", nil, holdfast.Holds, "no participant is alive"},
		{"one, with several sessions", []Living{locked("a"), locked("a"), {"a", false}}, holdfast.Holds, "one participant is alive, a"},
		{"two locks", []Living{locked("a"), locked("b")}, holdfast.Violated, "database participant-4 has more than one participant: a, b"},
		{"a replica", []Living{{"b", false}, locked("a")}, holdfast.Holds, "passive next to it b"},
		{"one without a lock", []Living{{"a", false}}, holdfast.Holds, "one participant is alive, a"},
		{"two without locks", []Living{{"a", false}, {"b", false}}, holdfast.Violated, "a, b"},
	} {
		if f := OneLiving("participant-4", holdfast.Participant, c.list); f.Verdict != c.verdict || !strings.Contains(f.Evidence, c.says) {
			t.Errorf("%s: got %s, %s", c.name, f.Verdict, f.Evidence)
		}
	}
	if HasLock(holdfast.App) || !HasLock(holdfast.Scan) {
		t.Error("which kinds have locks is not as Canton and Splice have it")
	}
	sessions := []Session{{From: "a", Program: holdfast.Participant}, {From: "b", Program: holdfast.Validator}, {From: "c"}}
	if got := LivingOn(sessions, holdfast.Participant); len(got) != 1 || got[0] != locked("a") {
		t.Errorf("got %v", got)
	}
}
