package splicetest

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// owner is the user that runs a server. Postgres refuses to be run by root.
type owner struct {
	uid, gid int
	other    bool // not ourselves: processes and files have to be handed over
}

// findOwner returns ourselves, unless we are root: then the user that
// HOLDFAST_TEST_USER names, or postgres, or nobody.
func findOwner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	names := []string{"postgres", "nobody"}
	if named := os.Getenv("HOLDFAST_TEST_USER"); named != "" {
		names = []string{named}
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		return owner{uid: uid, gid: gid, other: true}, nil
	}
	return owner{}, fmt.Errorf("run Postgres as root: it refuses, and there is no user %v to run it", names)
}

// process returns the attributes of a process that runs as the owner, in a
// group of its own so that a terminal's interrupt is not its, and that is told
// to quit when the thread that started it ends.
func (o owner) process() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if o.other {
		attr.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
	return attr
}

// give makes the owner the owner of a path.
func (o owner) give(path string) error {
	if !o.other {
		return nil
	}
	return os.Lchown(path, o.uid, o.gid)
}

// mkdir makes a private directory of the owner's.
func (o owner) mkdir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return o.give(path)
}

// write makes a private file of the owner's.
func (o owner) write(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return o.give(path)
}
