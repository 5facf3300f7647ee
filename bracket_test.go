package holdfast_test

import (
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/content"
)

// snapshots is a good set whose captures nobody read: the validator app had
// ingested 90 before its snapshot and 98 after it; the ledger then ended at 100
// and 120, and was pruned up to 40.
func snapshots() holdfast.Set {
	s := goodSet()
	stores(&s, store("DbValidatorStore", 98))
	participantOf(&s).Facts.Participant.LedgerEnd = ptr[int64](120)
	for i := range s.Captures {
		c := &s.Captures[i]
		c.Method, c.Content = holdfast.Snapshot, content.Reference{Keeper: "a platform", ID: "snapshot"}
		c.Server = holdfast.Server{SystemID: "7311111111111111111", Timeline: 1, Started: began.Add(-time.Hour)}
		c.Components[0].Before = &holdfast.Reading{Facts: c.Components[0].Facts, Server: c.Server}
	}
	before(&s, 0).Facts.Validator = &holdfast.SpliceFacts{Stores: []holdfast.Store{store("DbValidatorStore", 90)}}
	p := *participantOf(&s).Facts.Participant
	p.LedgerEnd = ptr[int64](100)
	before(&s, 1).Facts.Participant = &p
	return s
}

func before(s *holdfast.Set, i int) *holdfast.Reading { return s.Captures[i].Components[0].Before }

func ingested(s *holdfast.Set, earliest, latest int64) {
	before(s, 0).Facts.Validator.Stores = []holdfast.Store{store("DbValidatorStore", earliest)}
	stores(s, store("DbValidatorStore", latest))
}

func pruned(s *holdfast.Set, earliest, latest *int64) {
	before(s, 1).Facts.Participant.PrunedUpTo = earliest
	participantOf(s).Facts.Participant.PrunedUpTo = latest
}

func TestOrderOfWhatLiesInABracket(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*holdfast.Set)
		want   holdfast.Verdict
		says   string
	}{
		{"ahead in no case", func(*holdfast.Set) {}, holdfast.Holds, "up to offset 98, participant's ledger end 100"},
		{"the worst corner touches", func(s *holdfast.Set) { ingested(s, 90, 100) }, holdfast.Holds, "100"},
		{"ahead in the worst case only", func(s *holdfast.Set) { ingested(s, 90, 101) }, holdfast.CannotTell,
			"the readings around the snapshots allow that store DbValidatorStore"},
		{"the best corner touches", func(s *holdfast.Set) { ingested(s, 120, 130) }, holdfast.CannotTell, "130"},
		{"ahead even in the best case", func(s *holdfast.Set) { ingested(s, 121, 130) }, holdfast.Violated, "offset 121"},

		{"pruned up to what was ingested before", func(s *holdfast.Set) { pruned(s, ptr[int64](40), ptr[int64](90)) },
			holdfast.Holds, ""},
		{"pruned meanwhile, beyond what was ingested before", func(s *holdfast.Set) {
			pruned(s, ptr[int64](40), ptr[int64](91))
		}, holdfast.CannotTell, "allow that the validator app has ingested up to offset 90"},
		{"pruned beforehand, beyond what was ingested after", func(s *holdfast.Set) {
			pruned(s, ptr[int64](99), ptr[int64](99))
		}, holdfast.Violated, "pruned up to 99"},
		{"pruned for the first time meanwhile", func(s *holdfast.Set) { pruned(s, nil, ptr[int64](40)) },
			holdfast.Holds, ""},

		{"nothing was ingested before", func(s *holdfast.Set) {
			none := store("DbValidatorStore", 0)
			none.Raw, none.Offset = "", nil
			before(s, 0).Facts.Validator.Stores = []holdfast.Store{none}
		}, holdfast.CannotTell, "has not ingested anything"},
		{"the ledger was empty before", func(s *holdfast.Set) {
			before(s, 1).Facts.Participant.LedgerEnd = nil
			pruned(s, nil, nil)
		}, holdfast.CannotTell, "ledger is empty"},
		{"another schema before", func(s *holdfast.Set) {
			before(s, 1).Facts = holdfast.Facts{Schema: "unknown", Unknown: "no lapi_parameters"}
		}, holdfast.CannotTell, "no lapi_parameters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := snapshots()
			c.change(&s)
			s.Prove()
			got := s.Order.Edges[0].Content
			if got.Verdict != c.want || !strings.Contains(got.Evidence, c.says) {
				t.Errorf("the content says %+v, want %s, %q", got, c.want, c.says)
			}
		})
	}
}

