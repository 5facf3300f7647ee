package setup

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/record"
	"holdfast/repository"
)

// The page says of each set which rows it may have wrong: in the list of sets, in
// the history, and of the set itself.
func TestThePageNamesTheSetsInDoubt(t *testing.T) {
	s := pageService(t)
	at, password := s.config().Repository.Place, holdfast.NewSecret(pagePassword)
	fillSets(t, at, password, 3)
	r, err := repository.Open(t.Context(), at, password)
	if err != nil {
		t.Fatal(err)
	}
	hour := func(h int) time.Time { return time.Date(2026, 11, 1, h, 0, 0, 0, time.UTC) }
	found := record.Disproof{
		Node: "n", Component: "app", At: hour(2), Disproof: holdfast.Disproof{Table: "t", ReadAt: hour(0)},
	}
	if err := r.PutDisproof(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.board.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.board.swap(t.Context(), nil)
	for i, set := range s.board.reports().Sets {
		var want []string
		if i == 1 {
			want = []string{found.String()}
		}
		one, err := s.board.set(t.Context(), set.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(set.InDoubt, want) || !slices.Equal(one.Stored.InDoubt, want) {
			t.Errorf("set %d: %q in the list, %q of the set, want %q", i, set.InDoubt, one.Stored.InDoubt, want)
		}
	}
}

// No record that cannot be read keeps anybody from a restore: its plan says so.
func TestARestoreGoesOnWithoutTheRecordsOfDoubt(t *testing.T) {
	s := pageService(t)
	at, password := s.config().Repository.Place, holdfast.NewSecret(pagePassword)
	fillSets(t, at, password, 1)
	r, err := repository.Open(t.Context(), at, password)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close(t.Context()) }()
	from := Source{Repository: r}
	if list := from.KnownDoubts(t.Context()); len(list) > 0 {
		t.Errorf("doubts of a set that has none: %q", list)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if list := from.KnownDoubts(ctx); len(list) != 1 || !strings.Contains(list[0], "cannot be read") {
		t.Errorf("records that cannot be read: %q", list)
	}
}
