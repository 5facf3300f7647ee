package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/identities"
	"holdfast/secrets"
)

// pty opens a pseudo terminal: what a program sees as one, and the side of whoever
// sits before it.
func pty(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close(); _ = keyboard.Close() })
	return keyboard, screen
}

// echoes reports whether a terminal shows what is typed.
func echoes(t *testing.T, screen *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// lineByLine hands on what is written to it, and goes on when that was taken.
type lineByLine chan string

// Write implements io.Writer.
func (l lineByLine) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// Two people type a share each at one terminal. Neither is shown, and together they
// open what was sealed.
func TestSharesAreTypedUnseen(t *testing.T) {
	key, err := identities.NewSharedKey(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	keyboard, screen := pty(t)
	said := make(lineByLine)
	a := &app{streams: streams{in: screen, err: said}, output: "text", known: new(secrets.Known)}
	ended := make(chan error, 1)
	go func() {
		keys, err := a.readKeys([]string{"-", "-"})
		if err == nil && len(keys) != 1 {
			err = fmt.Errorf("%d keys", len(keys))
		}
		ended <- err
	}()
	var words []string
	for _, text := range key.Shares[:2] {
		lines := strings.Split(strings.TrimSpace(text.Reveal()), "\n")
		words = append(words, lines[len(lines)-1])
		if prompt := <-said; prompt != "Recovery key, or one share of it (it is not shown): " {
			t.Fatalf("asked %q", prompt)
		}
		for waited := time.Now(); echoes(t, screen); time.Sleep(time.Millisecond) {
			if time.Since(waited) > 10*time.Second {
				t.Fatal("the terminal shows what is typed")
			}
		}
		if _, err := keyboard.WriteString(words[len(words)-1] + "\n"); err != nil {
			t.Fatal(err)
		}
		<-said // the end of the line
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if !echoes(t, screen) {
		t.Error("the terminal does not show what is typed afterwards")
	}
	if _, err := screen.WriteString("end\n"); err != nil {
		t.Fatal(err)
	}
	seen := make([]byte, 4096)
	n, err := keyboard.Read(seen)
	if got := strings.TrimSpace(string(seen[:n])); err != nil || got != "end" {
		t.Errorf("the terminal showed %q, %v", got, err)
	}
}
