package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"holdfast"
)

// Room says whether that many bytes may be used: they have to be free, and on a
// disk that a live server uses more than that has to stay free.
func (h Host) Room(need int64) (holdfast.Finding, error) {
	base := h.base()
	d, err := diskOf(base)
	if err != nil {
		return holdfast.Finding{}, &holdfast.Problem{Class: holdfast.Failed, What: "look at the disk of " + base, Err: err, Do: "`drill.dir` names another directory."}
	}
	if live := liveOn(base); live != "" {
		d.live = "the live server in " + live
	}
	return d.room(need, h.KeepFree, "Name a directory on another disk: `drill.dir`.")
}

// disk is a file system that a throwaway server would fill.
type disk struct {
	at          string
	free, total int64
	live        string // a live server that uses it, for people; "" for none
}

func diskOf(path string) (disk, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return disk{}, err
	}
	return disk{at: path, free: int64(fs.Bavail) * fs.Bsize, total: int64(fs.Blocks) * fs.Bsize}, nil //nolint:gosec // a disk is smaller than 2^63 bytes
}

// room weighs what is needed against what is free. Keep is what stays free
// beside a live server; 0 for a tenth, at most 20 GiB.
func (d disk) room(need, keep int64, advice string) (holdfast.Finding, error) {
	evidence := fmt.Sprintf("%s needs about %s of %s that are free", d.at, mib(need), mib(d.free))
	if d.live == "" {
		keep = 0
	} else {
		if keep == 0 {
			keep = min(d.total/10, 20<<30)
		}
		evidence += fmt.Sprintf("; %s uses the same disk, so %s have to stay free", d.live, mib(keep))
	}
	if d.free-need >= keep {
		return holdfast.Finding{Verdict: holdfast.Holds, Evidence: evidence}, nil
	}
	p := &holdfast.Problem{Class: holdfast.NoSpace, What: "drill: " + evidence, Why: "Nothing was started.", Do: advice}
	if d.live != "" {
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
