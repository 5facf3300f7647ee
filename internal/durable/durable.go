// Package durable writes small files that remember what was done: a journal, a
// ledger, a kept file. When it returns, the file and its name are on disk, so that
// no loss of power forgets what the caller goes on to do.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// unfinished ends the name of a file that is being written.
const unfinished = ".new"

// Write writes a file, whole or not at all, with these rights. A file of that name
// is replaced.
func Write(path string, content []byte, mode fs.FileMode) error {
	next := path + unfinished
	// A leftover of a killed process, or a link that somebody put there, is not
	// written through.
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(next, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(content)
	err = errors.Join(err, out.Chmod(mode), out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return SyncDirectory(filepath.Dir(path))
}

// Remove removes a file for good; one that does not exist is removed already.
func Remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, SyncDirectory(filepath.Dir(path)))
}

// SyncDirectory has the names in a directory on disk, where its file system can do
// that: some network shares cannot, and say so.
func SyncDirectory(path string) error {
	dir, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil // it may be passed through only: then its names cannot be synced
	}
	if err != nil {
		return err
	}
	err = dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, dir.Close())
}
