package throwaway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// label says whose a directory is: a process of one boot of this machine.
type label struct {
	Purpose string    `json:"purpose"`
	PID     int       `json:"pid"`
	Started string    `json:"started"` // of the process, in ticks since the boot
	Boot    string    `json:"boot"`
	At      time.Time `json:"at"`
}

// directory makes a labelled directory that only the server's account reaches.
func (h Host) directory(purpose string, who *account) (string, error) {
	base := h.base()
	dir, err := os.MkdirTemp(base, prefix)
	if err != nil {
		return "", &holdfast.Problem{Class: holdfast.Failed, What: "make a directory for a throwaway server", Err: err, Do: "`drill.dir` names another one."}
	}
	l := label{Purpose: purpose, PID: os.Getpid(), Started: started(os.Getpid()), Boot: boot(), At: time.Now().UTC()}
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
		return "", &holdfast.Problem{Class: holdfast.Failed, What: "make a directory for a throwaway server", Err: err, Do: "`drill.dir` names another one."}
	}
	return dir, nil
}

func (h Host) base() string {
	if h.Dir != "" {
		return h.Dir
	}
	return os.TempDir()
}

// Clean removes what runs that were killed have left, and says which
// directories. Those of a run that lives are left alone, and so is a directory
// whose label cannot be read unless it is old.
func (h Host) Clean() ([]string, error) {
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
				continue // another user's, or one that is being made
			}
		} else if l.lives() {
			continue
		}
		stopLeftover(dir)
		if err := os.RemoveAll(dir); err != nil {
			return removed, &holdfast.Problem{Class: holdfast.Failed, What: "remove what a killed drill has left in " + dir, Err: err, Do: "Remove it by hand, as the user who ran that drill."}
		}
		removed = append(removed, dir)
	}
	return removed, nil
}

func (l label) lives() bool {
	return l.Boot == boot() && l.Started != "" && started(l.PID) == l.Started
}

// stopLeftover kills a server that still runs in the directory. Its process is
// known by where it works, so that no other one with the same number is hit.
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

// started is when a process started, in ticks since the boot: with its number
// it names one process for ever. It is "" for a process that is not there.
func started(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the command in parentheses and may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const field = 22 - 3 // proc(5), counted from the third
	if len(fields) <= field {
		return ""
	}
	return fields[field]
}

// Room says whether that many bytes may be used: they have to be free, and on a
// disk that a live server uses more than that has to stay free.
func (h Host) Room(need int64) (holdfast.Finding, error) {
	var fs syscall.Statfs_t
	base := h.base()
	if err := syscall.Statfs(base, &fs); err != nil {
		return holdfast.Finding{}, &holdfast.Problem{Class: holdfast.Failed, What: "look at the disk of " + base, Err: err, Do: "`drill.dir` names another directory."}
	}
	free, total := int64(fs.Bavail)*fs.Bsize, int64(fs.Blocks)*fs.Bsize //nolint:gosec // a disk is smaller than 2^63 bytes
	live := liveOn(base)
	keep := int64(0)
	if live != "" {
		if keep = h.KeepFree; keep == 0 {
			keep = min(total/10, 20<<30)
		}
	}
	evidence := fmt.Sprintf("%s needs about %s of %s that are free", base, mib(need), mib(free))
	if live != "" {
		evidence += fmt.Sprintf("; the live server in %s uses the same disk, so %s have to stay free", live, mib(keep))
	}
	if free-need >= keep {
		return holdfast.Finding{Verdict: holdfast.Holds, Evidence: evidence}, nil
	}
	p := &holdfast.Problem{Class: holdfast.NoSpace, What: "drill: " + evidence, Why: "Nothing was started.", Do: "Name a directory on another disk: `drill.dir`."}
	if live != "" {
		p.Class, p.Why = holdfast.Refused, "A drill must not fill a disk that a live database needs."
		p.Do += " `drill.keep_free` says how much has to stay free."
	}
	return holdfast.Finding{Verdict: holdfast.Violated, Evidence: evidence}, p
}

func mib(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// liveOn finds a Postgres server that keeps its data on the same disk, among
// all that run here and whose directory we may look at; "" when there is none.
// Servers of drills do not count.
func liveOn(base string) string {
	here, err := os.Stat(base)
	if err != nil {
		return ""
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, comm := range processes {
		name, err := os.ReadFile(comm)
		if err != nil || !strings.HasPrefix(string(name), "postgres") {
			continue
		}
		cwd := filepath.Join(filepath.Dir(comm), "cwd")
		at, err := os.Readlink(cwd)
		if err != nil || strings.Contains(at, "/"+prefix) {
			continue
		}
		if _, err := os.Stat(filepath.Join(cwd, "PG_VERSION")); err != nil {
			continue
		}
		if there, err := os.Stat(cwd); err == nil && device(there) == device(here) {
			return at
		}
	}
	return ""
}

func device(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Dev
	}
	return 0
}

var serverVersion = regexp.MustCompile(`\) ([0-9]+)`)

// programs finds the directory of initdb and postgres of that major version, or
// of the next one there is.
func (h Host) programs(ctx context.Context, major int) (string, error) {
	dirs := []string{h.Programs}
	if h.Programs == "" {
		dirs = nil
		for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin"} {
			found, _ := filepath.Glob(pattern)
			dirs = append(dirs, found...)
		}
		dirs = append(dirs, filepath.SplitList(os.Getenv("PATH"))...)
	}
	best, bestMajor := "", 0
	var seen []string
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
		m := serverVersion.FindSubmatch(out)
		if err != nil || m == nil {
			continue
		}
		v, _ := strconv.Atoi(string(m[1]))
		seen = append(seen, fmt.Sprintf("%d in %s", v, dir))
		if v >= major && (best == "" || v < bestMajor) {
			best, bestMajor = dir, v
		}
	}
	if best != "" {
		return best, nil
	}
	p := &holdfast.Problem{Class: holdfast.Usage, What: fmt.Sprintf("no Postgres server of version %d or later is on this machine to rehearse with", major),
		Why: "A restore is rehearsed by restoring.", Do: fmt.Sprintf("Install one (Debian, Ubuntu: apt-get install postgresql-%d; it need not run), or set `drill.programs` to the directory of initdb and postgres.", major)}
	if len(seen) > 0 {
		p.What += "; there is " + strings.Join(seen, ", ")
	}
	return "", p
}
