package setup

import (
	"testing"

	"holdfast"
	"holdfast/internal/storetest"
	"holdfast/repository"
)

// Whoever opens a repository to list its sets has the place list no name twice. Sets
// that another process stores later are found by the next list.
func TestAListLooksOnce(t *testing.T) {
	s := storetest.S3(t)
	by := repository.By(s.Access)
	t.Setenv("LIST_PASSWORD", "canary")
	access := ", access: " + credentials(t, s.Access, "LIST")
	p, err := Open(parsed(t, "node: n\ndatabases: {validator: 'postgres:///validator'}\nrepository: {path: '"+
		s.Place.String()+"', password: env:LIST_PASSWORD"+access+"}\ncache: {use: false}\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(t.Context()) }()
	password := holdfast.NewSecret("canary")
	if err := repository.Create(t.Context(), s.Place, password, by); err != nil {
		t.Fatal(err)
	}
	fillSetsAs(t, s.Place, password, 1, holdfast.Proven, by)
	opened, err := repository.Open(t.Context(), s.Place, password, by)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = opened.Close(t.Context()) }()

	list, err := p.Sets(t.Context(), "n")
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	r, err := p.Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Traffic().Lists, opened.Traffic().Lists; got > want {
		t.Errorf("to open a repository costs %d lists, with a list of its sets %d", want, got)
	}
	fillSetsAs(t, s.Place, password, 1, holdfast.Proven, by)
	if list, err = p.Sets(t.Context(), "n"); err != nil || len(list) != 2 {
		t.Errorf("later: %v, %v", list, err)
	}
}

// credentials are in the environment, and what refers to them in a configuration.
func credentials(t *testing.T, by repository.Access, prefix string) string {
	t.Helper()
	for name, secret := range map[string]holdfast.SecretFunc{"ID": by.ID, "KEY": by.Secret} {
		value, err := secret(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(prefix+"_"+name, value.Reveal())
	}
	return "{id: env:" + prefix + "_ID, secret: env:" + prefix + "_KEY}"
}
