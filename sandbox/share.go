package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"holdfast"
)

// Share is how much of the machine a sandbox server may take. Whatever it is, live
// servers come first: it waits for processors and disks, and is the first that the
// kernel ends when memory is short.
type Share struct {
	Memory     int64 `json:"memory"`     // bytes; 0: what is free
	Processors int   `json:"processors"` // 0: all
}

// LeastMemory is what a sandbox server needs: buffers, and workers that create
// indexes.
const LeastMemory = 512 << 20

// memory is what the server may count on, of what is free.
func (s Share) memory(free int64) int64 {
	if s.Memory == 0 {
		return free
	}
	return min(s.Memory, free)
}

// cores are the processors that it may use.
func (s Share) cores(has int) int {
	if s.Processors == 0 {
		return has
	}
	return min(s.Processors, has)
}

// enough refuses a drill on a machine whose memory is short; 0 bytes are unknown.
func (s Share) enough(free int64) error {
	need := max(s.Memory, LeastMemory)
	if free == 0 || free >= need {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("not enough memory for the drill: %s are free, it may take %s", mib(free), mib(need)),
		Why:   "Live servers on this machine would lose what they keep in memory.",
		Do: "Run it when the machine is quiet: `schedule.window`. Or on another machine, or with less: `drill.memory` " +
			"of at least " + mib(LeastMemory) + ".",
	}
}

// room is the judgement of a disk, and whether memory is enough.
func (s Share) room(f holdfast.Finding, err error, free int64) (holdfast.Finding, error) {
	if err != nil {
		return f, err
	}
	if err := s.enough(free); err != nil {
		return holdfast.Finding{Verdict: holdfast.Violated, Evidence: mib(free) + " of memory are free"}, err
	}
	return f, nil
}

// What a process that comes after live servers has: its nice value, the idle class
// of the disk scheduler, and the score by which the kernel chooses whom to end.
const (
	lastNice  = 10
	lastDisk  = 3 << 13
	lastToEnd = 1000
)

// lastShares is the weight of a container that comes after others, which have 1024.
const lastShares = 128

// take limits the calling thread to its share, and lets others come first. A
// system that does not allow that is one where it has no effect: the drill goes on.
func (s Share) take() error {
	if raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil && 20-raw < lastNice {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lastNice)
	}
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, 1, 0, lastDisk)
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(lastToEnd)), 0)
	if err := s.pin(); err != nil {
		return fmt.Errorf("limit a sandbox server to %d processors: %w", s.Processors, err)
	}
	if s.Memory == 0 {
		return nil
	}
	// Of each process; shared buffers do not count.
	limit := uint64(s.Memory) //nolint:gosec // a size is positive
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("limit the memory of a sandbox server: %w", err)
	}
	return nil
}

// pin keeps the thread to so many of the processors that it has: the last ones,
// because interrupts mostly go to the first.
func (s Share) pin() error {
	if s.Processors == 0 || s.Processors >= runtime.NumCPU() {
		return nil
	}
	var has, keep unix.CPUSet
	if err := unix.SchedGetaffinity(0, &has); err != nil {
		return err
	}
	for cpu := len(has)*64 - 1; cpu >= 0 && keep.Count() < s.Processors; cpu-- {
		if has.IsSet(cpu) {
			keep.Set(cpu)
		}
	}
	return unix.SchedSetaffinity(0, &keep)
}
