package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"holdfast/step"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"holdfast"
)

// Journal remembers, in a file, what a restore did to a node's containers, so
// that it can be repeated or undone when its process was killed. Every entry is
// on disk before what it speaks of is done.
type Journal struct {
	Set     holdfast.SetID `json:"set"`
	Project string         `json:"project"`
	Began   time.Time      `json:"began"`
	// Original is what was known of the original node, and who said so.
	Original step.Original `json:"original"`
	// Before are containers as they were before the first of the runs that did
	// not come to their end.
	Before   []before   `json:"before"`
	Replaced []replaced `json:"replaced,omitempty"`
	Created  []string   `json:"created,omitempty"` // names that nothing had before
	// Aside is what was done with the volume of Postgres.
	Aside *exchange `json:"aside,omitempty"`
	Woken bool      `json:"woken,omitempty"` // the restored node was ready: only tidying was left

	path string
	lock *os.File
}

// before is a container as it was.
type before struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Role    string  `json:"role"`
	Up      bool    `json:"up"`
	Restart Restart `json:"restart"`
}

// replaced is a container that made room for another of its name.
type replaced struct {
	Name  string `json:"name"`
	Aside string `json:"aside"` // what the old one is called meanwhile
}

// BrokenOff reads the journal of a restore that did not come to its end; nil
// when there is none.
func BrokenOff(path string) (*Journal, error) { return readJournal(path) }

// Exchanged says that the restore had begun to put a volume aside.
func (j *Journal) Exchanged() bool { return j.exchange() != nil }

// readJournal reads what a broken-off restore left; nil when there is nothing.
func readJournal(path string) (*Journal, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	j := &Journal{path: path}
	if err == nil {
		err = json.Unmarshal(text, j)
	}
	if err != nil {
		return nil, &holdfast.Problem{Class: holdfast.Refused, What: "read the journal of a restore that was broken off, " + path, Err: err,
			Why: "It says which containers ran and how.", Do: "Correct or move the file away; then restart policies have to be set by hand: `docker update --restart always CONTAINER`."}
	}
	return j, nil
}

// begin opens the journal for one process alone, with what an earlier one
// left in it.
func begin(path string, fresh Journal) (*Journal, error) {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		_ = lock.Close()
		return nil, &holdfast.Problem{Class: holdfast.Busy, What: "another restore of this node is at work", Why: "Two at once would stop and start what the other needs.", Do: "Wait for it to end."}
	}
	if err != nil {
		return nil, &holdfast.Problem{Class: holdfast.Failed, What: "write the journal of the restore", Err: err,
			Why: "It remembers how the node's containers ran.", Do: "Make the directory of holdfast.yaml writable for this user."}
	}
	j, err := readJournal(path)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	if j == nil {
		j = &fresh
	}
	j.Set, j.Original, j.path, j.lock = fresh.Set, fresh.Original, path, lock
	return j, nil
}

// save puts the journal on disk, whole or not at all.
func (j *Journal) save() error {
	text, err := json.MarshalIndent(j, "", " ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(j.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the journal of the restore: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(j.path+".new", j.path)
	}
	if err != nil {
		return fmt.Errorf("write the journal of the restore: %w", err)
	}
	if dir, err := os.Open(filepath.Dir(j.path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

// end takes the journal away: nothing is left to be undone.
func (j *Journal) end() error {
	err := os.Remove(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	j.release()
	return err
}

// release lets other processes have the journal.
func (j *Journal) release() {
	if j.lock != nil {
		_ = j.lock.Close()
		j.lock = nil
	}
}

// made says that a restore made the container of that name.
func (j *Journal) made(name string) bool {
	return slices.Contains(j.Created, name) || slices.ContainsFunc(j.Replaced, func(r replaced) bool { return r.Name == name })
}

// note remembers how a container is, unless an earlier run has done so, or a
// restore made it.
func (j *Journal) note(c Container, role string) {
	if j.made(c.Name) {
		return
	}
	for _, b := range j.Before {
		if b.ID == c.ID {
			return
		}
	}
	j.Before = append(j.Before, before{ID: c.ID, Name: c.Name, Role: role, Up: c.Up(), Restart: c.Restart})
}
