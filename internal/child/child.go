// Package child starts a test's own program once more, as another process that
// may be waited for, fed, or killed. What it is to do there, TestMain finds in
// the environment.
package child

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Process is the other process.
type Process struct {
	*exec.Cmd
	In    io.WriteCloser
	lines *bufio.Reader
}

// Start starts it with those variables added to the environment; it is killed
// with the test. What it complains of goes to complaints, which may be nil.
func Start(t testing.TB, complaints io.Writer, variables ...string) *Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self) //nolint:noctx // the tests end it themselves
	cmd.Env = append(os.Environ(), variables...)
	cmd.Stderr = complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = in.Close() })
	return &Process{cmd, in, bufio.NewReader(out)}
}

// Await waits until the process says that line, which has to be its next.
func (p *Process) Await(t testing.TB, want string) {
	t.Helper()
	line, err := p.lines.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != want {
		t.Fatalf("the process said %q, %v; want %q", line, err, want)
	}
}
