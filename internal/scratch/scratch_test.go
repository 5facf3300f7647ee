package scratch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What a killed process left goes with the next directory; what is in use, is
// somebody else's or has another purpose stays.
func TestLeftoversInTheTemporaryDirectory(t *testing.T) {
	base := t.TempDir()
	t.Setenv("TMPDIR", base)
	used, err := Make(0)
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	mkdir := func(name string, mode os.FileMode) string {
		path := filepath.Join(base, name)
		if err := os.Mkdir(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	left := mkdir("holdfast-scratch-1234", 0o700)
	kept := []string{
		used.Path, mkdir("holdfast-scratch-5678", 0o777), mkdir("holdfast-drill-1", 0o700), mkdir("other", 0o700),
		// an operator's own
		mkdir("holdfast-backups", 0o700), mkdir("holdfast-2026", 0o700), mkdir("holdfast-scratch-mine", 0o700),
	}
	fresh := mkdir("holdfast-scratch-9", 0o700)
	for _, path := range append(kept, left) {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	next, err := Make(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Errorf("%s is still there", left)
	}
	for _, path := range append(kept, fresh) {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	for _, d := range []*Dir{used, next} {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(d.Path); err == nil {
			t.Errorf("%s is still there", d.Path)
		}
	}
}

// A full temporary disk is passed over where there is another.
func TestAFullTemporaryDisk(t *testing.T) {
	dir := t.TempDir()
	if got := choose(1<<10, filepath.Join(dir, "none"), dir); got != dir {
		t.Errorf("chose %s", got)
	}
	if got := choose(1<<62, dir, dir+"x"); got != dir {
		t.Errorf("without any room: %s", got)
	}
}
