package place

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// Partitions, logical volumes and mirrors are on the disks that Linux says.
func TestDisksOf(t *testing.T) {
	sys := t.TempDir()
	for _, dir := range []string{"devices/sda/sda1", "devices/sda/sda2", "devices/sdb", "devices/dm-0/slaves",
		"devices/md0/slaves", "dev/block"} {
		if err := os.MkdirAll(filepath.Join(sys, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{
		"dev/block/8:1":            "../../devices/sda/sda1",
		"dev/block/8:2":            "../../devices/sda/sda2",
		"dev/block/8:16":           "../../devices/sdb",
		"dev/block/253:0":          "../../devices/dm-0",
		"dev/block/9:0":            "../../devices/md0",
		"devices/dm-0/slaves/sda2": "../../sda/sda2",
		"devices/md0/slaves/sda1":  "../../sda/sda1",
		"devices/md0/slaves/sdb":   "../../sdb",
	} {
		if err := os.Symlink(to, filepath.Join(sys, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, partition := range []string{"sda1", "sda2"} {
		if err := os.WriteFile(filepath.Join(sys, "devices/sda", partition, "partition"), []byte("1\n"),
			0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		device uint64
		want   []string
	}{
		"a partition":                  {8<<8 | 1, []string{"sda"}},
		"another one":                  {8<<8 | 2, []string{"sda"}},
		"a disk":                       {8<<8 | 16, []string{"sdb"}},
		"a logical volume":             {253 << 8, []string{"sda"}},
		"a mirror":                     {9 << 8, []string{"sda", "sdb"}},
		"a file system of the network": {42, nil},
	} {
		var got []string
		for _, d := range disksOf(sys, c.device) {
			got = append(got, filepath.Base(d))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s is on %v, want %v", name, got, c.want)
		}
	}
	for _, c := range []struct {
		a, b uint64
		want Sharing
	}{
		{42, 42, FileSystem}, {8<<8 | 1, 8<<8 | 2, Disk}, {8<<8 | 1, 253 << 8, Disk}, {9 << 8, 8<<8 | 16, Disk},
		{8<<8 | 1, 8<<8 | 16, Machine}, {8<<8 | 1, 42, Unknown}, {42, 43, Unknown},
	} {
		if got := (machine{sys}).devices(c.a, c.b); got != c.want {
			t.Errorf("file systems %d and %d share %s, want %s", c.a, c.b, got, c.want)
		}
	}
}

// A file system is the kernel's idea of one; what is not there yet is on that
// where it would be made.
func TestDevices(t *testing.T) {
	dir := t.TempDir()
	var s syscall.Stat_t
	if err := syscall.Stat(dir, &s); err != nil {
		t.Fatal(err)
	}
	for path, missing := range map[string]string{dir: ".", filepath.Join(dir, "not", "yet"): "not/yet"} {
		d := existing(path)
		if d == nil || d.device() != uint64(s.Dev) || d.missing != missing { //nolint:unconvert // the type differs between systems
			t.Errorf("%s: %+v", path, d)
		}
	}
}
