package setup

import (
	"fmt"
	"strings"
	"testing"

	"holdfast"
	"holdfast/internal/storetest"
	"holdfast/place"
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
		for name, secret := range map[string]holdfast.SecretFunc{"ID": roles[role].ID, "KEY": roles[role].Secret} {
			value, err := secret(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv(strings.ToUpper(role)+"_"+name, value.Reveal())
		}
		return fmt.Sprintf("{path: %q, access: {id: env:%[2]s_ID, secret: env:%[2]s_KEY}", at, strings.ToUpper(role))
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
	if len(found) != 2 || found[1].Found != "may list, write, read, overwrite, delete" {
		t.Errorf("the copy: %+v", found)
	}
	if err := p.TryRights(t.Context()); err == nil || !strings.Contains(err.Error(), "refuses to write") {
		t.Errorf("a first run: %v", err)
	}
}
