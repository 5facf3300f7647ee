package sandbox

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every socket of a tree is found, whichever of the searchers comes to it, and what
// cannot be opened or is no directory is in nobody's way.
func TestEverySocketIsFound(t *testing.T) {
	root, err := os.MkdirTemp("", "s") // a socket's path may have 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	var want []string
	for i := range 40 {
		dir := filepath.Join(root, fmt.Sprint(i%7), fmt.Sprint(i), "d")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		want = append(want, path)
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(root, filepath.Join(root, "3", "circle")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "shut"), 0); err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)

	wide := limits{most: 1000, within: time.Minute}
	found, err := findSockets(root, wide)
	slices.Sort(found)
	if err != nil || !slices.Equal(found, want) {
		t.Errorf("found %q, %v; want %q", found, err, want)
	}
	if found, err := findSockets(filepath.Join(root, "none"), wide); len(found) > 0 || err != nil {
		t.Errorf("where nothing is: %q, %v", found, err)
	}
	for _, c := range []struct {
		limits limits
		want   string
	}{
		{limits{most: 50, within: time.Minute}, "there are too many files to find every socket: more than 50"},
		{limits{most: 1000, within: -1}, "the disk is too slow to find every socket: "},
	} {
		if _, err := findSockets(root, c.limits); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v; want %q", c.limits, err, c.want)
		}
	}
}
