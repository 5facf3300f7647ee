// Package journal keeps the log of an unfinished restore in a file, so that it
// can be repeated or taken back when its process was killed. Every mark is on
// disk before what it speaks of is done.
package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"holdfast"
	"holdfast/internal/durable"
	"holdfast/step"
)

// File is a journal in a file. Only one process at a time has it.
type File struct {
	Path string
	// Hide takes what is secret out of the journal, a text of JSON; nil: nothing is.
	Hide func(text []byte) []byte
}

// content is what the file holds.
type content struct {
	step.Log
	// Notes are how far a step is that takes several.
	Notes json.RawMessage `json:"notes,omitempty"`
}

// Lock keeps other processes of this machine out. However the process ends, the
// lock is given back.
func (f File) Lock() (unlock func(), err error) {
	lock, err := os.OpenFile(f.Path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, unwritable(err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor fits
	if errors.Is(err, syscall.EWOULDBLOCK) {
		_ = lock.Close()
		return nil, &holdfast.Problem{
			Class: holdfast.Busy, What: "another restore of this node holds the lock",
			Why: "Two at once would stop and start what the other needs.",
			Do:  fmt.Sprintf("Wait for it to end, then repeat the command. `fuser -v %q` names its process.", lock.Name()),
		}
	}
	if err != nil {
		_ = lock.Close()
		return nil, unwritable(err)
	}
	return func() { _ = lock.Close() }, nil
}

// Read returns what an unfinished run has left; an empty log where there is
// none.
func (f File) Read() (step.Log, error) {
	c, err := f.read()
	return c.Log, err
}

func (f File) read() (c content, err error) {
	text, err := os.ReadFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return content{}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, unreadable(f.Path, err)
	}
	return c, known(f.Path, c.Log)
}

// Write has the log on disk when it returns, whole or not at all.
func (f File) Write(log step.Log) error {
	c, err := f.read()
	if err != nil {
		return err
	}
	c.Log = log
	return f.write(c)
}

// ReadNotes fills v with what WriteNotes has kept; it leaves v where there is
// nothing.
func (f File) ReadNotes(v any) error {
	c, err := f.read()
	if err != nil || len(c.Notes) == 0 {
		return err
	}
	return json.Unmarshal(c.Notes, v)
}

// WriteNotes keeps v with the log.
func (f File) WriteNotes(v any) error {
	c, err := f.read()
	if err != nil {
		return err
	}
	if c.Notes, err = json.Marshal(v); err != nil {
		return err
	}
	return f.write(c)
}

func (f File) write(c content) error {
	text, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return err
	}
	if f.Hide != nil {
		text = f.Hide(text)
	}
	if err := durable.Write(f.Path, text, 0o600); err != nil {
		return unwritable(err)
	}
	return nil
}

// End takes the file away: nothing is left to be taken back.
func (f File) End() error {
	if err := durable.Remove(f.Path); err != nil {
		return unwritable(err)
	}
	return nil
}

func unwritable(err error) error {
	return &holdfast.Problem{
		Class: holdfast.Failed, What: "write the journal of the restore", Err: err,
		Why: "It remembers what was done, and how the node's programs ran.",
		Do:  "Make the directory of holdfast.yaml writable for this user.",
	}
}
