// Package scratch makes the directories for files that a process needs for a
// moment. What a killed process left is removed by the next one.
package scratch

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// prefix begins the names of our directories. An operator's own directory may
// begin with holdfast- as well: nobody names one so, with a number behind it.
const prefix = "holdfast-scratch-"

// settling is how long a new directory may be without its lock.
const settling = time.Minute

var ours = regexp.MustCompile("^" + prefix + "[0-9]+$")

// Dir is a directory that only we can open.
type Dir struct {
	Path string
	lock *os.File // of the directory: the kernel gives it back, however we end
}

// Make makes a directory on a disk with so much room: below the system's directory
// for temporary files, or where else there is some, if that is full.
func Make(room int64) (*Dir, error) {
	base := choose(room, os.TempDir(), "/var/tmp", "/dev/shm")
	sweep(base)
	path, err := os.MkdirTemp(base, prefix)
	if err != nil {
		return nil, err
	}
	lock, err := os.Open(path)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor fits
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return &Dir{path, lock}, nil
}

// Remove removes it with all that is in it.
func (d *Dir) Remove() error { return errors.Join(os.RemoveAll(d.Path), d.lock.Close()) }

// choose is the first directory that can be written to and has room, or the first.
func choose(room int64, dirs ...string) string {
	const writable = 2 | 1 // access(2): W_OK, X_OK
	for _, dir := range dirs {
		var fs syscall.Statfs_t
		if syscall.Access(dir, writable) != nil || syscall.Statfs(dir, &fs) != nil {
			continue
		}
		if int64(fs.Bavail)*fs.Bsize >= room && (fs.Files == 0 || fs.Ffree > 0) { //nolint:gosec // of a disk
			return dir
		}
	}
	return dirs[0]
}

// sweep removes what killed processes of this user have left. In a directory that
// everybody shares, only what is ours alone counts.
func sweep(base string) {
	list, _ := filepath.Glob(filepath.Join(base, prefix+"*"))
	for _, path := range list {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || !ours.MatchString(filepath.Base(path)) ||
			info.Mode().Perm()&0o077 != 0 || time.Since(info.ModTime()) < settling {
			continue
		}
		if s, ok := info.Sys().(*syscall.Stat_t); !ok || int(s.Uid) != os.Geteuid() {
			continue
		}
		dir, err := os.Open(path)
		if err != nil {
			continue
		}
		if syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil { //nolint:gosec // a descriptor fits
			_ = os.RemoveAll(path)
		}
		_ = dir.Close()
	}
}
