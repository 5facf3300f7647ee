package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// command is one process of a contestant.
type command struct {
	args []string
	env  []string
	file string // where its output goes; "" collects it, or passes it on in a pipe
}

// sample is what one contestant took, all its processes together.
type sample struct {
	wall   time.Duration
	cpu    time.Duration // of its own processes, user and system
	server time.Duration // of Postgres meanwhile
	peak   int64         // bytes of memory, of the largest process
	stored int64         // bytes on disk when it had ended
	output []byte
}

// execute runs processes side by side, each reading what the one before it
// writes, and waits for all. A process that fails fails the whole.
//
// The kernel counts into a process's peak what its parent held when it was
// made, so the peak is only true above the size of this program, which is
// small.
func execute(ctx context.Context, commands ...command) (s sample, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running []*exec.Cmd
	var complaints []*bytes.Buffer
	var output bytes.Buffer
	var between []io.Closer // our own ends of pipes and files
	closeOurs := func() {
		for _, c := range between {
			_ = c.Close()
		}
		between = nil
	}
	defer closeOurs()
	began := time.Now()
	var before *os.File
	for i, c := range commands {
		cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
		cmd.Env = append(append(os.Environ(), "LC_ALL=C"), c.env...)
		complaint := &bytes.Buffer{}
		cmd.Stderr = complaint
		if before != nil {
			cmd.Stdin = before
		}
		switch {
		case c.file != "":
			f, err := os.Create(c.file)
			if err != nil {
				return s, err
			}
			between = append(between, f)
			cmd.Stdout = f
		case i < len(commands)-1:
			r, w, err := os.Pipe()
			if err != nil {
				return s, err
			}
			between = append(between, r, w)
			cmd.Stdout, before = w, r
		default:
			cmd.Stdout = &output
		}
		// Nothing of a contestant outlives us or an interrupt: the process and
		// what it has started are one group.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
		cmd.WaitDelay = 10 * time.Second
		if err := cmd.Start(); err != nil {
			cancel()
			for _, r := range running {
				_ = r.Wait()
			}
			return s, fmt.Errorf("%s: %w", c.args[0], err)
		}
		running, complaints = append(running, cmd), append(complaints, complaint)
	}
	closeOurs()
	for i, cmd := range running {
		if failed := cmd.Wait(); failed != nil {
			err = errors.Join(err,
				fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), failed,
					strings.TrimSpace(complaints[i].String())))
		}
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			s.cpu += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
			s.peak = max(s.peak, usage.Maxrss<<10)
		}
	}
	s.wall, s.output = time.Since(began), output.Bytes()
	return s, err
}

// measured runs a contestant against a server. What others have left to be
// written is written first, so that nobody pays for it.
func (b *bench) measured(ctx context.Context, run func(context.Context) (sample, error)) (sample, error) {
	syscall.Sync()
	before := b.serverCPU()
	s, err := run(ctx)
	s.server = b.serverCPU() - before
	return s, err
}

// serverCPU is what the server and those of its processes that have ended have
// used. A contestant's sessions have ended with it.
func (b *bench) serverCPU() time.Duration {
	time.Sleep(time.Second) // for the server to notice who has left, on a busy machine as well
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.node.Participant.PID()))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, i := range []int{11, 12, 13, 14} { // utime, stime, and those of children
		if i < len(fields) {
			n, _ := strconv.ParseInt(fields[i], 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
}

// diskUse is what the files below a directory occupy.
func diskUse(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			total += st.Blocks * 512
		}
		return nil
	})
	return total, err
}
