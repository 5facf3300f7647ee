package history_test

import (
	"reflect"
	"slices"
	"testing"

	"holdfast"
	"holdfast/internal/splicetest/history"
)

// In a healthy life every set is proven, no two sets contradict each other, and
// everything that may happen to a node does happen in some life.
func TestHealthyLivesAreHealthy(t *testing.T) {
	happened := map[string]bool{}
	for seed := range uint64(200) {
		life := history.New(seed, history.Options{})
		if len(life.Sets) < 300 || len(life.Sets) > 450 {
			t.Fatalf("seed %d: %d sets in two months", seed, len(life.Sets))
		}
		var end, pruned int64
		for i, set := range life.Sets {
			if problems := set.Problems(); set.State != holdfast.Proven || len(problems) > 0 {
				t.Fatalf("seed %d: set %s is %s: %v", seed, set.ID, set.State, problems)
			}
			p := set.Captures[1].Components[0].Facts.Participant
			if *p.LedgerEnd < end || p.PrunedUpTo != nil && *p.PrunedUpTo < pruned {
				t.Fatalf("seed %d: the ledger went back", seed)
			}
			if p.PrunedUpTo != nil {
				pruned = *p.PrunedUpTo
				happened["pruning"] = true
			}
			end = *p.LedgerEnd
			if i > 0 {
				before := life.Sets[i-1]
				if gap := set.Began.Wall.Sub(before.Began.Wall); gap <= 0 || gap > 4*60*60*1e9 {
					t.Fatalf("seed %d: %v between two sets", seed, gap)
				}
				q := before.Captures[1].Components[0].Facts.Participant
				happened["users"] = happened["users"] || len(p.Users) > len(q.Users)
				happened["synchronizer"] = happened["synchronizer"] || len(p.Synchronizers) > len(q.Synchronizers)
				happened["postgres"] = happened["postgres"] ||
					set.Captures[0].Server.Number > before.Captures[0].Server.Number
				happened["splice"] = happened["splice"] ||
					set.Captures[0].Components[0].Facts.Migrations > before.Captures[0].Components[0].Facts.Migrations
			}
		}
	}
	for _, what := range []string{"pruning", "users", "synchronizer", "postgres", "splice"} {
		if !happened[what] {
			t.Errorf("%s never happened", what)
		}
	}
}

func TestALifeIsAFunctionOfItsSeed(t *testing.T) {
	a, b := history.New(7, history.Options{Faults: true}), history.New(7, history.Options{Faults: true})
	if !reflect.DeepEqual(a, b) {
		t.Error("the same seed gave two lives")
	}
	if c := history.New(8, history.Options{}); c.Sets[0].ID == a.Sets[0].ID {
		t.Error("two seeds gave the same life")
	}
	half := a.Until(10)
	if len(half.Sets) != 10 || half.End.After(a.Sets[10].Ended.Wall) && a.Sets[10].State == holdfast.Proven {
		t.Errorf("the first ten sets end at %v", half.End)
	}
	_, p := half.Live()
	if *p.Participant.LedgerEnd < *a.Sets[8].Captures[1].Components[0].Facts.Participant.LedgerEnd {
		t.Error("the node is behind its sets")
	}
}

func TestALifeWithFaultsHasThemAll(t *testing.T) {
	var states []holdfast.State
	back := false
	for seed := range uint64(3) {
		life := history.New(seed, history.Options{Faults: true})
		for i, s := range life.Sets {
			if !slices.Contains(states, s.State) {
				states = append(states, s.State)
			}
			back = back || i > 0 && s.Began.Wall.Before(life.Sets[i-1].Began.Wall)
		}
	}
	if len(states) != 4 || !back {
		t.Errorf("states %v, a clock that went back: %v", states, back)
	}
}
