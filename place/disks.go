package place

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// device identifies a file system.
func (d directory) device() uint64 {
	if s, ok := d.info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Dev) //nolint:unconvert // the type differs between systems
	}
	return 0
}

// disksOf lists the disks below a block device, according to /sys/dev/block
// (Documentation/ABI/stable/sysfs-block): a partition is a directory in its
// disk's, and a device that is made of others lists them as its slaves.
func disksOf(sys string, device uint64) []string {
	name := fmt.Sprintf("%d:%d", (device>>8)&0xfff|(device>>32)&^0xfff, device&0xff|(device>>12)&^0xff)
	path, err := filepath.EvalSymlinks(filepath.Join(sys, "dev", "block", name))
	if err != nil {
		return nil
	}
	return disksBelow(path)
}

func disksBelow(path string) []string {
	if _, err := os.Stat(filepath.Join(path, "partition")); err == nil {
		path = filepath.Dir(path)
	}
	slaves, _ := os.ReadDir(filepath.Join(path, "slaves"))
	if len(slaves) == 0 {
		return []string{path}
	}
	var out []string
	for _, s := range slaves {
		if to, err := filepath.EvalSymlinks(filepath.Join(path, "slaves", s.Name())); err == nil {
			out = append(out, disksBelow(to)...)
		}
	}
	return out
}
