package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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

// directory creates a labelled directory that only the server's account can open.
func (h Host) directory(l label, who *account) (string, error) {
	base := h.base()
	dir, err := os.MkdirTemp(base, prefix)
	if err != nil {
		return "", noDirectory(base, err)
	}
	text, err := json.Marshal(l)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, labelName), text, 0o600)
	}
	if err == nil && who != nil {
		err = os.Chown(dir, int(who.uid), int(who.gid))
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
// what belongs to a running drill, a directory with an unreadable label unless
// it is old, or a directory whose daemon does not answer.
func (h Host) Clean(ctx context.Context) ([]string, error) {
	list, err := filepath.Glob(filepath.Join(h.base(), prefix+"*"))
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, dir := range list {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			continue
		}
		var l label
		text, err := os.ReadFile(filepath.Join(dir, labelName))
		if err != nil || json.Unmarshal(text, &l) != nil {
			if os.IsPermission(err) || time.Since(info.ModTime()) < time.Hour {
				continue // another user's, or one being created
			}
		} else if l.lives() {
			continue
		}
		containers, err := sweepAt(ctx, l.Docker)
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

// stopLeftover kills a server that still runs in the directory. It recognises the
// process by its working directory, so that it kills no other with the same PID.
func stopLeftover(dir string) {
	data := filepath.Join(dir, "data")
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return
	}
	if at, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err != nil || at != data {
		return
	}
	_ = syscall.Kill(pid, syscall.SIGQUIT)
	for range 100 {
		if syscall.Kill(pid, 0) != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
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
