package databases_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"holdfast/databases"
	"holdfast/step"
)

// The name of a database next to another fits into Postgres's 63 bytes, says
// what it is for and which set it has to do with, and never meets the name of
// another database's.
func TestNames(t *testing.T) {
	const set = "20261122T154500Z-1f0c9a3e"
	if got := databases.NameOf("participant-4", step.Previous, set); got != "participant-4~before~"+set {
		t.Errorf("a short name becomes %s", got)
	}
	seen := map[string]string{}
	for _, live := range []string{
		"participant-4", strings.Repeat("a", 40), strings.Repeat("a", 41), strings.Repeat("a", 63), strings.Repeat("a", 62) + "b",
		strings.Repeat("é", 31), strings.Repeat("é", 30) + "ü", strings.Repeat("日", 21), `quo"ted~new~` + strings.Repeat("x", 40),
	} {
		for _, role := range []step.Role{step.New, step.Previous, step.Undone, "undone12"} {
			name := databases.NameOf(live, role, set)
			if len(name) > 63 || !utf8.ValidString(name) {
				t.Errorf("%q has %d bytes", name, len(name))
			}
			if !strings.HasSuffix(name, "~"+string(role)+"~"+set) {
				t.Errorf("%q does not say what it is", name)
			}
			if other, taken := seen[name]; taken {
				t.Errorf("%q is next to %q and next to %q", name, other, live)
			}
			seen[name] = live
		}
	}
}
