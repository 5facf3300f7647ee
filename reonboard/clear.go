package reonboard

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"holdfast"
)

// Clear is where the identities are in clear for the node's first start: the
// node's private keys.
type Clear interface {
	// Begun is the start that they are in clear for, where an earlier run came so far
	// and its start may go on; nil elsewhere.
	Begun(ctx context.Context) (*Start, error)
	// Prepare makes sure that the old node does not live, as far as it can be asked,
	// and completes a start with what it takes where the node is.
	Prepare(ctx context.Context, s Start) (Start, error)
	// Write puts them in clear, whole or not at all.
	Write(ctx context.Context, dump []byte, s Start) error
	// Remove removes them. It refuses where a program needs them still.
	Remove(ctx context.Context) error
	// Place names where they are, for people.
	Place() string
}

// ClearFile is a file with the identities in clear, which the bundle takes.
type ClearFile struct{ Path string }

// Begun is nil: what a file was written for is not known, so it is written again.
func (ClearFile) Begun(context.Context) (*Start, error) { return nil, nil } //nolint:nilnil // as Clear says

// Prepare asks nobody: whether the old node is gone, the operator has to know.
func (ClearFile) Prepare(_ context.Context, s Start) (Start, error) { return s, nil }

// Place is the file's path.
func (c ClearFile) Place() string { return c.Path }

// Write puts the dump where only its owner can read it, until the bundle gives
// it to its own user (Splice: chown-participant-bootstrapping-dump). One of
// before is removed. What could not be written whole is not left.
func (c ClearFile) Write(ctx context.Context, dump []byte, _ Start) error {
	if err := c.Remove(ctx); err != nil {
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
		return errors.Join(err, c.Remove(ctx))
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
func (c ClearFile) Remove(context.Context) error {
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
