package postgres

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
)

func TestFactsThatASetDoesNotKnowDoNotDiffer(t *testing.T) {
	end := int64(7)
	facts := func(change func(*holdfast.ParticipantFacts)) holdfast.Facts {
		p := &holdfast.ParticipantFacts{
			ParticipantID: "p::1220",
			LedgerEnd:     &end,
			Users:         []holdfast.User{{ID: "alice", Rights: []int{2}}},
		}
		change(p)
		return holdfast.Facts{Schema: "participant", Participant: p}
	}
	made := time.Unix(1, 0)
	old := facts(func(*holdfast.ParticipantFacts) {})
	fresh := facts(func(p *holdfast.ParticipantFacts) {
		p.NoPruning, p.Dars, p.Users[0].Created = true, []holdfast.Dar{{ID: "d"}}, &made
	})
	if d := factsDiffer(fresh, old); d != "" {
		t.Errorf("a set of before differs: %s", d)
	}
	if factsDiffer(old, fresh) == "" {
		t.Error("what was recorded and is gone does not differ")
	}
	for name, other := range map[string]holdfast.Facts{
		"another end": facts(func(p *holdfast.ParticipantFacts) { p.LedgerEnd = nil }),
		"a user more": facts(func(p *holdfast.ParticipantFacts) {
			p.Users = append(p.Users, holdfast.User{ID: "bob"})
		}),
		"no user":     facts(func(p *holdfast.ParticipantFacts) { p.Users = nil }),
		"other right": facts(func(p *holdfast.ParticipantFacts) { p.Users[0].Rights = []int{1} }),
		"a key":       facts(func(p *holdfast.ParticipantFacts) { p.Keys = []holdfast.Key{{Fingerprint: "f"}} }),
	} {
		if factsDiffer(other, old) == "" {
			t.Errorf("%s does not differ", name)
		}
	}
}

// A fact that is added has to be added to laterFacts as well, or no set of
// before can be restored any more.
func TestEveryFactIsKnownFromTheBeginningOrLater(t *testing.T) {
	first := strings.Fields(`active alias at cron current deactivated fingerprint id kms_keys last_ingested_offset ledger_end ledger_end_published_at
		max_duration_ns migration_id migrations name offset participant participant_id party physical_id primary_party private_keys
		pruned_up_to_inclusive pruning_schedule purpose record_times retention_ns rights schema stores synchronizer synchronizers unknown
		users validator version wrapped
		block_height clean_head head lower_bound mediator physical_synchronizer_id sequencer splice`) // since there are these kinds
	var walk func(reflect.Type)
	walk = func(r reflect.Type) {
		for r.Kind() == reflect.Pointer || r.Kind() == reflect.Slice {
			r = r.Elem()
		}
		if r.Kind() != reflect.Struct || r == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range r.NumField() {
			name, _, _ := strings.Cut(r.Field(i).Tag.Get("json"), ",")
			if name != "" && !slices.Contains(first, name) && !laterFacts[name] {
				t.Errorf("%s.%s is neither old nor in laterFacts", r, name)
			}
			walk(r.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[holdfast.Facts]())
}
