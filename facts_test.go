package holdfast_test

import (
	"slices"
	"strings"
	"testing"

	"holdfast"
)

func TestSerialOfASynchronizer(t *testing.T) {
	id := "global-domain::1220" + strings.Repeat("e", 64)
	for text, want := range map[string]int{
		id + "::35-5":  5,
		id + "::34-0":  0,
		id + "::35-12": 12,
		id + "::dev-3": 3,
	} {
		if got, ok := (holdfast.Synchronizer{PhysicalID: text}).Serial(); !ok || got != want {
			t.Errorf("%s has serial %d, %v; want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", id, id + "::35", id + "::35-", id + "::35-x", "global-domain::35-5"} {
		if got, ok := (holdfast.Synchronizer{PhysicalID: text}).Serial(); ok {
			t.Errorf("%q has serial %d; want unknown", text, got)
		}
	}
}

func TestParticipantsAreThoseOfTheMigrationInUse(t *testing.T) {
	v := holdfast.SpliceFacts{MigrationID: 2, Stores: []holdfast.Store{
		{Participant: "PAR::old", MigrationID: 1},
		{Participant: "PAR::new", MigrationID: 2},
		{Participant: "PAR::new", MigrationID: 2},
	}}
	if got := v.Participants(); !slices.Equal(got, []string{"new"}) {
		t.Errorf("got %v", got)
	}
}
