package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/splicetest"
)

// freeCores allows cores of any size to what this process starts, until the test ends.
func freeCores(t *testing.T) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	if before.Max == 0 {
		t.Fatal("cores are forbidden here for everybody: the test proves nothing")
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: before.Max, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_CORE, &before) })
	shell := exec.Command("sh", "-c", "kill -SEGV $$") //nolint:noctx // it ends itself
	shell.Dir = t.TempDir()
	_ = shell.Run()
	if status, _ := shell.ProcessState.Sys().(syscall.WaitStatus); !status.CoreDump() {
		t.Logf("a shell that crashes leaves no core here either: the limits alone are looked at")
	}
}

// A crash leaves no core, which would hold what the program has read: not even
// where the system keeps cores of everybody, and the runtime is to leave one.
func TestACrashLeavesNoCore(t *testing.T) {
	freeCores(t)
	o := &operator{t: t, dir: t.TempDir(), env: append(os.Environ(), "GOTRACEBACK=crash")}
	cmd, _, stderr := o.reading()
	o.crash(cmd, syscall.SIGQUIT, stderr)
}

// The same of a backup and of the service, which have read passwords and identities,
// and of the programs that they start, which get passwords in their environment: they
// crash in the middle of a dump, by the signals that leave cores.
func TestABackupThatCrashesLeavesNoCore(t *testing.T) {
	o := newOperator(t, "cores")
	o.run(0, o.flags()...)
	tools, started := o.stuckDump()
	config := filepath.Join(o.dir, "holdfast.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append(text, "\ntools: "+tools+"\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	freeCores(t)
	o.env = append(o.env, "GOTRACEBACK=crash")
	type crash struct {
		command string
		signal  syscall.Signal
	}
	for _, c := range splicetest.Some(1, crash{"backup", syscall.SIGABRT}, crash{"run", syscall.SIGSEGV}) {
		cmd, _, stderr := o.command(c.command)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		child := o.await(started, stderr)
		o.crash(cmd, c.signal, stderr)
		o.mayLeaveNone(child)
		if err := syscall.Kill(child, syscall.SIGSEGV); err != nil {
			t.Fatalf("the program that %s has started: %v", c.command, err)
		}
		for until := time.Now().Add(10 * time.Second); syscall.Kill(child, 0) == nil && time.Now().Before(until); {
			time.Sleep(10 * time.Millisecond)
		}
		if err := os.Remove(started); err != nil {
			t.Fatal(err)
		}
	}
	_ = filepath.WalkDir(o.dir, func(path string, _ os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), "core") {
			t.Errorf("there is a core: %s", path)
		}
		return err
	})
}

// stuckDump is a directory of programs whose pg_dump writes its number to a file and
// goes on for ever.
func (o *operator) stuckDump() (tools, started string) {
	o.t.Helper()
	tools, started = filepath.Join(o.dir, "tools"), filepath.Join(o.dir, "started")
	if err := os.Mkdir(tools, 0o755); err != nil { //nolint:gosec // programs
		o.t.Fatal(err)
	}
	bin := o.bench.node.Participant.Version.Bin
	for _, name := range []string{"pg_restore", "psql", "pg_dumpall"} {
		if err := os.Symlink(filepath.Join(bin, name), filepath.Join(tools, name)); err != nil {
			o.t.Fatal(err)
		}
	}
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = --version ] && exec %s/pg_dump --version\n"+
		"echo $$ >%s.new; mv %[2]s.new %[2]s\nexec sleep 600\n", bin, started)
	if err := os.WriteFile(filepath.Join(tools, "pg_dump"), []byte(script), 0o700); err != nil { //nolint:gosec // it is run
		o.t.Fatal(err)
	}
	return tools, started
}

// await is the number of the process that wrote it into that file.
func (o *operator) await(file string, stderr fmt.Stringer) int {
	o.t.Helper()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			o.t.Fatal(err)
		}
		o.t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		return pid
	}
	o.t.Fatalf("no dump has begun:\n%s", stderr)
	return 0
}

// crash ends a program by a signal that leaves cores, and looks whether it has.
func (o *operator) crash(cmd *exec.Cmd, signal syscall.Signal, stderr fmt.Stringer) {
	o.t.Helper()
	o.mayLeaveNone(cmd.Process.Pid)
	_ = cmd.Process.Signal(signal)
	_ = cmd.Wait()
	if status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.CoreDump() {
		o.t.Errorf("%s ended with %v\n%.2000s", cmd.Args[1], cmd.ProcessState, stderr.String())
	}
}

// mayLeaveNone reports a process that may leave a core, or allow itself one.
func (o *operator) mayLeaveNone(pid int) {
	o.t.Helper()
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		o.t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if limit, ok := strings.CutPrefix(line, "Max core file size"); ok {
			if of := strings.Fields(limit); of[0] != "1" || of[1] != "1" {
				o.t.Errorf("process %d may leave a core: %s", pid, limit)
			}
		}
	}
}
