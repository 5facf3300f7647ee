package compose_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pty opens a pseudo terminal: what a program sees as one, and the side of
// whoever sits before it.
func pty(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	check(t, err)
	number := must(unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN))(t)
	check(t, unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	screen = must(os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0))(t)
	return keyboard, screen
}

// terminal runs holdfast before somebody who answers its one question, and
// returns all that was to be seen.
func (s *site) terminal(t *testing.T, answer string, args ...string) (seen string, exit int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	keyboard, screen := pty(t)
	defer func() { _ = keyboard.Close() }()
	cmd := s.command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = screen, screen, screen
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	check(t, cmd.Start())
	check(t, screen.Close())
	var all strings.Builder
	asked := 0
	for piece := make([]byte, 4096); ; {
		n, err := keyboard.Read(piece) // fails with EIO when the last program before it has ended
		all.Write(piece[:n])
		if questions := strings.Count(all.String(), "Type yes: "); questions > asked {
			asked = questions
			must(keyboard.WriteString(answer + "\n"))(t)
		}
		if err != nil {
			break
		}
	}
	var ended *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	if asked != 1 {
		t.Errorf("holdfast %s asked %d times\n%s", strings.Join(args, " "), asked, all.String())
	}
	return strings.ReplaceAll(all.String(), "\r\n", "\n"), cmd.ProcessState.ExitCode()
}
