package reonboard_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"holdfast"
	"holdfast/reonboard"
)

const private = "the node's private keys"

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The bytes are written over where they are: whoever has the file open sees
// zeros, and no file that was cut and filled again elsewhere.
func TestIdentitiesInClearAreOverwrittenInPlace(t *testing.T) {
	c := reonboard.ClearFile{Path: filepath.Join(t.TempDir(), "clear.json")}
	if err := c.Write(t.Context(), []byte(private), reonboard.Start{}); err != nil || read(t, c.Path) != private || !c.IsThere() {
		t.Fatalf("%v", err)
	}
	if info, err := os.Stat(c.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	open, err := os.Open(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Close() }()
	if err := c.Remove(t.Context()); err != nil || c.IsThere() {
		t.Errorf("%v", err)
	}
	left := make([]byte, len(private))
	if n, err := open.ReadAt(left, 0); err != nil || n != len(left) || !bytes.Equal(left, make([]byte, n)) {
		t.Errorf("%q are left, %v", left[:n], err)
	}
	if err := c.Remove(t.Context()); err != nil {
		t.Errorf("one that is not there: %v", err)
	}
}

// What a link leads to is somebody else's.
func TestNoLinkIsFollowed(t *testing.T) {
	dir := t.TempDir()
	c, other := reonboard.ClearFile{Path: filepath.Join(dir, "clear.json")}, filepath.Join(dir, "other")
	for name, link := range map[string]func(string, string) error{"symbolic": os.Symlink, "hard": os.Link} {
		if err := os.WriteFile(other, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := link(other, c.Path); err != nil {
			t.Fatal(err)
		}
		err := c.Remove(t.Context())
		if read(t, other) != "precious" || c.IsThere() {
			t.Errorf("%s: the other file is %q", name, read(t, other))
		}
		if name == "hard" != (holdfast.ClassOf(err) == holdfast.Violation) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
