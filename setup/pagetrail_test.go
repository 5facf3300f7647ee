package setup

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast"
	"holdfast/config"
	"holdfast/internal/durable"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/web"
)

// Who logs in to the page, who is refused, and what is started there, is in the
// audit trail, and the page shows it.
func TestThePageIsInTheAuditTrail(t *testing.T) {
	s := pageService(t)
	hear := pageEvents(s, []*Service{s})
	for range 7 {
		hear(web.LoginFailed{Who: "mallory", From: "10.0.0.9", Why: "wrong name or password"})
	}
	hear(web.LoggedIn{Who: "ada", Role: web.Operator, From: "10.0.0.1"})
	pinned := holdfast.SetID("20261122T154500Z-1f0c9a3e")
	hear(web.Acted{Node: "n", Who: "ada", What: "drill"})
	hear(web.Acted{Node: "n", Who: "ada", What: "pin", Set: pinned})
	hear(web.Acted{Node: "another", Who: "ada", What: "drill"})

	ctx, stop := context.WithCancel(t.Context())
	stop()
	s.trail.run(ctx) // a service that is stopped writes what waits

	if err := s.board.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.board.swap(t.Context(), nil)
	var shown []string
	for _, a := range s.board.reports().Activity {
		shown = append(shown, strings.TrimSpace(fmt.Sprintf("%s: %s %s", a.Who, a.What, a.Set)))
		if a.Failed != strings.HasPrefix(a.Who, "somebody") || !a.Audit {
			t.Errorf("%+v", a)
		}
	}
	want := []string{
		"ada on the page: " + string(record.PinnedSet) + " " + string(pinned),
		"ada on the page: requested drill",
		"ada on the page: logged in as operator, from 10.0.0.1",
		`somebody on the page: was refused a login "mallory", from 10.0.0.9: wrong name or password, 7 times`,
	}
	slices.Sort(want)
	slices.Sort(shown) // those of one second have no order that this test knows
	if !slices.Equal(shown, want) {
		t.Errorf("the page shows\n%s\nwant\n%s", strings.Join(shown, "\n"), strings.Join(want, "\n"))
	}
}

// What cannot be written is said, and does not grow without bound.
func TestAPageTrailIsBounded(t *testing.T) {
	s := pageService(t)
	for i := range 2 * mostWaiting {
		s.trail.add("ada", record.Requested, fmt.Sprint(i))
		s.trail.refused(web.LoginFailed{Who: fmt.Sprint(i) + strings.Repeat("x", 1<<10)})
	}
	got := s.trail.take(true)
	if len(got) != 2*mostWaiting {
		t.Errorf("%d entries wait", len(got))
	}
	for _, d := range got {
		if len(d.What) > 200 {
			t.Errorf("an entry of %d bytes", len(d.What))
		}
	}
}

const pagePassword = "a password of a test"

// pageService is the service of a node with an empty repository.
func pageService(t *testing.T) *Service {
	t.Helper()
	dir := t.TempDir()
	at, err := place.Parse(filepath.Join(dir, "repository"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := repository.Create(t.Context(), at, holdfast.NewSecret(pagePassword)); err != nil {
		t.Fatal(err)
	}
	if err := durable.Write(filepath.Join(dir, "password"), []byte(pagePassword), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(filepath.Join(dir, "n.yaml"), []byte(`
node: n
databases: {validator: "postgres:///validator"}
repository: {path: repository, password: "file:password"}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	return Serve(c, Options{})
}
