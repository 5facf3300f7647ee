package holdfast_test

import (
	"encoding/json"
	"strings"
	"testing"

	"holdfast"
)

func validatorOf(s *holdfast.Set) *holdfast.Capture   { return &s.Captures[0] }
func participantOf(s *holdfast.Set) *holdfast.Capture { return &s.Captures[1] }

func stores(s *holdfast.Set, list ...holdfast.Store) {
	validatorOf(s).Facts.Validator.Stores = list
}

func TestWhatASetIsWorth(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*holdfast.Set)
		state  holdfast.State
		says   string // within the first problem
	}{
		{"nothing is wrong", func(*holdfast.Set) {}, holdfast.Proven, ""},
		{"the validator app has ingested all there is", func(s *holdfast.Set) {
			stores(s, store("DbValidatorStore", 100))
		}, holdfast.Proven, ""},
		{"pruned exactly up to what was ingested", func(s *holdfast.Set) {
			participantOf(s).Facts.Participant.PrunedUpTo = ptr[int64](98)
		}, holdfast.Proven, ""},
		{"never pruned", func(s *holdfast.Set) {
			participantOf(s).Facts.Participant.PrunedUpTo = nil
		}, holdfast.Proven, ""},
		{"an old version of a store stayed behind what was pruned since", func(s *holdfast.Set) {
			old := store("DbUserWalletStore", 12)
			old.Version, old.Current = 1, false
			stores(s, old, store("DbValidatorStore", 98))
		}, holdfast.Proven, ""},
		{"an old version of a store never decoded", func(s *holdfast.Set) {
			old := holdfast.Store{Name: "DbUserWalletStore", Participant: "PAR::" + participantID, Raw: "?"}
			stores(s, old, store("DbValidatorStore", 98))
		}, holdfast.Proven, ""},
		{"an old migration's store is far ahead: its offsets counted another ledger", func(s *holdfast.Set) {
			validatorOf(s).Facts.Validator.MigrationID = 1
			now := store("DbValidatorStore", 98)
			now.MigrationID = 1
			stores(s, store("DbValidatorStore", 200), now)
		}, holdfast.Proven, ""},
		{"a new wallet's store has ingested nothing yet", func(s *holdfast.Set) {
			fresh := store("DbUserWalletStore", 0)
			fresh.Raw, fresh.Offset = "", nil
			stores(s, store("DbValidatorStore", 98), fresh)
		}, holdfast.Proven, ""},
		{"both ledgers are empty", func(s *holdfast.Set) {
			participantOf(s).Facts.Participant.LedgerEnd, participantOf(s).Facts.Participant.PrunedUpTo = nil, nil
			stores(s, store("DbValidatorStore", 0))
		}, holdfast.Proven, ""},

		{"the participant began before the validator app had ended", func(s *holdfast.Set) {
			participantOf(s).Began = at(8)
		}, holdfast.Misordered, "participant began 1s before validator had ended"},
		{"at the same instant: not before", func(s *holdfast.Set) {
			participantOf(s).Began = at(9)
		}, holdfast.Misordered, "validator has to be captured before participant"},
		{"the wall clock is in order, the monotonic one is not", func(s *holdfast.Set) {
			participantOf(s).Began.Since = at(5).Since
		}, holdfast.Misordered, "began 4s before"},
		{"the wall clock jumped back, the monotonic one did not", func(s *holdfast.Set) {
			participantOf(s).Began.Wall = at(-3600).Wall
		}, holdfast.Proven, ""},
		{"ingested beyond the ledger's end", func(s *holdfast.Set) {
			stores(s, store("DbValidatorStore", 101))
		}, holdfast.Misordered, "ingested up to offset 101, but the participant's ledger ends at 100"},
		{"one store of many is beyond the ledger's end", func(s *holdfast.Set) {
			stores(s, store("DbValidatorStore", 98), store("DbUserWalletStore", 101), store("DbExternalPartyWalletStore", 90))
		}, holdfast.Misordered, "store DbUserWalletStore"},
		{"an old version of a store is beyond the ledger's end", func(s *holdfast.Set) {
			old := store("DbUserWalletStore", 101)
			old.Current = false
			stores(s, store("DbValidatorStore", 98), old)
		}, holdfast.Misordered, "offset 101"},
		{"ingested something, and the ledger is empty", func(s *holdfast.Set) {
			participantOf(s).Facts.Participant.LedgerEnd = nil
		}, holdfast.Misordered, "ledger"},
		{"the participant has pruned what was not ingested", func(s *holdfast.Set) {
			participantOf(s).Facts.Participant.PrunedUpTo = ptr[int64](99)
		}, holdfast.Misordered, "pruned up to 99"},

		{"an offset that does not decode", func(s *holdfast.Set) {
			odd := store("DbUserWalletStore", 97)
			odd.Raw, odd.Offset = "000000000000000g61", nil
			stores(s, store("DbValidatorStore", 98), odd)
		}, holdfast.Unproven, "does not decode"},
		{"no store has ingested anything", func(s *holdfast.Set) {
			fresh := store("DbValidatorStore", 0)
			fresh.Raw, fresh.Offset = "", nil
			stores(s, fresh)
		}, holdfast.Unproven, "has not ingested anything"},
		{"no stores at all", func(s *holdfast.Set) { stores(s) }, holdfast.Unproven, "no stores"},
		{"the validator app's schema is not known", func(s *holdfast.Set) {
			validatorOf(s).Facts = holdfast.Facts{Schema: "unknown", Unknown: "no store_descriptors"}
		}, holdfast.Unproven, "no store_descriptors"},
		{"the participant's schema is not known", func(s *holdfast.Set) {
			participantOf(s).Facts = holdfast.Facts{Schema: "unknown", Unknown: "no lapi_parameters"}
		}, holdfast.Unproven, "no lapi_parameters"},
		{"a component was not captured", func(s *holdfast.Set) {
			s.Captures = s.Captures[:1]
		}, holdfast.Unproven, "no capture of participant"},
		{"an app, which no rule orders, was not captured", func(s *holdfast.Set) {
			s.Node.Components = append(s.Node.Components, holdfast.Component{Name: "app", Kind: holdfast.App})
		}, holdfast.Unproven, "no capture of app"},
		{"nothing was captured at all", func(s *holdfast.Set) {
			s.Node.Components, s.Captures, s.Identities = nil, nil, nil
		}, holdfast.Unproven, "no captures"},
		{"a capture that says it ended before it began", func(s *holdfast.Set) {
			validatorOf(s).Ended = holdfast.Moment{}
		}, holdfast.Unproven, "ended before it began"},
		{"the identities could not be taken", func(s *holdfast.Set) {
			s.Identities, s.Missing = nil, []string{"identities: the validator app does not answer"}
		}, holdfast.Unproven, "does not answer"},
		{"the identities failed a check", func(s *holdfast.Set) {
			s.Identities.Checks = append(s.Identities.Checks, holdfast.IdentityCheck{Code: "keys_current", Title: "it has the keys in use now", Verdict: holdfast.Violated, Evidence: "the database has key 1220ee, the dump does not"})
		}, holdfast.Unproven, "1220ee"},

		{"the validator app is another participant's", func(s *holdfast.Set) {
			other := store("DbValidatorStore", 98)
			other.Participant = "PAR::" + stranger
			stores(s, other)
		}, holdfast.Mismatched, "belongs to participant " + stranger},
		{"the identities are another node's", func(s *holdfast.Set) {
			s.Identities.ID = "PAR::" + stranger
		}, holdfast.Mismatched, "the identities are those of PAR::" + stranger},
		{"another node's identities weigh more than a wrong order", func(s *holdfast.Set) {
			s.Identities.ID = "PAR::" + stranger
			participantOf(s).Began = at(8)
		}, holdfast.Mismatched, stranger},
		{"an unknown schema does not hide a wrong order on the clock", func(s *holdfast.Set) {
			validatorOf(s).Facts = holdfast.Facts{Schema: "unknown", Unknown: "no store_descriptors"}
			participantOf(s).Began = at(8)
		}, holdfast.Misordered, "began 1s before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := goodSet()
			c.change(&s)
			s.Prove()
			if s.State != c.state {
				t.Errorf("the set is %s, want %s; order %+v, membership %+v", s.State, c.state, s.Order, s.Members)
			}
			problems := s.Problems()
			if (len(problems) == 0) != (c.state == holdfast.Proven) {
				t.Errorf("a %s set has %d problems", s.State, len(problems))
			}
			if c.says != "" && (len(problems) == 0 || !strings.Contains(problems[0].What, c.says)) {
				t.Errorf("the first problem is %v, want %q in it", problems, c.says)
			}
		})
	}
}

