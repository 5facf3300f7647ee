// Package program builds the holdfast command for tests that run it as a process
// of its own. It uses the flags of `make build`, so that continuous integration
// compiles each package once, and links once for all test packages.
package program

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Version is the version that the program reports.
const Version = "under-test"

// sharedEnv names a directory that the tests of all packages share in one run.
// Whoever sets it removes the directory.
const sharedEnv = "HOLDFAST_TEST_MASTERS"

// Directory returns a directory with the program, named holdfast, and a function
// that removes it. Test processes that share one take turns: the first builds the
// program, the others find it.
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
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+Version,
		"-o", filepath.Join(dir, "holdfast"), "holdfast/cmd/holdfast")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build holdfast: %w: %s", err, out)
	}
	return nil
}
