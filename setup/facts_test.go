package setup

import (
	"testing"
	"time"

	"holdfast"
	"holdfast/config"
	"holdfast/record"
	"holdfast/repository"
)

// What is remembered of sets decides for lists as the sets themselves would.
func TestRememberedFactsAreEqual(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	set := holdfast.Set{
		ID: holdfast.NewSetID(time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC), [4]byte{1}), State: holdfast.Unproven,
		Node: holdfast.Node{Name: "n"},
	}
	f := factsOf(repository.Read{Entry: repository.Entry{Set: record.Set{ID: set.ID}}, Set: set})
	file := stateFileOf("n", "sets")
	file.save(rememberedFacts{"1", map[holdfast.SetID]setFacts{set.ID: f}})
	var again rememberedFacts
	file.load(&again)
	p := &Parts{Config: &config.Config{}, Node: set.Node}
	for _, facts := range []map[holdfast.SetID]setFacts{{set.ID: f}, again.Sets} {
		entries := []repository.Entry{
			{Set: record.Set{ID: set.ID, Node: "n", State: set.State}}, {Set: record.Set{ID: "other", Node: "m"}},
		}
		decide(p, entries, facts, nil, nil, time.Now())
		if d := entries[0].Decision; d == nil || !d.Keep || entries[1].Decision != nil {
			t.Errorf("%+v", entries)
		}
	}
	if c := again.Sets[set.ID].Candidate; c.State != holdfast.Unproven || c.Set != set.ID {
		t.Errorf("%+v", c)
	}
	unread := factsOf(repository.Read{Err: errUnread})
	if unread.Candidate.Unreadable == "" {
		t.Error("an unreadable set is remembered")
	}
}

var errUnread error = &holdfast.Problem{What: "no piece"}
