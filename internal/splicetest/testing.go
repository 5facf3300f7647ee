package splicetest

import (
	"context"
	"testing"
)

// NewServer starts a server of that major version ("" for the default one) and
// closes it with the test.
func NewServer(t testing.TB, version string) *Server {
	t.Helper()
	v, err := FindVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return NewServerWith(t, Options{Bin: v.Bin})
}

// NewServerWith is NewServer with options.
func NewServerWith(t testing.TB, options Options) *Server {
	t.Helper()
	s, err := Start(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// NewNode makes a node and closes it with the test.
func NewNode(t testing.TB, options NodeOptions) *Node {
	t.Helper()
	n, err := StartNode(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// EachVersion runs a test once for each installed version, by its major.
func EachVersion(t *testing.T, test func(t *testing.T, version string)) {
	t.Helper()
	all := Versions()
	if len(all) == 0 {
		t.Fatal("no Postgres is installed, and HOLDFAST_TEST_PG names none")
	}
	for _, v := range all {
		t.Run("postgres"+v.Major, func(t *testing.T) { test(t, v.Major) })
	}
}
