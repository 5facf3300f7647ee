package dumpfile

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// pipeSize is what is asked for the pipe between a program and us, so that
// neither waits for the other at every turn; 1 MiB is what Linux grants anybody.
const pipeSize = 1 << 20

// program is a decompressor of the machine's own at work: a process that reads
// a file by itself and writes into a pipe. Its word is taken where it reaches
// the end and says that all is well, and only there: a program fails for many
// reasons that have nothing to do with the file, such as the lack of memory or
// of a library.
type program struct {
	cmd *exec.Cmd
	out *os.File
	of  *stream // whose file it reads; the two share one position in it
	err error   // why nothing more comes; io.EOF where all is well
}

// startProgram starts a program on a file, from where its dump begins. What
// keeps it from starting is what reading from it says. Nothing of our
// environment goes with it but the way to programs and their libraries: there
// are passwords in the rest. It is killed with the context, and with us.
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

// Read reads what the program has written. The end is only an end if the
// program says so.
func (p *program) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.out.Read(b)
	if at, failed := p.of.file.Seek(0, io.SeekCurrent); failed == nil {
		step := p.of.step
		step.Done = at
		p.of.told.Report(step)
	}
	if errors.Is(err, io.EOF) {
		if failed := p.cmd.Wait(); failed != nil {
			err = failed
		}
	}
	p.err = err
	return n, err
}

// failed tells why the program's word cannot be taken; nil where it can, or
// where nobody wanted to hear it to the end.
func (p *program) failed() error {
	if errors.Is(p.err, io.EOF) {
		return nil
	}
	return p.err
}

// close ends the program, whatever it is at, and waits until it is gone.
func (p *program) close() {
	if p.out != nil {
		_ = p.out.Close()
	}
	if p.cmd.Process != nil && p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}
