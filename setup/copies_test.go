package setup

import (
	"path/filepath"
	"strings"
	"testing"

	"holdfast"
	"holdfast/place"
	"holdfast/repository"
)

// A check looks into every copy: those that are there, those that are not, and those
// whose places do not answer.
func TestEveryCopyIsObserved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("COPIES_PASSWORD", "canary")
	in := func(name string) string { return filepath.Join(dir, name) }
	text := strings.Replace(least, "{path: repository, password: file:password}",
		"{path: "+in("repository")+", password: env:COPIES_PASSWORD}", 1) +
		"copies:\n  - " + in("there") + "\n  - " + in("away") + "\n  - webdav://127.0.0.1:9/silent\n" +
		"check: {second_copy: " + in("named") + "}\n"
	p, err := Open(parsed(t, text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(t.Context()) }()
	at := place.Directory(in("repository"))
	if err := repository.Create(t.Context(), at, holdfast.NewSecret("canary"), p.RepositoryOptions()...); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SendCopies(t.Context(), place.Directory(in("there"))); err != nil {
		t.Fatal(err)
	}
	list, err := p.observeCopies(t.Context())
	if err != nil || len(list) != 4 {
		t.Fatalf("%+v, %v", list, err)
	}
	if c := list[0]; c.Problem != "" || c.Unknown != "" || !c.SameFileSystem || c.Recorded.At.IsZero() {
		t.Errorf("one that is there: %+v", c)
	}
	if c := list[1]; !strings.Contains(c.Problem, "does not exist") || c.Where != in("away") {
		t.Errorf("one that is not: %+v", c)
	}
	if c := list[2]; c.Problem != "" || !strings.Contains(c.Unknown, "does not answer") {
		t.Errorf("one whose place is silent: %+v", c)
	}
	if c := list[3]; !strings.Contains(c.Problem, "does not exist") || c.Where != in("named") {
		t.Errorf("the one that check.second_copy names: %+v", c)
	}
}
