package setup

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/content"
	"holdfast/event"
	"holdfast/place"
	"holdfast/repository"
)

// stores stores a proven set of a date, as somebody with the password can.
func stores(t *testing.T, p *Parts, at time.Time, text string) holdfast.SetID {
	t.Helper()
	moment := holdfast.Moment{Wall: at.UTC().Truncate(time.Second)}
	const file = "app/data/public.t/0000000000.copy"
	rows := content.Rows{
		Schema: "app/schema.dump", Globals: "app/globals.sql",
		Tables: []content.Table{{Name: "public.t", Segments: []content.Segment{{File: file}}}},
	}
	set := holdfast.Set{
		Schema: holdfast.ManifestSchema, ID: holdfast.NewSetID(moment.Wall, [4]byte{1, 2, 3, 4}),
		Node: holdfast.Node{Name: "demo"}, State: holdfast.Proven, Began: moment, Ended: moment,
		Captures: []holdfast.Capture{{
			Method:     holdfast.Dump,
			Components: []holdfast.Captured{{Component: "app", Kind: holdfast.App}},
			Content:    rows,
		}},
	}
	r, err := p.Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = r.Write(t.Context(), "set", func(ctx context.Context, w holdfast.SetWriter) error {
		for name, text := range map[string]string{
			rows.Schema: "PGDMP", rows.Globals: "-- none\n", holdfast.ReadmeName: "# A set\n", file: text,
		} {
			if _, err := w.Put(ctx, name, func(out io.Writer) error {
				_, err := io.WriteString(out, text)
				return err
			}); err != nil {
				return err
			}
		}
		return w.Seal(ctx, &set)
	})
	if err != nil {
		t.Fatal(err)
	}
	return set.ID
}

// Somebody has the node and the password, and forges proven sets: one of the
// future, that would be the newest, and old ones. They are sent to the copy as
// others are. There and here `latest` is the newest honest set, retention drops none
// of the honest ones for them, and the forged ones are named.
func TestForgedSetsInACopy(t *testing.T) {
	t.Setenv("FORGED_PASSWORD", "canary")
	dir := t.TempDir()
	text := strings.Replace(least, "{path: repository, password: file:password}",
		fmt.Sprintf("{path: %q, password: env:FORGED_PASSWORD}", filepath.Join(dir, "first")), 1) +
		fmt.Sprintf("copies:\n  - {path: %q, keep: {last: 2}}\n", filepath.Join(dir, "second"))
	if err := repository.Create(t.Context(), place.Directory(filepath.Join(dir, "first")), holdfast.NewSecret("canary")); err != nil {
		t.Fatal(err)
	}
	var said []string
	p, err := Open(parsed(t, text), Options{Events: func(e event.Event) { said = append(said, fmt.Sprint(e)) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(t.Context()) }()
	send := func() {
		t.Helper()
		if _, err := p.SendCopies(t.Context(), place.Place{}); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	var honest []holdfast.SetID
	for _, age := range []time.Duration{8 * time.Hour, 4 * time.Hour} {
		honest = append(honest, stores(t, p, now.Add(-age), "honest"))
	}
	send()
	forged := []holdfast.SetID{
		stores(t, p, now.AddDate(1, 0, 0), "forged"),
		stores(t, p, now.Add(-6*time.Hour), "forged"),
		stores(t, p, now.Add(-5*time.Hour), "forged"),
	}
	send()

	r, err := p.repositoryIn(t.Context(), p.Config.Copies[0].Place)
	if err != nil {
		t.Fatal(err)
	}
	listed := func() (list []holdfast.SetID) {
		entries, err := r.Sets(t.Context(), "demo")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			list = append(list, e.ID)
		}
		return list
	}
	latest := func(from *repository.Repository) {
		t.Helper()
		said = nil
		set, files, err := p.findIn(t.Context(), from, "latest")
		if err != nil || set.ID != honest[1] {
			t.Fatalf("latest is %s, %v; want %s", set.ID, err, honest[1])
		}
		file, err := files.Open(t.Context(), "app/data/public.t/0000000000.copy")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		if got, err := io.ReadAll(file); err != nil || string(got) != "honest" {
			t.Errorf("it has %q, %v", got, err)
		}
		if all := strings.Join(said, "\n"); !strings.Contains(all, string(forged[0])) || !strings.Contains(all, "in the future") {
			t.Errorf("said: %s", all)
		}
	}
	own, err := p.Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	latest(own)
	latest(r)
	if !slices.Contains(listed(), forged[0]) {
		t.Errorf("the copy lists %v", listed())
	}
	job, err := p.Retention(t.Context(), RetentionOptions{Copy: p.Config.Copies[0].Place})
	if err != nil {
		t.Fatal(err)
	}
	job.Clocks, job.Force = nil, true // the most that an operator can want
	if _, err := job.Apply(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for _, id := range honest {
		if !slices.Contains(listed(), id) {
			t.Errorf("set %s was pushed out of the copy, which lists %v", id, listed())
		}
	}
	latest(r)
}
