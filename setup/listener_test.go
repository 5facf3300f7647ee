package setup_test

import (
	"testing"

	"holdfast"
	"holdfast/config"
	"holdfast/setup"
)

// served is the service of a node whose configuration has that line.
func served(t *testing.T, node, line string) *setup.Service {
	t.Helper()
	c, err := config.Parse(node+".yaml", []byte("node: "+node+`
databases: {validator: "postgres:///validator"}
repository: {path: /nonexistent, password: "file:password"}
`+line), nil)
	if err != nil {
		t.Fatal(err)
	}
	return setup.Serve(c, setup.Options{})
}

// One process listens at one address, whichever of its files names it.
func TestWhereAProcessListens(t *testing.T) {
	a, b := served(t, "a", "http: {listen: '127.0.0.1:1'}"), served(t, "b", "")
	at, err := setup.HTTP([]*setup.Service{b, a})
	if err != nil || at.Listen != "127.0.0.1:1" {
		t.Errorf("%v %v", at, err)
	}
	other := served(t, "c", "http: {listen: '127.0.0.1:2'}")
	if _, err := setup.HTTP([]*setup.Service{a, other}); holdfast.ClassOf(err) != holdfast.Usage {
		t.Errorf("two addresses: %v", err)
	}
	if at, err := setup.HTTP([]*setup.Service{b}); err != nil || at.Enabled() {
		t.Errorf("%v %v", at, err)
	}
}

// A service whose repository was not read is alive and not ready.
func TestBeforeTheRepositoryIsRead(t *testing.T) {
	e, err := setup.Endpoint(t.Context(), []*setup.Service{served(t, "a", "")}, "1")
	if err != nil {
		t.Fatal(err)
	}
	if wrong := e.Alive(); len(wrong) > 0 {
		t.Error(wrong)
	}
	if wrong := e.Ready(); len(wrong) != 1 || wrong[0] != "a: the repository was not read yet" {
		t.Error(wrong)
	}
}
