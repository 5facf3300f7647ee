package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"holdfast"
)

const (
	prefix    = "holdfast-drill-"
	labelName = "drill.json"
)

// label names the owner of a directory or a container: a process of one boot of a
// machine.
type label struct {
	Purpose   string    `json:"purpose"`
	PID       int       `json:"pid"`
	Started   string    `json:"started"` // of the process, in ticks since boot
	Boot      string    `json:"boot"`
	Processes string    `json:"processes,omitempty"` // the namespace of the PID
	Docker    string    `json:"docker,omitempty"`    // the daemon that runs its containers
	At        time.Time `json:"at"`
}

func newLabel(purpose string) label {
	return label{
		Purpose:   purpose,
		PID:       os.Getpid(),
		Started:   started(os.Getpid()),
		Boot:      boot(),
		Processes: processes(),
		At:        time.Now().UTC(),
	}
}

// lives reports whether the process runs.
func (l label) lives() bool {
	return l.Boot == boot() && l.Started != "" && started(l.PID) == l.Started
}

// dead reports whether the process does not run, and would be visible here if it
// did.
func (l label) dead() bool {
	return l.Boot == boot() && l.Processes == processes() && !l.lives()
}

// directory creates a labelled directory that only we can open.
func (h Host) directory(l label) (string, error) {
	base := h.base()
	dir, err := os.MkdirTemp(base, prefix)
	if err != nil {
		return "", noDirectory(base, err)
	}
	text, err := json.Marshal(l)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, labelName), text, 0o600)
	}
	if err == nil && len(dir) > most {
		err = fmt.Errorf("%s is too long for the path of a Unix socket", dir)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", noDirectory(base, err)
	}
	return dir, nil
}

func noDirectory(base string, err error) error {
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  "cannot create a directory for the sandbox in " + base,
		Err:   err,
		Do:    "Name another directory: `drill.dir`.",
	}
}

func (h Host) base() string {
	if h.Dir != "" {
		return h.Dir
	}
	return os.TempDir()
}

// Clean removes the leftovers of killed drills, and lists them. It does not touch
// what belongs to a running drill or to another user, a directory with an
// unreadable label unless it is old, or a directory whose daemon does not answer.
func (h Host) Clean(ctx context.Context) ([]string, error) {
	list, err := filepath.Glob(filepath.Join(h.base(), prefix+"*"))
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, dir := range list {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || !ours(info) {
			continue
		}
		l, known := readLabel(dir)
		if l.lives() || !known && time.Since(info.ModTime()) < time.Hour {
			continue // in use, or being created
		}
		containers, err := h.sweepAt(ctx, l.Docker)
		removed = append(removed, containers...)
		if err != nil {
			continue // a drill that uses that daemon removes both
		}
		stopLeftover(dir)
		if err := os.RemoveAll(dir); err != nil {
			return removed, &holdfast.Problem{
				Class: holdfast.Failed,
				What:  "cannot remove the leftovers of a killed drill in " + dir,
				Err:   err,
				Do:    "Remove the directory by hand, as the user who ran that drill.",
			}
		}
		removed = append(removed, dir)
	}
	return removed, nil
}

// ours reports whether only we can have made a file or directory what it is. In
// a directory that all users share, anything else is a trap.
func ours(info os.FileInfo) bool {
	const writable = 0o022
	return ownerOf(info) == uint32(os.Geteuid()) && info.Mode().Perm()&writable == 0 //nolint:gosec // an account
}

// largestLabel is more than a label has.
const largestLabel = 64 << 10

// readOwn reads a small file that is ours, and follows no link to it.
func readOwn(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || !ours(info)) {
		err = errors.New("it belongs to another user")
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, largestLabel))
}

func readLabel(dir string) (l label, known bool) {
	text, err := readOwn(filepath.Join(dir, labelName))
	return l, err == nil && json.Unmarshal(text, &l) == nil
}

// running names the process of a server.
type running struct {
	PID     int    `json:"pid"`
	Started string `json:"started"`
}

const runningName = "server.json"

func writeServer(dir string, pid int) error {
	text, err := json.Marshal(running{pid, started(pid)})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, runningName), text, 0o600)
}

// stopLeftover kills a server that still runs in the directory. It recognises the
// process by its start, so that it kills no other with the same PID.
func stopLeftover(dir string) {
	var r running
	text, err := readOwn(filepath.Join(dir, runningName))
	if err != nil || json.Unmarshal(text, &r) != nil || r.PID <= 1 || r.Started == "" {
		return
	}
	runs := func() bool { return started(r.PID) == r.Started }
	if !runs() {
		return
	}
	_ = syscall.Kill(r.PID, syscall.SIGQUIT)
	for range 100 {
		if !runs() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = syscall.Kill(r.PID, syscall.SIGKILL)
}

func boot() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}

// processes names the PID namespace of our process.
func processes() string {
	name, _ := os.Readlink("/proc/self/ns/pid")
	return name
}

// started is the start time of a process, in ticks since boot: together with the
// PID it names one process for ever. It is "" if there is no such process.
func started(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the command in parentheses and may contain anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const field = 22 - 3 // proc(5), counted from the third
	if len(fields) <= field {
		return ""
	}
	return fields[field]
}
