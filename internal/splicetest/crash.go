package splicetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// CrashCopy copies the data directory of a running server into a new directory,
// as its disk is at one instant: a server that starts on the copy recovers as
// after a loss of power. The server stands still meanwhile. This is what a
// provider's snapshot of the disk has; no session of the server takes part in it.
func (s *Server) CrashCopy(ctx context.Context, to string) (err error) {
	pid := s.PID()
	if pid == 0 {
		return fmt.Errorf("copy the Postgres server in %s: it does not run", s.Dir)
	}
	still, err := standStill(ctx, pid)
	defer func() {
		for _, p := range slices.Backward(still) {
			_ = syscall.Kill(p, syscall.SIGCONT)
		}
	}()
	if err != nil {
		return err
	}
	return filepath.WalkDir(s.Data(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(s.Data(), path)
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return s.owner.mkdir(filepath.Join(to, name))
		case name == "postmaster.pid" || name == "postmaster.opts" || !entry.Type().IsRegular():
			return nil
		}
		return s.copyFile(path, filepath.Join(to, name))
	})
}

// StartFrom starts a server on a copy of a directory that CrashCopy filled.
func StartFrom(ctx context.Context, data string, options Options) (*Server, error) {
	options.master = data
	return Start(ctx, options)
}

// standStill stops a server's processes where they are, the one that starts the
// others first, and returns those that have to go on afterwards.
func standStill(ctx context.Context, pid int) (still []int, err error) {
	halt := func(p int) error {
		if err := syscall.Kill(p, syscall.SIGSTOP); err != nil {
			return err
		}
		still = append(still, p)
		for ctx.Err() == nil {
			if state, _, ok := process(p); !ok || strings.Contains("TZX", state) {
				return nil
			}
			pause(ctx, time.Millisecond)
		}
		return ctx.Err()
	}
	if err := halt(pid); err != nil {
		return still, err
	}
	for again := true; again; { // one that was being started is seen the next time
		again = false
		children, err := childrenOf(pid)
		if err != nil {
			return still, err
		}
		for _, child := range children {
			if slices.Contains(still, child) {
				continue
			}
			again = true
			if err := halt(child); err != nil && !errors.Is(err, syscall.ESRCH) {
				return still, err
			}
		}
	}
	return still, nil
}

func childrenOf(pid int) ([]int, error) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var out []int
	for _, entry := range all {
		p, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if _, parent, ok := process(p); ok && parent == pid {
			out = append(out, p)
		}
	}
	return out, nil
}

// process reads the state and the parent of a process: "123 (name) S 1 ...".
func process(pid int) (state string, parent int, ok bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", 0, false
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return fields[0], parent, err == nil
}
