package setup

import (
	"fmt"
	"strings"
	"testing"

	"holdfast"
	"holdfast/internal/storetest"
	"holdfast/place"
	"holdfast/repository"
)

// What a node may not do in the place of its repository or of a copy is found
// before anything else is tried there, and a place without rights is no first
// run's.
func TestRightsInPlacesAreTried(t *testing.T) {
	s, roles := storetest.S3Roles(t, map[string]string{
		"recovery": storetest.Policy("s3-recovery.json"),
		"node":     storetest.Policy("s3-node.json"),
	})
	second := s.Place
	second.Path += "/second"
	access := func(role string, at place.Place) string {
		return fmt.Sprintf("{path: %q, access: %s", at, credentials(t, roles[role], strings.ToUpper(role)))
	}
	text := strings.Replace(least, "{path: repository,", access("recovery", s.Place)+",", 1) +
		"copies:\n  - " + access("node", second) + "}\n"
	p, err := Open(parsed(t, text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	found := p.tryPlaces(t.Context())
	if len(found) != 2 || found[0].Subject != "repository, rights" || found[0].Verdict != holdfast.Violated ||
		!strings.Contains(found[0].Do, "s3:PutObject, as in docs/policies/s3-node.json") {
		t.Errorf("the repository: %+v", found)
	}
	if len(found) != 2 || found[1].Found != "may list, write, read, overwrite, delete, list versions" {
		t.Errorf("the copy: %+v", found)
	}
	if err := p.TryRights(t.Context(), repository.ObjectLock{}); err == nil || !strings.Contains(err.Error(), "refuses to write") {
		t.Errorf("a first run: %v", err)
	}
}

// An existing repository is locked, attacked, sent to a copy with locks of its own,
// and judged by what is recorded and by what is there.
func TestLocksAreObserved(t *testing.T) {
	s, roles := storetest.S3LockedRoles(t, map[string]string{"keeper": storetest.Policy("s3-keeper.json")})
	t.Setenv("LOCKS_PASSWORD", "canary")
	second := s.Place
	second.Path += "/second"
	access := "access: " + credentials(t, roles["keeper"], "KEEPER")
	text := strings.Replace(least, "{path: repository, password: file:password}", fmt.Sprintf("{path: %q, password: env:LOCKS_PASSWORD, %s}", s.Place, access), 1) +
		fmt.Sprintf("copies:\n  - {path: %q, lock: 'compliance:3d', %s}\n", second, access)
	p, err := Open(parsed(t, text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(t.Context()) }()
	if err := repository.Create(t.Context(), s.Place, holdfast.NewSecret("canary"), p.RepositoryOptions()...); err != nil {
		t.Fatal(err)
	}
	if seen, err := p.observeLocks(t.Context()); err != nil || seen.Mode != "" {
		t.Errorf("no locks: %+v, %v", seen, err)
	}
	if _, err := p.Lock(t.Context(), "for ever", false); holdfast.ClassOf(err) != holdfast.Usage {
		t.Errorf("a lock for ever: %v", err)
	}
	if done, err := p.Lock(t.Context(), "governance:4w", false); err != nil || len(done) != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if list, err := p.Immutability(t.Context()); err != nil || len(list) != 8 {
		t.Errorf("%+v, %v", list, err)
	}
	seen, err := p.observeLocks(t.Context())
	if err != nil || seen.Mode != repository.Governance || !seen.Kept || seen.Tried == nil || len(seen.Tried.Tried) != 8 || seen.Untried != "" {
		t.Errorf("%+v, %v", seen, err)
	}
	for _, extended := range []int{0, 0} { // the second is not due for a day
		sent, err := p.SendCopies(t.Context(), place.Place{})
		if err != nil || len(sent) != 1 || !sent[0].Locked || sent[0].Extended != extended {
			t.Errorf("%+v, %v", sent, err)
		}
	}
	found := p.tryPlaces(t.Context())
	if len(found) == 0 || !strings.HasSuffix(found[0].Found, "list versions, lock") {
		t.Errorf("rights: %+v", found)
	}
}