// What happened between the two readings may have taken a database back, and
// then they bracket nothing.
func TestReadingsThatBracketNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*holdfast.Set)
		says   string
	}{
		{"another system identifier", func(s *holdfast.Set) { before(s, 0).Server.SystemID = "73" }, "system identifier"},
		{"a failover", func(s *holdfast.Set) { before(s, 1).Server.Timeline = 2 }, "timeline was 2"},
		{"a start between", func(s *holdfast.Set) { s.Captures[1].Server.Started = began }, "server's start"},
		{"a start that is not known", func(s *holdfast.Set) { before(s, 1).Server.Started = time.Time{} },
			"does not say when it was started"},
		{"a standby", func(s *holdfast.Set) { before(s, 0).Server.Standby = true }, "standby"},
		{"a standby after it", func(s *holdfast.Set) { s.Captures[0].Server.Standby = true }, "standby"},
		{"another participant", func(s *holdfast.Set) {
			before(s, 1).Facts.Participant.ParticipantID = stranger
		}, "participant " + stranger + " before"},
		{"the ledger end fell", func(s *holdfast.Set) {
			before(s, 1).Facts.Participant.LedgerEnd = ptr[int64](121)
		}, "ledger end fell from 121"},
		{"the ledger is empty after it", func(s *holdfast.Set) {
			participantOf(s).Facts.Participant.LedgerEnd = nil
		}, "ledger end was 100 before"},
		{"what is pruned fell", func(s *holdfast.Set) { pruned(s, ptr[int64](41), ptr[int64](40)) }, "pruned fell"},
		{"an offset fell", func(s *holdfast.Set) { ingested(s, 99, 98) }, "DbValidatorStore fell from 99"},
		{"a store is gone", func(s *holdfast.Set) { stores(s, store("DbUserWalletStore", 98)) }, "not after it"},
		{"another migration", func(s *holdfast.Set) { before(s, 0).Facts.Validator.MigrationID = 3 }, "migration was 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := snapshots()
			c.change(&s)
			s.Prove()
			got := s.Order.Edges[0].Content
			if got.Verdict != holdfast.CannotTell || !strings.Contains(got.Evidence, c.says) {
				t.Errorf("the content says %+v, want cannot tell, %q", got, c.says)
			}
			if s.State == holdfast.Proven {
				t.Error("the set is proven")
			}
		})
	}
}

// One snapshot of both databases has them at one instant. What was read around
// it may contradict that, and cannot prove more.
func TestOneSnapshotOfTwoDatabases(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*holdfast.Set)
		want   holdfast.Verdict
		state  holdfast.State
	}{
		{"both grow meanwhile", func(s *holdfast.Set) { ingested(s, 90, 115) }, holdfast.NoneApplies, holdfast.Proven},
		{"in order in the worst case", func(*holdfast.Set) {}, holdfast.Holds, holdfast.Proven},
		{"ahead in the best case", func(s *holdfast.Set) { ingested(s, 121, 121) }, holdfast.Violated, holdfast.Misordered},
		{"a failover meanwhile", func(s *holdfast.Set) { s.Captures[0].Server.Timeline = 2 },
			holdfast.CannotTell, holdfast.Unproven},
		{"the validator app has ingested nothing", func(s *holdfast.Set) { stores(s) },
			holdfast.CannotTell, holdfast.Unproven},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := snapshots()
			c.change(&s)
			one := s.Captures[0]
			one.Components = append(one.Components, s.Captures[1].Components...)
			s.Captures = []holdfast.Capture{one}
			s.Prove()
			if got := s.Order.Edges[0].Content; got.Verdict != c.want || s.State != c.state {
				t.Errorf("the set is %s, its content says %+v", s.State, got)
			}
		})
	}
}

// What a restore finds in a snapshot lies between the readings around it, or the
// snapshot is not what it was taken for.
func TestWhatASnapshotWasFoundToHave(t *testing.T) {
	facts := func(end int64) holdfast.Facts {
		return holdfast.Facts{Schema: "participant", Participant: &holdfast.ParticipantFacts{
			ParticipantID: "demo::1220", LedgerEnd: &end,
		}}
	}
	stranger := facts(110)
	stranger.Participant.ParticipantID = "other::1220"
	for _, c := range []struct {
		name  string
		found holdfast.Facts
		says  string
	}{
		{"as before", facts(100), ""},
		{"between", facts(110), ""},
		{"as after", facts(120), ""},
		{"older", facts(99), "older than the reading before it"},
		{"newer", facts(121), "newer than the reading after it"},
		{"of another node", stranger, "was participant demo::1220 before the snapshot and other::1220"},
	} {
		got := holdfast.Outside(facts(100), c.found, facts(120))
		if c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, want %q", c.name, got, c.says)
		}
	}
}

// What a method cannot tell of its snapshot costs the proof, and is a problem of
// the set.
func TestDoubtsCostTheProof(t *testing.T) {
	s := snapshots()
	s.Captures[0].Doubts = []string{"it may be a reader's"}
	s.Prove()
	problems := s.Problems()
	if s.State != holdfast.Unproven || len(problems) != 1 ||
		!strings.Contains(problems[0].What, "it may be a reader's") {
		t.Errorf("the set is %s: %v", s.State, problems)
	}
}
