package dumpfile

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pipeSize is the requested size of the pipe between a program and us, so that
// they rarely wait for each other. Linux grants 1 MiB to every process.
const pipeSize = 1 << 20

// silence is how long a decompressor may give nothing: one that was stopped gives
// nothing for ever.
const silence = 2 * time.Minute

// program is a running decompressor of this machine: a process that reads a file
// and writes into a pipe. Its output counts only if it reaches the end and exits
// with success. A failure proves nothing about the file: memory or a library may
// be missing.
type program struct {
	cmd *exec.Cmd
	out *os.File
	of  *stream // whose file it reads; they share the position in it
	err error   // why there is no more output; io.EOF on success
}

// startProgram starts a program on a file, at the beginning of the dump. If the
// start fails, reading returns the error. The program gets only the paths to
// programs and libraries from our environment: the rest may contain passwords.
// It is killed when the context ends or when we exit.
func startProgram(ctx context.Context, argv []string, of *stream) *program {
	p := &program{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...), of: of}
	if _, p.err = of.file.Seek(of.begin, io.SeekStart); p.err != nil {
		return p
	}
	var in *os.File
	if p.out, in, p.err = os.Pipe(); p.err != nil {
		return p
	}
	enlarge(p.out)
	p.cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "LD_LIBRARY_PATH=" + os.Getenv("LD_LIBRARY_PATH")}
	p.cmd.Stdin, p.cmd.Stdout = of.file, in
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.err = p.cmd.Start()
	_ = in.Close() // the program has its own
	return p
}

// enlarge makes a pipe hold more, if the system lets it.
func enlarge(pipe *os.File) {
	if raw, err := pipe.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
	}
}

// Read reads the program's output. Its end is the end of the dump only if the
// program exits with success.
func (p *program) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	_ = p.out.SetReadDeadline(time.Now().Add(silence))
	n, err := p.out.Read(b)
	if at, failed := p.of.file.Seek(0, io.SeekCurrent); failed == nil {
		step := p.of.step
		step.Done = at
		p.of.events.Report(step)
	}
	if errors.Is(err, io.EOF) {
		if failed := p.cmd.Wait(); failed != nil {
			err = failed
		}
	}
	p.err = err
	return n, err
}

// failed is why the program's output does not count; nil if it does, or if
// nobody read it to the end.
func (p *program) failed() error {
	if errors.Is(p.err, io.EOF) {
		return nil
	}
	return p.err
}

// close kills the program if it still runs, and waits for it.
func (p *program) close() {
	if p.out != nil {
		_ = p.out.Close()
	}
	if p.cmd.Process != nil && p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}
