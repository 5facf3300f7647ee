package reonboard

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast"
)

// sealed are the files of a set that has the identities.
type sealed struct{}

func (sealed) Open(context.Context, string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("dump")), nil
}

func job(t *testing.T, known ...holdfast.Set) Job {
	dir := t.TempDir()
	return Job{
		Sets:   func(context.Context) ([]holdfast.Set, error) { return known, nil },
		Unseal: func(in io.Reader, _ []string) ([]byte, error) { return io.ReadAll(in) },
		Way:    way,
		Clear:  ClearFile{filepath.Join(dir, "clear.json")},
		Ledger: Ledger{Path: filepath.Join(dir, "identifiers.json")},
		Now:    func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) },
	}
}

// way is a node whose party hint is its validator's party.
func way(set holdfast.Set) (Way, error) {
	hint := ""
	for _, c := range set.Parts() {
		if c.Facts.Validator != nil {
			hint, _, _ = strings.Cut(c.Facts.Validator.Stores[0].Party, "::")
		}
	}
	return Way{
		PartyHint: hint,
		First:     func(dump string, s Start) string { return hint + " " + dump + " " + s.Identifier },
		Later:     func(_ string, s Start) string { return hint + "  " + s.Identifier },
	}, nil
}

// of is a set of a participant with the given identifier.
func of(identifier string) holdfast.Set {
	return holdfast.Set{
		ID:         "s",
		Identities: &holdfast.IdentityFacts{SealedFile: "identities"},
		Captures: []holdfast.Capture{
			{Components: []holdfast.Captured{{Facts: holdfast.Facts{
				Participant: &holdfast.ParticipantFacts{ParticipantID: identifier + "::1220"},
			}}}},
			{Components: []holdfast.Captured{{Facts: holdfast.Facts{
				Validator: &holdfast.SpliceFacts{Stores: []holdfast.Store{{Name: "DbValidatorStore", Party: "acme::1220"}}},
			}}}},
		},
	}
}

// A node is prepared: its keys in clear for their owner alone, a name that no
// set of any node and no earlier attempt has, and the two lines to type.
func TestANodeIsPrepared(t *testing.T) {
	j := job(t, of("acme-20261122"))
	for _, want := range []string{"acme-20261122-2", "acme-20261122-3"} {
		got, err := j.Run(t.Context(), of("acme"), sealed{}, "")
		if err != nil || got.Identifier != want {
			t.Fatalf("got %+v, %v; want %s", got, err, want)
		}
		if got.First != "acme "+j.Clear.Place()+" "+want || got.Later != "acme  "+want {
			t.Errorf("to type: %q, then %q", got.First, got.Later)
		}
		text, err := os.ReadFile(j.Clear.Place())
		info, statErr := os.Stat(j.Clear.Place())
		if err != nil || string(text) != "dump" || statErr != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("in clear: %q, %v, %v", text, err, info)
		}
	}
	for range 2 {
		if err := j.Clear.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(j.Clear.Place()); !os.IsNotExist(err) {
		t.Errorf("the dump in clear is still there: %v", err)
	}
}

// What cannot work leaves no keys in clear, and no name noted.
func TestNothingIsLeftOfAFailure(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Job, *holdfast.Set)
		wanted string
		class  holdfast.Class
	}{
		"no identities":        {func(_ *Job, s *holdfast.Set) { s.Identities = nil }, "", holdfast.Refused},
		"a name that was used": {func(*Job, *holdfast.Set) {}, "taken", holdfast.Refused},
		"another key": {func(j *Job, _ *holdfast.Set) {
			j.Unseal = func(io.Reader, []string) ([]byte, error) { return nil, &holdfast.Problem{Class: holdfast.WrongKey} }
		}, "", holdfast.WrongKey},
		"a ledger that does not read": {func(j *Job, _ *holdfast.Set) {
			if err := os.WriteFile(j.Ledger.Path, []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "", holdfast.Refused},
		"a ledger that cannot be written": {func(j *Job, _ *holdfast.Set) {
			j.Ledger.Path = filepath.Join(j.Ledger.Path, "nowhere")
		}, "", holdfast.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			j, set := job(t, of("taken")), of("acme")
			c.change(&j, &set)
			_, err := j.Run(t.Context(), set, sealed{}, c.wanted)
			if holdfast.ClassOf(err) != c.class {
				t.Errorf("got %v, want class %s", err, c.class)
			}
			if _, err := os.Stat(j.Clear.Place()); !os.IsNotExist(err) {
				t.Errorf("the dump is in clear: %v", err)
			}
		})
	}
}

// That the key opened the identities is told; a repository that does not take
// that down keeps nobody from going on.
func TestTheKeyIsKnownToWork(t *testing.T) {
	j := job(t)
	full := errors.New("no space")
	j.Opened = func(context.Context, holdfast.Set) error { return full }
	if got, err := j.Run(t.Context(), of("acme"), sealed{}, ""); err != nil || !errors.Is(got.Forgotten, full) {
		t.Errorf("got %+v, %v", got, err)
	}
}