// A reader believes the facts of a manifest, not its verdicts.
func TestAManifestThatLiesAboutItsStateIsFound(t *testing.T) {
	s := goodSet()
	participantOf(&s).Began = at(8)
	claimed := s // still says proven, with an order that holds
	if claimed.State != holdfast.Proven || claimed.Order.Verdict != holdfast.Holds {
		t.Fatal("the lie is not in place")
	}
	var texts []string
	for _, p := range claimed.Problems() {
		texts = append(texts, p.What)
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{"began 1s before", "calls itself proven, but its facts say misordered"} {
		if !strings.Contains(all, want) {
			t.Errorf("no problem says %q; there are:\n%s", want, all)
		}
	}
}

func TestProblemsLeadWithViolations(t *testing.T) {
	s := goodSet()
	s.Missing = []string{"identities: not there"}
	stores(&s, store("DbValidatorStore", 101))
	s.Prove()
	problems := s.Problems()
	if len(problems) < 2 || problems[0].Class != holdfast.Violation || problems[len(problems)-1].Class != holdfast.Undetermined {
		t.Errorf("got %+v", problems)
	}
}

func TestManifestsOfLaterOrNoVersionAreNotJudged(t *testing.T) {
	for _, schema := range []int{holdfast.ManifestSchema + 1, 0, -1} {
		s := goodSet()
		s.Schema = schema
		problems := s.Problems()
		if len(problems) != 1 || problems[0].Class != holdfast.Undetermined {
			t.Errorf("schema %d: problems %+v", schema, problems)
		}
	}
}

func TestAnEmptyManifestIsNotProven(t *testing.T) {
	for _, text := range []string{`{}`, `{"state":"proven"}`, `{"schema":1,"state":"proven"}`, `{"schema":1,"state":"proven","node":{"name":"demo"}}`} {
		var s holdfast.Set
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		if len(s.Problems()) == 0 {
			t.Errorf("%s passes for a proven set", text)
		}
	}
}

// Components that no rule relates are ordered by the clock alone, and the
// evidence says so.
func TestAnAppBeforeTheParticipantIsProvenByTheClock(t *testing.T) {
	for ended, want := range map[int]holdfast.State{7: holdfast.Proven, 11: holdfast.Misordered} {
		s := goodSet()
		s.Node.Components = append(s.Node.Components, holdfast.Component{Name: "app", Kind: holdfast.App, Before: []holdfast.ComponentName{"participant"}})
		s.Captures = append(s.Captures, holdfast.Capture{Component: "app", Kind: holdfast.App, Began: at(1), Ended: at(ended), Facts: holdfast.Facts{Schema: "app"}})
		s.Prove()
		if s.State != want {
			t.Errorf("an app whose capture ended after %d s makes the set %s, want %s", ended, s.State, want)
		}
		if e := s.Order.Edges[1]; !strings.Contains(e.Content.Evidence, "the clock decides") {
			t.Errorf("evidence %q", e.Content.Evidence)
		}
	}
}
