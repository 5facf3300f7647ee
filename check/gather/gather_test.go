package gather

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"holdfast"
	"holdfast/check"
	"holdfast/observed"
	"holdfast/record"
)

// away are sources of which nothing answers.
func away() Sources {
	err := errors.New("away")
	return Sources{
		Node:           holdfast.Node{Name: "demo", Components: []holdfast.Component{{Name: "app", Kind: holdfast.App}}},
		RepositoryName: "the repository",
		Unlock:         func(context.Context) error { return nil },
		Open:           func(context.Context) (Repository, error) { return nil, err },
		Database: func(context.Context, holdfast.Component, *int64) (observed.Database, error) {
			return observed.Database{}, err
		},
		Identities: func(context.Context, *holdfast.ParticipantFacts) (holdfast.IdentityFacts, error) {
			return holdfast.IdentityFacts{}, err
		},
		App:     func(context.Context) (observed.App, error) { return observed.App{}, err },
		Scans:   func(context.Context, *int) []observed.Scan { return nil },
		Admin:   func(context.Context) (observed.Participant, error) { return observed.Participant{}, err },
		Metrics: func(context.Context) (observed.Metrics, error) { return observed.Metrics{}, err },
		Beside:  func(context.Context) ([]string, error) { return nil, err },
		Copies:  func(context.Context) ([]check.Copy, error) { return nil, err },
		Restore: func(context.Context) (string, error) { return "", err },
		Data:    func(context.Context) (holdfast.Finding, error) { return holdfast.Finding{}, err },
		Alive:   func(context.Context) (holdfast.Finding, error) { return holdfast.Finding{}, err },
		Locks:   func(context.Context) (check.Locks, error) { return check.Locks{}, err },
		Provider: func(context.Context) ([]check.Instance, error) {
			return nil, err
		},
	}
}

// Whatever does not answer is said in its place, and keeps nothing else from
// being looked at.
func TestWhatIsAwayIsSaidInItsPlace(t *testing.T) {
	s := away()
	o, err := s.Gather(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r, known := o.Repository.Get(); !known || r.Name != "the repository" || r.Problem != "away" {
		t.Errorf("the repository: %+v, %t", r, known)
	}
	for what, why := range map[string]string{
		"drills": o.Drills.Missing(), "key tests": o.KeyTests.Missing(), "disproofs": o.Disproofs.Missing(), "database": o.Live["app"].Missing(), "identities": o.Identities.Missing(),
		"app": o.App.Missing(), "admin": o.Admin.Missing(), "metrics": o.Metrics.Missing(), "copy": o.Copies.Missing(), "beside": o.Beside.Missing(),
		"restore": o.Restore.Missing(), "provider": o.Provider.Missing(),
	} {
		if why != "away" {
			t.Errorf("%s: %q", what, why)
		}
	}
	s.Unlock = func(context.Context) error { return errors.New("no password") }
	if o, err = s.Gather(t.Context()); err != nil || o.Repository.Missing() != "no password" || o.Drills.Missing() != "no password" {
		t.Errorf("without a password: %+v, %v", o.Repository, err)
	}
}

// shelf is a repository with sets.
type shelf []Entry

func (s shelf) Entries(context.Context) ([]Entry, error)             { return s, nil }
func (s shelf) Drills(context.Context) ([]record.Drill, error)       { return nil, nil }
func (s shelf) KeyTests(context.Context) ([]record.KeyTest, error)   { return nil, nil }
func (s shelf) Disproofs(context.Context) ([]record.Disproof, error) { return nil, nil }

// stored is a set whose files do not read.
type stored struct{ holdfast.Set }

func (s stored) Manifest() holdfast.Set { return s.Set }
func (s stored) Names() []string        { return s.FileNames() }
func (stored) Open(context.Context, string) (io.ReadCloser, error) {
	return nil, errors.New("damaged")
}

// content is one file without rows.
type content struct{}

func (content) Files() []holdfast.File { return []holdfast.File{{Name: "app/schema.dump"}} }
func (content) Counts() (int, int64)   { return 0, 0 }
func (content) Elsewhere() string      { return "" }

// The newest proven set's small files are read; manifests that do not read are
// named, and the others are there without what their captures hold.
func TestSetsAreRead(t *testing.T) {
	set := holdfast.Set{ID: "two", Captures: []holdfast.Capture{{Method: holdfast.Dump, Content: content{}}}}
	s := away()
	s.Open = func(context.Context) (Repository, error) {
		return shelf{
			{ID: "one", State: holdfast.Proven, Load: func(context.Context) (Stored, error) { return nil, errors.New("torn") }},
			{ID: "two", State: holdfast.Proven, Load: func(context.Context) (Stored, error) { return stored{set}, nil }},
		}, nil
	}
	o, err := s.Gather(t.Context())
	r, known := o.Repository.Get()
	if err != nil || !known || len(r.Sets) != 1 || r.Sets[0].Captures[0].Content != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if len(r.Unreadable) != 1 || r.Unreadable[0] != "one: torn" || !strings.Contains(r.Newest, "damaged") {
		t.Errorf("unreadable %q, newest %q", r.Unreadable, r.Newest)
	}
}
