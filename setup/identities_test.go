package setup

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"holdfast"
	"holdfast/config"
	"holdfast/identities/identitiestest"
	"holdfast/internal/durable"
	"holdfast/place"
)

// The identities have a task of their own where places keep them. One that finds
// nothing new writes nothing; keys that are new make a file more.
func TestTheIdentitiesAreRefreshed(t *testing.T) {
	s := pageService(t)
	has := func() bool {
		for _, task := range s.tasks() {
			if task.Name == identitiesTask {
				return true
			}
		}
		return false
	}
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir, dump := filepath.Join(t.TempDir(), "kept"), filepath.Join(t.TempDir(), "identities.json")
	s.conf.Identities = &config.Identities{File: dump, Recipients: []string{key.Recipient().String()}}
	if has() {
		t.Error("there is a task although no place keeps the identities")
	}
	s.conf.Identities.Keep = []config.Keep{{Place: place.Directory(dir)}}
	if !has() {
		t.Fatal("there is no task for the identities")
	}

	kept := func() map[string]time.Time {
		t.Helper()
		found := map[string]time.Time{}
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			found[e.Name()] = info.ModTime()
		}
		return found
	}
	refresh := func(rotations int) map[string]time.Time {
		t.Helper()
		content := identitiestest.New("n", [32]byte{1}, identitiestest.Options{Rotations: rotations}).JSON
		if err := durable.Write(dump, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s.does(t, identitiesTask)
		return kept()
	}
	first := refresh(0)
	if len(first) != 1 {
		t.Fatalf("kept: %v", first)
	}
	for name, at := range refresh(0) {
		if !at.Equal(first[name]) {
			t.Errorf("%s was written again, or is new, although nothing has changed", name)
		}
	}
	if second := refresh(1); len(second) != 2 {
		t.Errorf("after a rotation of the keys: %v", second)
	}
}

// A set that fetched the identities counts as a refresh of them; one that took
// over those of the set before does not.
func TestASetIsARefreshOfTheIdentities(t *testing.T) {
	set := func(hour int, facts *holdfast.IdentityFacts, missing ...string) *holdfast.Set {
		began := time.Date(2026, 11, 26, hour, 0, 0, 0, time.UTC)
		return &holdfast.Set{Began: holdfast.Moment{Wall: began}, Identities: facts, Missing: missing}
	}
	has := &holdfast.IdentityFacts{}
	for name, c := range map[string]struct {
		proven, newest *holdfast.Set
		want           int // the hour; 0 for never
	}{
		"no set":                             {nil, nil, 0},
		"the newest":                         {set(4, has), set(4, has), 4},
		"an unproven one":                    {set(4, has), set(8, has), 8},
		"one that took over the old ones":    {set(4, has), set(8, has, holdfast.MissingIdentities+"503"), 4},
		"one without, and nothing before it": {nil, set(8, nil, holdfast.MissingIdentities+"503"), 0},
	} {
		at := Stored{Proven: c.proven, Newest: c.newest}.past(&config.Config{})[identitiesTask].Done
		if c.want == 0 && !at.IsZero() || c.want > 0 && at.Hour() != c.want {
			t.Errorf("%s: refreshed at %v, want %d o'clock", name, at, c.want)
		}
	}
}
