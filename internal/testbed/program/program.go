// Package program builds the holdfast command for the tests that run it as a
// process of its own: as it is shipped, with the flags of `make build`, so that
// what continuous integration has compiled already is compiled once, and linked
// once for all packages of tests.
package program

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Version is what the program says that it is.
const Version = "under-test"

// sharedEnv names a directory that the tests of all packages share in one run;
// whoever sets it removes it.
const sharedEnv = "HOLDFAST_TEST_MASTERS"

// Directory is a directory with the program in it, named holdfast, and what
// takes the directory away again. Test processes that share one take turns, and
// all but the first find it there.
func Directory() (dir string, remove func(), err error) {
	shared := os.Getenv(sharedEnv)
	if shared == "" {
		if dir, err = os.MkdirTemp("", "holdfast-program-"); err != nil {
			return "", nil, err
		}
		return dir, func() { _ = os.RemoveAll(dir) }, build(dir)
	}
	turn, err := os.OpenFile(filepath.Join(shared, "program.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = turn.Close() }() // which ends the turn
	if err := syscall.Flock(int(turn.Fd()), syscall.LOCK_EX); err != nil {
		return "", nil, err
	}
	dir = filepath.Join(shared, "program")
	if _, err := os.Stat(dir); err == nil {
		return dir, func() {}, nil
	}
	draft := dir + ".draft"
	err = errors.Join(os.RemoveAll(draft), os.Mkdir(draft, 0o755))
	if err == nil {
		err = build(draft)
	}
	if err == nil {
		err = os.Rename(draft, dir)
	}
	return dir, func() {}, err
}

func build(dir string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+Version, "-o", filepath.Join(dir, "holdfast"), "holdfast/cmd/holdfast")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build holdfast: %w: %s", err, out)
	}
	return nil
}
