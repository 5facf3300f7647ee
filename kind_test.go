package holdfast

import (
	"slices"
	"testing"
	"time"
)

// Another kind of component is a row, and a rule of order about it is a row:
// stages, validation and proof follow from the tables.
func TestAnotherKindIsARow(t *testing.T) {
	const sheep Kind = "sheep"
	oldKinds, oldRules := kinds, rules
	t.Cleanup(func() { kinds, rules = oldKinds, oldRules })
	one := Node{
		Name:       "farm",
		Components: []Component{{Name: "p", Kind: Participant}, {Name: "s", Kind: sheep}, {Name: "s2", Kind: sheep}},
	}
	if err := one.Validate(); err == nil {
		t.Fatal("a kind without a row is taken")
	}

	kinds = append(slices.Clone(kinds), kindRow{kind: sheep, title: "flock", several: true})
	rules = append(slices.Clone(rules), rule{
		first:  sheep,
		then:   Participant,
		why:    "sheep go first",
		source: "the shepherd",
		content: func(first Kind, _, _ span) (best, worst Finding) {
			whole := Finding{Holds, "the " + first.Title() + " is whole"}
			return whole, whole
		},
	})
	if err := one.Validate(); err != nil {
		t.Fatal(err)
	}
	stages, err := one.Stages()
	if err != nil || len(stages) != 2 || len(stages[0]) != 2 || stages[1][0].Name != "p" {
		t.Errorf("stages %v, %v", stages, err)
	}
	at := func(name ComponentName, kind Kind, began, ended int64) Capture {
		return Capture{
			Method: Dump, Components: []Captured{{Component: name, Kind: kind}},
			Began: Moment{Since: time.Duration(began)}, Ended: Moment{Since: time.Duration(ended)},
		}
	}
	set := Set{
		Schema:   ManifestSchema,
		Node:     one,
		Captures: []Capture{at("s", sheep, 0, 1), at("s2", sheep, 0, 2), at("p", Participant, 3, 4)},
	}
	set.Prove()
	if len(set.Order.Edges) != 2 || set.Order.Verdict != Holds ||
		set.Order.Edges[0].Content.Evidence != "the flock is whole" {
		t.Errorf("order %+v", set.Order)
	}
	set.Captures[2] = at("p", Participant, 1, 4)
	if set.Prove(); set.State != Misordered {
		t.Errorf("a participant that began before the flock ended gives a set that is %s", set.State)
	}
}
