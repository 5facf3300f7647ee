package setup

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/check"
	"holdfast/config"
	"holdfast/daemon"
	"holdfast/event"
	"holdfast/notice"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/schedule"
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

// "latest" is the newest proven set that is not in doubt: those that it passes over
// are named, with why. Where every set is in doubt it is the newest.
func TestLatestPassesOverSetsInDoubt(t *testing.T) {
	s := pageService(t)
	at, password := s.config().Repository.Place, holdfast.NewSecret(pagePassword)
	fillSetsAs(t, at, password, 3, holdfast.Proven)
	hour := func(h int) time.Time { return time.Date(2026, 11, 1, h, 0, 0, 0, time.UTC) }
	latest := func() (set holdfast.SetID, said []PassedOver) {
		t.Helper()
		o := Options{Events: func(e event.Event) {
			if passed, ok := e.(PassedOver); ok {
				said = append(said, passed)
			}
		}}
		p, err := Open(s.config(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = p.Close(t.Context()) }()
		from, err := p.Source(t.Context(), "latest")
		if err != nil {
			t.Fatal(err)
		}
		if named, err := p.Source(t.Context(), string(from.Set.ID)); err != nil || named.Set.ID != from.Set.ID {
			t.Errorf("the set by its name: %s, %v", named.Set.ID, err)
		}
		return from.Set.ID, said
	}
	id := func(i int) holdfast.SetID { return holdfast.NewSetID(hour(i), [4]byte{byte(i)}) }
	for _, c := range []struct {
		name   string
		doubt  time.Time // since when rows were not read
		want   holdfast.SetID
		passed []holdfast.SetID
	}{
		{"none in doubt", hour(2), id(2), nil},
		{"the newest two in doubt", hour(0), id(0), []holdfast.SetID{id(1), id(2)}},
		{"all in doubt", hour(-1), id(2), nil},
	} {
		r, err := repository.Open(t.Context(), at, password)
		if err != nil {
			t.Fatal(err)
		}
		found := record.Disproof{
			Node: "n", Component: "app", At: hour(3), Disproof: holdfast.Disproof{Table: "t", ReadAt: c.doubt},
		}
		if err := errors.Join(r.PutDisproof(t.Context(), found), r.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		set, said := latest()
		if set != c.want || len(said) != len(c.passed) {
			t.Errorf("%s: set %s, want %s; %v", c.name, set, c.want, said)
			continue
		}
		for i, e := range said {
			if e.Set != c.passed[i] || !strings.Contains(e.String(), found.String()) {
				t.Errorf("%s: %s", c.name, e)
			}
		}
	}
}

// No record that cannot be read keeps anybody from a restore: it says so.
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
	var said []string
	p, err := Open(s.config(), Options{Events: func(e event.Event) { said = append(said, e.String()) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(t.Context()) }()
	if list := p.KnownDrills(t.Context(), from); len(list)+len(said) > 0 {
		t.Errorf("drills where there is none: %v, %q", list, said)
	}
	if list := p.KnownDrills(ctx, from); len(list) > 0 || len(said) != 1 ||
		!strings.Contains(said[0], "how long it takes is unknown") {
		t.Errorf("drills that cannot be read: %v, %q", list, said)
	}
}

// A copy that is not reached is no failure of the repository's retention: that of
// copies is a task of its own, with a notice of its own.
func TestRetentionGoesOnWithoutACopy(t *testing.T) {
	s := pageService(t)
	gone, err := place.Parse("gone", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.conf.Copies = []config.Copy{{Place: gone}}
	done := map[string]error{}
	for _, task := range s.tasks() {
		if task.Name == retentionTask || task.Name == copyRetentionTask {
			done[task.Name] = task.Do(t.Context())
		}
	}
	if err, ran := done[retentionTask]; err != nil || !ran {
		t.Errorf("the retention of the repository: %t, %v", ran, err)
	}
	failed := done[copyRetentionTask]
	if failed == nil || !strings.Contains(failed.Error(), gone.String()) {
		t.Errorf("the retention of copies: %v", failed)
	}
	now := time.Now()
	s.show(daemon.State{Looked: now, Past: map[string]schedule.Past{
		retentionTask: {Done: now}, copyRetentionTask: {Tried: now, Failures: 1, Failed: failed},
	}})
	for _, sight := range s.sights(now) {
		want := notice.Good
		switch sight.Cause {
		case taskCause(copyRetentionTask):
			want = notice.Bad
		case taskCause(retentionTask):
		default:
			continue
		}
		if sight.State != want {
			t.Errorf("%s: %v, want %v", sight.Cause, sight.State, want)
		}
	}
}

// What was found out while the repository was away is no news once it is back: the
// tasks are tried again and the conditions are judged again, at once.
func TestARepositoryThatIsBackIsJudgedAgain(t *testing.T) {
	s := pageService(t)
	fillSets(t, s.config().Repository.Place, holdfast.NewSecret(pagePassword), 1)
	bad := func() (causes []string) {
		for _, sight := range s.sights(time.Now()) {
			if sight.State == notice.Bad {
				causes = append(causes, sight.Cause)
			}
		}
		return causes
	}
	judge := func() {
		t.Helper()
		if err := s.with(t.Context(), func(p *Parts) error { return s.judge(t.Context(), p) }); err != nil {
			t.Fatal(err)
		}
	}
	at := s.config().Repository.Place.Path
	if err := os.Rename(at, at+".away"); err != nil {
		t.Fatal(err)
	}
	s.unread(errors.New("it is not there"))
	judge()
	s.show(daemon.State{Looked: time.Now(), Past: map[string]schedule.Past{
		backupTask: {Tried: time.Now(), Failures: 1, Failed: errors.New("it is not there")},
	}})
	if got := bad(); !slices.Contains(got, repositoryCause) || !slices.Contains(got, conditionCause(check.RepositoryReadable)) {
		t.Fatalf("while it is away: %v", got)
	}
	if err := os.Rename(at+".away", at); err != nil {
		t.Fatal(err)
	}
	if err := s.with(t.Context(), func(p *Parts) error { return s.read(t.Context(), p) }); err != nil {
		t.Fatal(err)
	}
	if got := bad(); len(got) > 0 {
		t.Errorf("once it is back, these are said: %v", got)
	}
	if why := s.missing()[checkTask]; why != "the repository is back" {
		t.Errorf("a check is wanted because of %q", why)
	}
	judge()
	if got := bad(); slices.Contains(got, conditionCause(check.RepositoryReadable)) || !slices.Contains(got, conditionCause(check.RestoreProven)) {
		t.Errorf("judged again: %v", got)
	}
	if why := s.missing()[checkTask]; why != "" {
		t.Errorf("another check is wanted because of %q", why)
	}
}

// The repository is open while somebody looks at the page, and not while nobody
// does. Whoever looks at a set afterwards sees it all the same.
func TestTheBoardClosesTheRepositoryWhileNobodyLooks(t *testing.T) {
	s := pageService(t)
	fillSets(t, s.config().Repository.Place, holdfast.NewSecret(pagePassword), 2)
	b := s.board
	open := func(want bool, when string) {
		t.Helper()
		if b.isOpen() != want {
			t.Errorf("%s: open is %v", when, !want)
		}
	}
	defer b.swap(t.Context(), nil)
	refresh := func() {
		t.Helper()
		if err := b.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	refresh()
	open(false, "nobody has looked")
	look := func(n int) {
		t.Helper()
		if _, err := b.set(t.Context(), b.entries[n].ID); err != nil {
			t.Fatal(err)
		}
	}
	look(0)
	open(true, "somebody looks at a set")
	refresh()
	open(true, "and it is read again")
	b.looked = time.Now().Add(-attention)
	ctx, stop := context.WithCancel(t.Context())
	waited := make(chan struct{})
	go func() { defer close(waited); b.wait(ctx) }()
	closed := func(want bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); b.isOpen() == want && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		open(!want, "while it waits")
	}
	closed(true)
	b.reports()
	closed(false) // ready for a look at a set
	stop()
	<-waited
	look(1)
}
