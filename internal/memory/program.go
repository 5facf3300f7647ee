package memory

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ReleaseProgram unmaps the pages of the program's own file that were used until
// now. They count as memory of a process that needs them no more, and come back
// from the system's cache when they are used again. What was written to stays.
//
// It changes nothing where the system does not say what is mapped.
func ReleaseProgram() {
	text, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer func() { _ = text.Close() }()
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for _, m := range unwritten(bufio.NewScanner(text), own) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED) // the next task tries again
	}
}

// mapping is a part of the address space.
type mapping struct{ from, to uintptr }

// unwritten are the mappings of a file that cannot be written to and never were:
// those alone are in the file as they are in memory. The form is that of
// /proc/PID/smaps, proc(5).
func unwritten(lines *bufio.Scanner, file string) (list []mapping) {
	var at mapping
	readOnly := false
	for lines.Scan() {
		line := lines.Text()
		var m mapping
		var rights string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &m.from, &m.to, &rights); n == 3 && len(rights) == len("r-xp") {
			at, readOnly = m, strings.HasSuffix(line, " "+file) && !strings.Contains(rights, "w")
			continue
		}
		var kb int
		if n, _ := fmt.Sscanf(line, "Anonymous: %d kB", &kb); n == 1 && kb == 0 && readOnly {
			list = append(list, at)
		}
	}
	return list
}
