package reonboard

import (
	"path/filepath"
	"testing"
	"time"

	"holdfast"
)

func TestIdentifiersAreNeverUsedTwice(t *testing.T) {
	day := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	used := []string{"acme", "acme-20261122", "acme-20261122-2"}
	for _, c := range []struct {
		wanted, want string
		class        holdfast.Class
	}{
		{"", "acme-20261122-3", ""}, {"acme-again", "acme-again", ""},
		{"acme", "", holdfast.Refused}, {"acme::1220", "", holdfast.Usage}, {"ümlaut", "", holdfast.Usage},
	} {
		got, err := choose(c.wanted, "acme", used, day)
		if got != c.want || holdfast.ClassOf(err) != c.class {
			t.Errorf("%q: got %q, %v", c.wanted, got, err)
		}
	}
}

func TestLedgerRemembers(t *testing.T) {
	ledger := Ledger{Path: filepath.Join(t.TempDir(), "identifiers.json")}
	for _, name := range []string{"one", "two"} {
		if err := ledger.Note(Used{Identifier: name, At: time.Unix(1, 0).UTC()}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := ledger.Read()
	if err != nil || len(list) != 2 || list[0].Identifier != "one" || list[1].Identifier != "two" {
		t.Errorf("got %v, %v", list, err)
	}
}
