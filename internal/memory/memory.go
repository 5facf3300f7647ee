package memory

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// OfMachine is what Linux says can be used without swapping, in bytes; 0 when it
// says nothing.
func OfMachine() int64 { return ofMachine(os.DirFS("/")) }

// OfProcess is what this process and its children can use, in bytes: of the
// machine, or of the tightest control group that they are in. A unit of systemd and
// a container are one. It is 0 when nothing is known.
func OfProcess() int64 { return ofProcess(os.DirFS("/")) }

func ofMachine(root fs.FS) int64 {
	text, _ := fs.ReadFile(root, "proc/meminfo")
	for line := range strings.Lines(string(text)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	return 0
}

func ofProcess(root fs.FS) int64 {
	free := ofMachine(root)
	text, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		h, of, ok := hierarchyOf(strings.TrimSpace(line))
		if !ok {
			continue
		}
		for _, group := range h.upwards(root, of) {
			if left, limited := h.left(root, group); limited && (free == 0 || left < free) {
				free = left
			}
		}
	}
	return free
}

// hierarchy is where the kernel shows control groups, by the names of cgroup v2 or
// of v1: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of Linux.
type hierarchy struct{ mount, limit, usage, cache string }

var (
	v1 = hierarchy{"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}
	v2 = hierarchy{"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"}
)

// hierarchyOf reads a line of /proc/self/cgroup.
func hierarchyOf(line string) (h hierarchy, group string, ok bool) {
	parts := strings.SplitN(line, ":", 3)
	switch {
	case len(parts) < 3:
		return h, "", false
	case parts[0] == "0" && parts[1] == "":
		return v2, parts[2], true
	case strings.Contains(","+parts[1]+",", ",memory,"):
		return v1, parts[2], true
	}
	return h, "", false
}

// upwards are the directories of a group and of those around it. Within a container
// the kernel may name a group that only the host shows: there the mount is its own.
func (h hierarchy) upwards(root fs.FS, group string) []string {
	dir := path.Join(h.mount, group)
	if _, err := fs.Stat(root, dir); err != nil || !strings.HasPrefix(dir, h.mount) {
		return []string{h.mount}
	}
	list := []string{dir}
	for dir != h.mount {
		dir = path.Dir(dir)
		list = append(list, dir)
	}
	return list
}

// left is what a group has left. Files that nobody uses count as free, as in
// MemAvailable: the kernel drops them first.
func (h hierarchy) left(root fs.FS, group string) (bytes int64, limited bool) {
	limit, ok := number(root, path.Join(group, h.limit))
	if !ok || limit > 1<<60 { // v1 says that there is none by a number of this kind
		return 0, false
	}
	usage, ok := number(root, path.Join(group, h.usage))
	if !ok {
		return 0, false
	}
	text, _ := fs.ReadFile(root, path.Join(group, "memory.stat"))
	for line := range strings.Lines(string(text)) {
		if value, is := strings.CutPrefix(line, h.cache+" "); is {
			cached, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			usage -= cached
		}
	}
	return max(limit-usage, 1), true // 0 would be unknown
}

// number reads a file with one number. "max" is none.
func number(root fs.FS, file string) (n int64, ok bool) {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}
