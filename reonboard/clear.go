package reonboard

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"holdfast"
)

// ClearFile is where the identities are in clear for the node's first start:
// the node's private keys.
type ClearFile struct{ Path string }

// Write puts the dump where only its owner can read it, until the bundle gives
// it to its own user (Splice: chown-participant-bootstrapping-dump). One of
// before is removed. What could not be written whole is not left.
func (c ClearFile) Write(dump []byte) error {
	if err := c.Remove(); err != nil {
		return err
	}
	f, err := os.OpenFile(c.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return &holdfast.Problem{
			Class: holdfast.Refused, What: "write " + c.Path, Err: err,
			Why: "A file that exists is never overwritten: it may hold the only copy of a key.",
			Do:  "Move it away, and run the same command again.",
		}
	}
	_, err = f.Write(dump)
	if err = errors.Join(err, f.Sync(), f.Close(), c.syncDirectory()); err != nil {
		return errors.Join(err, c.Remove())
	}
	return nil
}

// IsThere reports whether the identities are in clear still.
func (c ClearFile) IsThere() bool {
	_, err := os.Lstat(c.Path)
	return err == nil
}

// Remove overwrites the file in place and removes it, if it is there. A link is
// removed, and what it leads to is not touched. Overwriting reaches the bytes
// only where a file system writes in place: not on one that copies on write, and
// not within an SSD.
func (c ClearFile) Remove() error {
	info, err := os.Lstat(c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	links := 1
	if err == nil && info.Mode().IsRegular() {
		links, err = c.overwrite(info)
	}
	if err = errors.Join(err, os.Remove(c.Path), c.syncDirectory()); err == nil && links > 1 {
		return &holdfast.Problem{
			Class: holdfast.Violation, What: c.Path + " was removed, and the same file has another name",
			Why: "The node's private keys are in clear there, and were not overwritten: the file may be somebody else's.",
			Do:  "Find it with `find / -xdev -samefile`, or ask who has made the link.",
		}
	}
	return err
}

// overwrite writes zeros over the bytes of the file, and no others: not into what
// a link leads to, nor into a file that has further names.
func (c ClearFile) overwrite(seen fs.FileInfo) (links int, err error) {
	f, err := os.OpenFile(c.Path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 1, err
	}
	if !os.SameFile(seen, info) {
		return 1, errors.New(c.Path + " was exchanged while it was being removed")
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Nlink > 1 {
		return int(s.Nlink), nil
	}
	if _, err := f.WriteAt(make([]byte, info.Size()), 0); err != nil {
		return 1, err
	}
	return 1, f.Sync()
}

// syncDirectory has on disk what names there are.
func (c ClearFile) syncDirectory() error {
	dir, err := os.Open(filepath.Dir(c.Path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
