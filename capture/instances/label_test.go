package instances

import (
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/capture/snapshot"
	"holdfast/content"
	"holdfast/step"
	"holdfast/target"
)

const set = holdfast.SetID("20261122T154500Z-1f0c9a3e")

func one(name, resource string, labels map[string]string) snapshot.Server {
	return snapshot.Server{Name: name, Resource: resource, State: "available", Takes: true, Labels: labels}
}

func ours(was string) map[string]string {
	return Target{Node: "demo"}.labels(made{set: set, from: "holdfast-s", of: "canton", was: was, at: time.Now()}, content.Shape{
		Tags: map[string]string{"team": "ledger", "aws:cloudformation:stack-id": "x", toStay.labels + labelSet: "another"},
	})
}

// An instance is ours by its labels and by a name that follows from them.
func TestWhatARestoreMade(t *testing.T) {
	if l := ours("db-1"); l["team"] != "ledger" || l[toStay.labels+labelSet] != string(set) || l["aws:cloudformation:stack-id"] != "" {
		t.Errorf("the labels are %v", l)
	}
	for _, c := range []struct {
		name string
		node holdfast.NodeName
		is   bool
	}{
		{NewName(set, "canton"), "demo", true},
		{"canton", "demo", true}, // in place
		{NewName(set, "canton"), "other", false},
		{"canton-replica", "demo", false}, // labels can be copied
		{NewName(set, "apps"), "demo", false},
	} {
		if _, is := (Target{Node: c.node}).read(one(c.name, "db-2", ours("db-1"))); is != c.is {
			t.Errorf("%s of node %s: %v", c.name, c.node, is)
		}
	}
	if _, is := (Target{Node: "demo"}).read(one("canton", "db-1", nil)); is {
		t.Error("an instance without labels is taken for ours")
	}
}

// Names are RDS's: at most 63 letters, and two instances never get the same.
func TestNamesOfInstances(t *testing.T) {
	long := strings.Repeat("x", 63)
	for _, of := range []string{"canton", long, long[:62] + "y"} {
		for _, name := range []string{NewName(set, of), previousName(set, one(of, "db-1", nil))} {
			if len(name) > 63 || strings.ToLower(name) != name || strings.Contains(name, "--") {
				t.Errorf("%s becomes %s", of, name)
			}
		}
	}
	if NewName(set, long) == NewName(set, long[:62]+"y") {
		t.Error("two instances have one new name")
	}
	if previousName(set, one("canton", "db-1", nil)) == previousName(set, one("canton", "db-2", nil)) {
		t.Error("two instances that made way have one name")
	}
}

// The validator app's instance changes its name first, and is the last to change
// back: the older state is never the participant's alone.
func TestTheOrderOfRenames(t *testing.T) {
	n := Target{Swap: true, Node: "demo", Members: []Member{
		{Component: holdfast.Component{Name: "participant", Kind: holdfast.Participant}, Instance: "canton"},
		{Component: holdfast.Component{Name: "validator", Kind: holdfast.Validator}, Instance: "apps"},
	}}
	list := []target.Database{
		{Component: "validator", Database: "apps", New: "n1", Previous: "p1", Live: true},
		{Component: "participant", Database: "canton", New: "n2", Previous: "p2", Live: true},
	}
	swaps := n.Swaps(set, time.Now(), list)
	if len(swaps) != 2 || swaps[0].String() != "rename instance apps to p1, n1 to apps" {
		t.Errorf("forth: %v", swaps)
	}
	back, err := n.Back(t.Context(), []step.Leftover{
		{Name: "p1", Label: step.Label{Database: "apps", Set: set}}, {Name: "p2", Label: step.Label{Database: "canton", Set: set}},
	}, time.Now())
	if err != nil || back[0].Name != "canton" || back[1].Name != "apps" {
		t.Errorf("back: %v, %v", back, err)
	}
	list[1].Database, list[1].New = "apps", "n1" // both databases are on it
	if swaps := n.Swaps(set, time.Now(), list); len(swaps) != 1 {
		t.Errorf("one instance changes its name twice: %v", swaps)
	}
	n.Swap = false
	if swaps := n.Swaps(set, time.Now(), list); len(swaps) != 0 {
		t.Errorf("without a swap: %v", swaps)
	}
}

// Which instance a move is about does not depend on the names it has by now.
func TestTheSubjectOfAMove(t *testing.T) {
	n := Target{Node: "demo"}
	forth := step.Move{From: "canton", To: "before", Label: &step.Label{Role: step.Previous, Set: set}}
	fresh := step.Move{From: NewName(set, "canton"), To: "canton", Was: &step.Label{Role: step.New, Set: set}}
	for _, list := range [][]snapshot.Server{
		{one("canton", "db-1", nil), one(NewName(set, "canton"), "db-2", ours("db-1"))},
		{one("before", "db-1", nil), one(NewName(set, "canton"), "db-2", ours("db-1"))},
		{one("before", "db-1", nil), one("canton", "db-2", ours("db-1"))},
	} {
		old, _ := n.subject(list, "canton", forth)
		now, _ := n.subject(list, "canton", fresh)
		if old.Resource != "db-1" || now.Resource != "db-2" {
			t.Errorf("of %v: %s and %s", list, old.Resource, now.Resource)
		}
	}
	// A second restore of the set: the first one's instance makes way.
	twice := []snapshot.Server{
		one("before", "db-1", nil), one("canton", "db-2", ours("db-1")), one(NewName(set, "canton"), "db-3", ours("db-2")),
	}
	if now, _ := n.subject(twice, "canton", fresh); now.Resource != "db-3" {
		t.Errorf("the second restore moves %s", now.Resource)
	}
	if old, _ := n.subject(twice, "canton", forth); old.Resource != "db-2" {
		t.Errorf("the second restore has %s make way", old.Resource)
	}
}
