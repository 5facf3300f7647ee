package loss_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/loss"
)

func TestLosses(t *testing.T) {
	five, nine := int64(5), int64(9)
	then := holdfast.ParticipantFacts{
		LedgerEnd: &five, Users: []holdfast.User{{ID: "alice"}}, Keys: []holdfast.Key{{Fingerprint: "1220aa"}}, Dars: []holdfast.Dar{{ID: "a"}},
		Synchronizers: []holdfast.Synchronizer{{Alias: "global", PhysicalID: "g::1220" + strings.Repeat("0", 64) + "::35-5", Active: true}},
		Pruning:       &holdfast.Pruning{Cron: "0 0 * * * ?", Retention: time.Hour},
	}
	kinds := func(then, now holdfast.ParticipantFacts) (out []loss.Kind) {
		for _, l := range loss.Compare(holdfast.Facts{Participant: &then}, holdfast.Facts{Participant: &now}) {
			if l.What == "" || l.Do == "" && l.Kind != loss.Replayed {
				t.Errorf("no advice: %+v", l)
			}
			out = append(out, l.Kind)
		}
		return out
	}
	change := func(fn func(*holdfast.ParticipantFacts)) holdfast.ParticipantFacts {
		now := then
		fn(&now)
		return now
	}
	for name, c := range map[string]struct {
		now  holdfast.ParticipantFacts
		want []loss.Kind
	}{
		"nothing": {then, nil},
		"an upgrade of the synchronizer": {change(func(p *holdfast.ParticipantFacts) {
			p.Synchronizers = []holdfast.Synchronizer{{Alias: "global", PhysicalID: "g::1220" + strings.Repeat("0", 64) + "::35-6", Active: true}}
		}), nil},
		"updates":            {change(func(p *holdfast.ParticipantFacts) { p.LedgerEnd = &nine }), []loss.Kind{loss.Replayed}},
		"a user":             {change(func(p *holdfast.ParticipantFacts) { p.Users = []holdfast.User{{ID: "alice"}, {ID: "bob"}} }), []loss.Kind{loss.User}},
		"a key":              {change(func(p *holdfast.ParticipantFacts) { p.Keys = []holdfast.Key{{Fingerprint: "1220bb"}} }), []loss.Kind{loss.Key}},
		"a package":          {change(func(p *holdfast.ParticipantFacts) { p.Dars = []holdfast.Dar{{ID: "a"}, {ID: "b"}} }), []loss.Kind{loss.Package}},
		"a pruning schedule": {change(func(p *holdfast.ParticipantFacts) { p.Pruning = &holdfast.Pruning{Retention: time.Minute} }), []loss.Kind{loss.Configuration}},
		"a synchronizer more": {change(func(p *holdfast.ParticipantFacts) {
			p.Synchronizers = []holdfast.Synchronizer{{Alias: "own", Active: true}}
		}), []loss.Kind{loss.Configuration}},
	} {
		if got := kinds(then, c.now); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	unrecorded := change(func(p *holdfast.ParticipantFacts) { p.Dars = nil })
	if got := kinds(unrecorded, then); len(got) > 0 {
		t.Errorf("packages that the set does not record are called lost: %v", got)
	}
	wallet := loss.Compare(holdfast.Facts{Validator: &holdfast.SpliceFacts{Users: []string{"a"}}}, holdfast.Facts{Validator: &holdfast.SpliceFacts{Users: []string{"a", "b"}}})
	if len(wallet) != 1 || wallet[0].Kind != loss.User || !strings.Contains(wallet[0].What, "wallet user b") {
		t.Errorf("%+v", wallet)
	}
}

func TestWhereAParticipantReachesTo(t *testing.T) {
	if _, ok := (holdfast.ParticipantFacts{}).ReachesTo(); ok {
		t.Error("a participant without record times reaches somewhere")
	}
	early, late := time.Unix(100, 0), time.Unix(200, 0)
	p := holdfast.ParticipantFacts{RecordTimes: []holdfast.RecordTime{{At: late}, {At: early}}}
	if at, ok := p.ReachesTo(); !ok || !at.Equal(early) {
		t.Errorf("%v, %v", at, ok)
	}
	p.RecordTimes = append(p.RecordTimes, holdfast.RecordTime{Synchronizer: "left::1220", At: time.Unix(1, 0)}, holdfast.RecordTime{Synchronizer: "global::1220", At: late})
	p.Synchronizers = []holdfast.Synchronizer{{PhysicalID: "left::1220::34-1"}, {PhysicalID: "global::1220::35-5", Active: true}}
	if at, _ := p.ReachesTo(); !at.Equal(late) {
		t.Errorf("a synchronizer that was left counts: %v", at)
	}
	p.Synchronizers = nil
	if _, ok := p.ActiveSerial(); ok {
		t.Error("a participant without connections has a serial")
	}
}
