package reonboard

import (
	"errors"
	"io/fs"
	"os"

	"holdfast"
)

// ClearFile is where the identities are in clear for the node's first start:
// the node's private keys.
type ClearFile struct{ Path string }

// Write puts the dump where only its owner can read it, until the bundle gives
// it to its own user (Splice: chown-participant-bootstrapping-dump). One of
// before is removed.
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
	return errors.Join(err, f.Sync(), f.Close())
}

// Remove overwrites and removes the file, if it is there.
func (c ClearFile) Remove() error {
	info, err := os.Lstat(c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().IsRegular() {
		err = os.WriteFile(c.Path, make([]byte, info.Size()), 0o600)
	}
	return errors.Join(err, os.Remove(c.Path))
}
