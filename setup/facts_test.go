package setup

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/config"
	"holdfast/content"
	"holdfast/place"
	"holdfast/repository"
)

// A list takes older sets from the listing, and reads the newest whole: there a
// damaged manifest shows.
func TestListsReadTheNewestManifestsAlone(t *testing.T) {
	dir := t.TempDir()
	at, err := place.Parse(dir, dir)
	if err != nil {
		t.Fatal(err)
	}
	password := holdfast.NewSecret("a password of a test")
	if err := repository.Create(t.Context(), at, password); err != nil {
		t.Fatal(err)
	}
	const older = 2
	fillSets(t, at, password, readWhole+older)
	packs, err := filepath.Glob(filepath.Join(dir, "p", "*", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("packs: %q, %v", packs, err)
	}
	for _, pack := range packs { // where the manifests are
		if err := os.Remove(pack); err != nil {
			t.Fatal(err)
		}
	}
	r, err := repository.Open(t.Context(), at, password)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close(context.WithoutCancel(t.Context())) }()
	entries, err := r.Sets(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	p := &Parts{Config: &config.Config{}, Node: holdfast.Node{Name: "n"}}
	facts, err := p.facts(t.Context(), r, entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	decide(p, entries, facts, nil, nil, time.Now())
	for i, e := range entries {
		f := facts[e.ID]
		switch unread := f.Candidate.Unreadable != ""; {
		case unread != (i >= older):
			t.Errorf("set %d of %d: unreadable: %q", i, len(entries), f.Candidate.Unreadable)
		case !unread && f.Databases != int64(i+1)<<20:
			t.Errorf("set %d: databases of %d bytes", i, f.Databases)
		case e.Decision == nil || !e.Decision.Keep:
			t.Errorf("set %d: %+v", i, e.Decision)
		}
	}
}

// fillSets stores so many sets of node n, each of a larger database.
func fillSets(t *testing.T, at place.Place, password holdfast.Secret, n int) {
	t.Helper()
	fillSetsAs(t, at, password, n, holdfast.Unproven)
}

func fillSetsAs(
	t *testing.T, at place.Place, password holdfast.Secret, n int, state holdfast.State, options ...repository.Option,
) {
	t.Helper()
	r, err := repository.Open(t.Context(), at, password, options...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close(context.WithoutCancel(t.Context())) }()
	for i := range n {
		began := holdfast.Moment{Wall: time.Date(2026, 11, 1, i, 0, 0, 0, time.UTC)}
		set := &holdfast.Set{
			Schema: holdfast.ManifestSchema, ID: holdfast.NewSetID(began.Wall, [4]byte{byte(i)}),
			Node: holdfast.Node{Name: "n"}, State: state, Began: began, Ended: began,
			Captures: []holdfast.Capture{{
				Method:  holdfast.Dump,
				Content: content.Rows{Schema: "app/schema.dump", Globals: "app/globals.sql"},
				Components: []holdfast.Captured{
					{Component: "app", Kind: holdfast.App, Database: holdfast.Database{Bytes: int64(i+1) << 20}},
				},
			}},
		}
		err := r.Write(t.Context(), "test", func(ctx context.Context, w holdfast.SetWriter) error {
			for _, name := range set.FileNames() {
				if _, err := w.Put(ctx, name, func(w io.Writer) error {
					_, err := io.Copy(w, strings.NewReader("-"))
					return err
				}); err != nil {
					return err
				}
			}
			return w.Seal(ctx, set)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
