package holdfast_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"holdfast"
	"holdfast/content"
)

func validatorOf(s *holdfast.Set) *holdfast.Captured   { return &s.Captures[0].Components[0] }
func participantOf(s *holdfast.Set) *holdfast.Captured { return &s.Captures[1].Components[0] }

// dumped is a capture of one component.
func dumped(began, ended int, c holdfast.Captured) holdfast.Capture {
	return holdfast.Capture{
		Method:     holdfast.Dump,
		Began:      at(began),
		Ended:      at(ended),
		Components: []holdfast.Captured{c},
	}
}

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
		{"both were read from one snapshot", func(s *holdfast.Set) {
			for i := range s.Captures {
				s.Captures[i].Began, s.Captures[i].Ended = at(0), at(1)
				s.Captures[i].Lifted = &holdfast.Lifted{Set: "other", Keeper: "rds", Snapshot: "one"}
			}
		}, holdfast.Proven, ""},
		{"they were read from two snapshots of one time", func(s *holdfast.Set) {
			for i, name := range []string{"one", "two"} {
				s.Captures[i].Began, s.Captures[i].Ended = at(0), at(1)
				s.Captures[i].Lifted = &holdfast.Lifted{Set: "other", Keeper: "rds", Snapshot: name}
			}
		}, holdfast.Misordered, "before validator had ended"},
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
			s.Captures[1].Began = at(8)
		}, holdfast.Misordered, "participant began 1s before validator had ended"},
		{"at the same instant: not before", func(s *holdfast.Set) {
			s.Captures[1].Began = at(9)
		}, holdfast.Misordered, "validator has to be captured before participant"},
		{"the wall clock is in order, the monotonic one is not", func(s *holdfast.Set) {
			s.Captures[1].Began.Since = at(5).Since
		}, holdfast.Misordered, "began 4s before"},
		{"the wall clock jumped back, the monotonic one did not", func(s *holdfast.Set) {
			s.Captures[1].Began.Wall = at(-3600).Wall
		}, holdfast.Proven, ""},
		{"ingested beyond the ledger's end", func(s *holdfast.Set) {
			stores(s, store("DbValidatorStore", 101))
		}, holdfast.Misordered, "ingested up to offset 101, but the participant's ledger ends at 100"},
		{"one store of many is beyond the ledger's end", func(s *holdfast.Set) {
			stores(s, store("DbValidatorStore", 98), store("DbUserWalletStore", 101),
				store("DbExternalPartyWalletStore", 90))
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
			s.Captures[0].Ended = holdfast.Moment{}
		}, holdfast.Unproven, "ended before it began"},
		{"the identities could not be taken", func(s *holdfast.Set) {
			s.Identities, s.Missing = nil, []string{"identities: the validator app does not answer"}
		}, holdfast.Unproven, "does not answer"},
		{"the identities failed a check", func(s *holdfast.Set) {
			s.Identities.Checks = append(s.Identities.Checks, holdfast.IdentityCheck{
				Code:     "keys_current",
				Title:    "it has the keys in use now",
				Verdict:  holdfast.Violated,
				Evidence: "the database has key 1220ee, the dump does not",
			})
		}, holdfast.Unproven, "1220ee"},
		{"a restore would stop at an object of the schema", func(s *holdfast.Set) {
			validatorOf(s).Rehearsal = refused()
		}, holdfast.Unproven, "check kind_is_known of table public.goods would not come back: it reads table public.kinds"},
		{"the schema could not be rehearsed", func(s *holdfast.Set) {
			validatorOf(s).Rehearsal = &holdfast.Rehearsal{Unknown: "the role may not create databases"}
		}, holdfast.Proven, ""},
		{"the schema came back", func(s *holdfast.Set) {
			validatorOf(s).Rehearsal = &holdfast.Rehearsal{Set: s.ID, Place: "in a sandbox"}
		}, holdfast.Proven, ""},

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
			s.Captures[1].Began = at(8)
		}, holdfast.Mismatched, stranger},
		{"an unknown schema does not hide a wrong order on the clock", func(s *holdfast.Set) {
			validatorOf(s).Facts = holdfast.Facts{Schema: "unknown", Unknown: "no store_descriptors"}
			s.Captures[1].Began = at(8)
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
	s.Captures[1].Began = at(8)
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
	if len(problems) < 2 || problems[0].Class != holdfast.Violation ||
		problems[len(problems)-1].Class != holdfast.Undetermined {
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
	for _, text := range []string{`{}`, `{"state":"proven"}`, `{"schema":1,"state":"proven"}`,
		`{"schema":1,"state":"proven","node":{"name":"demo"}}`} {
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
		s.Node.Components = append(s.Node.Components, holdfast.Component{
			Name:   "app",
			Kind:   holdfast.App,
			Before: []holdfast.ComponentName{"participant"},
		})
		s.Captures = append(s.Captures, dumped(1, ended, holdfast.Captured{
			Component: "app",
			Kind:      holdfast.App,
			Facts:     holdfast.Facts{Schema: "app"},
		}))
		s.Prove()
		if s.State != want {
			t.Errorf("an app whose capture ended after %d s makes the set %s, want %s", ended, s.State, want)
		}
		if e := s.Order.Edges[1]; e.Content.Verdict != holdfast.NoneApplies ||
			!strings.Contains(e.Content.Evidence, "the clock decides") {
			t.Errorf("evidence %+v", e.Content)
		}
	}
}

// apps is a set of an operator's own databases, which no rule orders.
func apps(names ...holdfast.ComponentName) holdfast.Set {
	s := holdfast.Set{Schema: holdfast.ManifestSchema, Node: holdfast.Node{Name: "demo"}}
	for i, name := range names {
		s.Node.Components = append(s.Node.Components, app(name))
		s.Captures = append(s.Captures, dumped(2*i, 2*i+1, holdfast.Captured{
			Component: name,
			Kind:      holdfast.App,
			Facts:     holdfast.Facts{Schema: "app"},
		}))
	}
	return s
}

// Where no rule applies nothing was proved, and nothing speaks against the set.
func TestWhereNoRuleOfOrderAppliesNoneIsSaidToHold(t *testing.T) {
	for name, c := range map[string]struct {
		set   holdfast.Set
		order holdfast.Verdict
		state holdfast.State
	}{
		"one component":             {apps("a"), holdfast.NoneApplies, holdfast.Proven},
		"two that nobody ordered":   {apps("a", "b"), holdfast.NoneApplies, holdfast.Proven},
		"two that the clock orders": {ordered(apps("a", "b"), "a", "b"), holdfast.Holds, holdfast.Proven},
		"two against the configured order": {ordered(apps("a", "b"), "b", "a"), holdfast.Violated,
			holdfast.Misordered},
		"one of which something is missing":   {lacking(apps("a")), holdfast.NoneApplies, holdfast.Unproven},
		"one whose node cannot be made again": {foreign(apps("a")), holdfast.NoneApplies, holdfast.Unproven},
		"a wish that the clock contradicts":   {wishing(4, 2), holdfast.NoneApplies, holdfast.Proven},
		"a wish that the clock agrees with":   {wishing(2, 4), holdfast.NoneApplies, holdfast.Proven},
		"a rule of a kind without a content":  {serial(2, 4), holdfast.Holds, holdfast.Proven},
		"such a rule, broken":                 {serial(4, 2), holdfast.Violated, holdfast.Misordered},
	} {
		t.Run(name, func(t *testing.T) {
			c.set.Prove()
			if c.set.Order.Verdict != c.order || c.set.State != c.state {
				t.Errorf("the order is said to be %q and the set %s: %+v", c.set.Order.Verdict, c.set.State,
					c.set.Order)
			}
			if problems := c.set.Problems(); len(problems) > 0 != (c.state != holdfast.Proven) {
				t.Errorf("problems %v", problems)
			}
		})
	}
}

func foreign(s holdfast.Set) holdfast.Set {
	s.Deployment = &holdfast.Deployment{NotRemade: []string{"network corporate is a swarm's"}}
	return s
}

func ordered(s holdfast.Set, first, then holdfast.ComponentName) holdfast.Set {
	for i, c := range s.Node.Components {
		if c.Name == first {
			s.Node.Components[i].Before = names(then)
		}
	}
	return s
}

func lacking(s holdfast.Set) holdfast.Set {
	s.Missing = []string{"something"}
	return s
}

// timed is a set of two kinds whose captures begin then, each of a second.
func timed(first, then holdfast.Kind, firstAt, thenAt int) holdfast.Set {
	s := apps("first", "then")
	for i, kind := range []holdfast.Kind{first, then} {
		s.Node.Components[i].Kind, s.Captures[i].Components[0].Kind = kind, kind
		begins := []int{firstAt, thenAt}[i]
		s.Captures[i].Began, s.Captures[i].Ended = at(begins), at(begins+1)
	}
	return s
}

func wishing(scanAt, mediatorAt int) holdfast.Set {
	s := timed(holdfast.Scan, holdfast.Mediator, scanAt, mediatorAt)
	s.Captures[0].Components[0].Facts.Splice = &holdfast.SpliceFacts{}
	return s
}

func serial(ordererAt, sequencerAt int) holdfast.Set {
	return timed(holdfast.Orderer, holdfast.Sequencer, ordererAt, sequencerAt)
}

// Scan and the SV app follow the participant as the validator app does.
func TestAnAppOfASuperValidatorMayNotBeAheadOfItsParticipant(t *testing.T) {
	for _, kind := range []holdfast.Kind{holdfast.SV, holdfast.Scan} {
		for offset, want := range map[int64]holdfast.State{
			98:  holdfast.Proven,
			101: holdfast.Misordered,
			39:  holdfast.Misordered,
		} {
			s := goodSet()
			s.Node.Components = append(s.Node.Components, of(kind, "more"))
			s.Captures = append(s.Captures, dumped(1, 2, holdfast.Captured{
				Component: "more",
				Kind:      kind,
				Facts: holdfast.Facts{
					Schema: string(kind),
					Splice: &holdfast.SpliceFacts{Stores: []holdfast.Store{store("DbAnyStore", offset)}},
				},
			}))
			if s.Prove(); s.State != want {
				t.Errorf("a %s that has ingested up to %d makes the set %s, want %s: %+v", kind, offset, s.State,
					want, s.Order)
			}
		}
	}
}

func TestWorst(t *testing.T) {
	for _, c := range []struct {
		verdicts []holdfast.Verdict
		want     holdfast.Verdict
	}{
		{nil, holdfast.Holds},
		{[]holdfast.Verdict{holdfast.NoneApplies, holdfast.NoneApplies}, holdfast.NoneApplies},
		{[]holdfast.Verdict{holdfast.NoneApplies, holdfast.Holds}, holdfast.Holds},
		{[]holdfast.Verdict{holdfast.Holds, holdfast.CannotTell, holdfast.NoneApplies}, holdfast.CannotTell},
		{[]holdfast.Verdict{holdfast.CannotTell, holdfast.Violated}, holdfast.Violated},
	} {
		if got := holdfast.Worst(c.verdicts...); got != c.want {
			t.Errorf("the worst of %q is %q", c.verdicts, got)
		}
	}
}

func TestTogether(t *testing.T) {
	f := holdfast.Together([]holdfast.Finding{
		{Verdict: holdfast.Holds, Evidence: "a"}, {Verdict: holdfast.Violated, Evidence: "b"}, {Verdict: holdfast.Violated, Evidence: "c"},
	})
	if f.Verdict != holdfast.Violated || f.Evidence != "b; c" {
		t.Errorf("got %+v", f)
	}
	if f := holdfast.Together(nil); f.Verdict != holdfast.Holds {
		t.Errorf("of none: %+v", f)
	}
}

// One capture may stand for both sides of a rule: it has them as they were at
// one instant, and what they say of each other still has to agree.
func TestOneCaptureOfTwoDatabasesIsInOrder(t *testing.T) {
	for offset, want := range map[int64]holdfast.State{98: holdfast.Proven, 101: holdfast.Misordered} {
		s := goodSet()
		one := s.Captures[0]
		one.Method, one.Content = holdfast.Physical, content.ServerFiles{Names: []string{"server/base.tar"}}
		one.Components = append(one.Components, s.Captures[1].Components...)
		s.Captures = []holdfast.Capture{one}
		stores(&s, store("DbValidatorStore", offset))
		if s.Prove(); s.State != want {
			t.Errorf("one capture of both, ingested up to %d, makes the set %s, want %s: %+v", offset, s.State, want,
				s.Order)
		}
		if e := s.Order.Edges[0]; e.Clock.Verdict != holdfast.Holds ||
			!strings.Contains(e.Clock.Evidence, "at one instant") {
			t.Errorf("the clock says %+v", e.Clock)
		}
		if part, ok := s.Part("participant"); !ok || part.Method != holdfast.Physical ||
			part.Database.Name != "participant-4" {
			t.Errorf("the participant's part is %+v", part)
		}
		if names := s.FileNames(); !slices.Equal(names,
			[]string{"README.md", "server/base.tar", "identities/participant.json.age"}) {
			t.Errorf("the files are %v", names)
		}
	}
}
