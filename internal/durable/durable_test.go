package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"holdfast/internal/durable"
)

// A file is replaced whole, with its rights, and nothing is written through a
// link that lies where it is made.
func TestAFileIsReplacedWhole(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "state"), filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, path+".new"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		if err := durable.Write(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if got, _ := os.ReadFile(other); string(got) != "untouched" {
		t.Errorf("written through a link: %q", got)
	}
	if err := durable.Write(filepath.Join(dir, "none", "state"), nil, 0o600); err == nil {
		t.Error("a directory that does not exist is no error")
	}
	for range 2 {
		if err := durable.Remove(path); err != nil {
			t.Error(err)
		}
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("left %v", list)
	}
}
