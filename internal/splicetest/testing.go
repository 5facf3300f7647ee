package splicetest

import (
	"context"
	"os"
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

// NewValidatorApp starts the node's validator app and ends it with the test.
func NewValidatorApp(t testing.TB, n *Node, options AppOptions) *ValidatorApp {
	t.Helper()
	a, err := n.StartValidatorApp(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// NewOIDC starts an issuer and ends it with the test. Without the library that
// HOLDFAST_TEST_OIDC_PROVIDER names the test is skipped, unless
// HOLDFAST_TEST_ALL asks for every test.
func NewOIDC(t testing.TB, options OIDCOptions) *OIDC {
	t.Helper()
	if options.Dir == "" && os.Getenv("HOLDFAST_TEST_OIDC_PROVIDER") == "" && os.Getenv("HOLDFAST_TEST_ALL") == "" {
		t.Skip("HOLDFAST_TEST_OIDC_PROVIDER names no directory with node_modules/oidc-provider")
	}
	o, err := StartOIDC(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// EachVersion runs a test once for each of the Chosen versions, by its major.
func EachVersion(t *testing.T, test func(t *testing.T, version string)) {
	t.Helper()
	all := Chosen()
	if len(all) == 0 {
		t.Fatal("no Postgres is installed, and HOLDFAST_TEST_PG names none")
	}
	for _, v := range all {
		t.Run("postgres"+v.Major, func(t *testing.T) { test(t, v.Major) })
	}
}

// Long reports whether HOLDFAST_TEST_LONG asks for the long form of suites: all
// combinations instead of a choice of them.
func Long() bool { return os.Getenv("HOLDFAST_TEST_LONG") != "" }

// Some are the first n of a list, and all of it in the long form.
func Some[T any](n int, list ...T) []T {
	if Long() {
		return list
	}
	return list[:min(n, len(list))]
}

// OnlyLong skips a test that the short form leaves out as a whole.
func OnlyLong(t testing.TB) {
	t.Helper()
	if !Long() {
		t.Skip("the long form alone has it: HOLDFAST_TEST_LONG=1")
	}
}
