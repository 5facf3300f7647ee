package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"holdfast"
	"holdfast/internal/memory"
)

// Room judges whether that many bytes may be used: they must be free, and a disk
// of a live server must keep more free.
func (h Host) Room(need int64) (holdfast.Finding, error) {
	base := h.base()
	d, err := diskOf(base)
	if err != nil {
		return holdfast.Finding{}, &holdfast.Problem{
			Class: holdfast.Failed,
			What:  "cannot read the free space of " + base,
			Err:   err,
			Do:    "Name another directory: `drill.dir`.",
		}
	}
	if live := liveOn(base); live != "" {
		d.live = "the live server in " + live
	}
	f, err := d.room(need, h.KeepFree, "Name a directory on another disk: `drill.dir`.")
	return h.Share.room(f, err, memory.OfProcess())
}

// disk is the file system of a sandbox server.
type disk struct {
	at          string
	free, total int64
	live        string // a live server on it, for people; "": none
}

func diskOf(path string) (disk, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return disk{}, err
	}
	bytes := func(blocks uint64) int64 {
		return int64(blocks) * fs.Bsize //nolint:gosec // a disk is smaller than 2^63 bytes
	}
	return disk{at: path, free: bytes(fs.Bavail), total: bytes(fs.Blocks)}, nil
}

// room compares the needed bytes with the free ones. keep bytes must stay free on
// the disk of a live server; 0: a tenth, at most 20 GiB.
func (d disk) room(need, keep int64, advice string) (holdfast.Finding, error) {
	evidence := fmt.Sprintf("%s needs about %s; %s are free", d.at, mib(need), mib(d.free))
	if d.live == "" {
		keep = 0
	} else {
		if keep == 0 {
			keep = min(d.total/10, 20<<30)
		}
		evidence += fmt.Sprintf("; %s uses the same disk, so %s must stay free", d.live, mib(keep))
	}
	if d.free-need >= keep {
		return holdfast.Finding{Verdict: holdfast.Holds, Evidence: evidence}, nil
	}
	p := &holdfast.Problem{
		Class: holdfast.NoSpace,
		What:  "not enough space for the drill: " + evidence,
		Why:   "Nothing was started.",
		Do:    advice,
	}
	if d.live != "" {
		p.Class, p.Why = holdfast.Refused, "A drill must not fill a disk that a live database needs."
		p.Do += " Or lower the space to keep free: `drill.keep_free`."
	}
	return holdfast.Finding{Verdict: holdfast.Violated, Evidence: evidence}, p
}

func mib(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// liveOn finds a running Postgres server with its data on the same disk, if we
// may read its directory; "": none. Servers of drills do not count.
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

// ownerOf is the account that a file or process belongs to.
func ownerOf(info os.FileInfo) uint32 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Uid
	}
	return 0
}

func device(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Dev
	}
	return 0
}
