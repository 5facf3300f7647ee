package dumpfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/child"
	"holdfast/pgdump"
)

// longDump is a dump of more than a pipe holds.
func longDump(t testing.TB) []byte {
	t.Helper()
	before, after, ok := strings.Cut(string(seeds(t)["18.sql"]), "\ntab\\t")
	if !ok {
		t.Fatal("the seed has another row")
	}
	var rows strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&rows, "\nrow %d, of the same table as another one\t\\\\xdeadbeef", i)
	}
	return []byte(before + rows.String() + "\ntab\\t" + after)
}

// packed writes a dump into a file as the program of that name does.
func packed(t testing.TB, program string, data []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append(args, "-c")...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v", program, args, err)
	}
	return out
}

func file(t testing.TB, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "dump")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// What the machine's own decompressor reads is what ours reads: a file is left
// to the one, a stream to the other.
func TestBothDecompressorsSayTheSame(t *testing.T) {
	plain := longDump(t)
	half := len(plain) / 2
	for _, c := range []struct{ program, fast, none string }{{"zstd", "-1", "--no-check"}, {"xz", "-1", "--check=none"}} {
		whole, bare := packed(t, c.program, plain, c.fast), packed(t, c.program, plain, c.fast, c.none)
		two := slices.Concat(packed(t, c.program, plain[:half], c.fast), packed(t, c.program, plain[half:], c.fast))
		cases := map[string][]byte{"whole": whole, "without checksums": bare, "two frames": two, "garbage behind": append(slices.Clone(whole), "some garbage"...),
			"a little garbage behind": append(slices.Clone(whole), "ab"...), "compressed within": packed(t, c.program, compressed(t, "gzip", plain), c.fast)}
		if c.program == "xz" { // zstd's program unpacks what is behind, of whatever kind
			cases["another kind behind"] = append(slices.Clone(whole), compressed(t, "gzip", []byte("-- more"))...)
		} else {
			cases["a skippable frame first"] = append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"), whole...)
		}
		for i, at := range offsets(1, len(two), 6) {
			cases[fmt.Sprintf("cut at %d of %d", at, len(two))] = two[:at]
			flipped := slices.Clone(two)
			flipped[at] ^= 1 << (i % 8)
			cases[fmt.Sprintf("bit %d of byte %d of %d", i%8, at, len(two))] = flipped
		}
		for name, data := range cases {
			t.Run(c.program+"/"+name, func(t *testing.T) {
				t.Parallel()
				byProgram, byUs := read(t, file(t, data)), readBytes(t, data)
				byUs.Name = byProgram.Name
				if !reflect.DeepEqual(byProgram, byUs) {
					t.Errorf("%s says %s, %v, %d bytes; we say %s, %v, %d bytes", c.program, byProgram.State, byProgram.Faults, byProgram.Read, byUs.State, byUs.Faults, byUs.Read)
				}
			})
		}
	}
}

// programNamed puts a script into the place of a program.
func programNamed(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// A program that fails is no reason to say anything about a dump, and neither
// is one that is not there; it does not get what it need not know.
func TestWithoutAProgramThatWorks(t *testing.T) {
	plain := longDump(t)
	whole, cut := file(t, packed(t, "zstd", plain)), file(t, packed(t, "zstd", plain)[:5000])
	real, err := exec.LookPath("zstd")
	if err != nil {
		t.Fatal(err)
	}
	ran := filepath.Join(t.TempDir(), "ran")
	t.Setenv("HOLDFAST_PASSWORD", "secret")
	for name, script := range map[string]string{
		"as it is":             "exec " + real + ` "$@"`,
		"fails at once":        "exit 1",
		"fails half-way":       real + ` "$@" | head -c 1000000; exit 1`,
		"fails at the end":     real + ` "$@"; exit 1`,
		"is killed":            real + ` "$@" | head -c 1000000; kill -9 $$`,
		"knows what we forget": "test -z \"$HOLDFAST_PASSWORD\" || echo told >" + ran + "; exec " + real + ` "$@"`,
	} {
		t.Run(name, func(t *testing.T) {
			programNamed(t, "zstd", "echo ran >>"+ran+"\n"+script)
			if d := read(t, whole); d.State != pgdump.Complete || len(d.Faults) > 0 || d.Read != int64(len(plain)) {
				t.Errorf("the whole dump is %s, %v", d.State, d.Faults)
			}
			if d := read(t, cut); d.State != pgdump.Truncated {
				t.Errorf("the cut dump is %s, %v", d.State, d.Faults)
			}
			if said, _ := os.ReadFile(ran); !strings.HasPrefix(string(said), "ran") || strings.Contains(string(said), "told") {
				t.Errorf("of the program: %q", said)
			}
			_ = os.Remove(ran)
		})
	}
	t.Setenv("PATH", t.TempDir())
	if d := read(t, whole); d.State != pgdump.Complete || len(d.Faults) > 0 {
		t.Errorf("without the program, the whole dump is %s, %v", d.State, d.Faults)
	}
}

// lives reports whether a process exists; one that nobody has waited for does.
func lives(pid int) bool { return syscall.Kill(pid, 0) == nil }

// pidIn waits until a process has written its number there.
func pidIn(t *testing.T, name string) int {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if text, _ := os.ReadFile(name); bytes.HasSuffix(text, []byte("\n")) {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
				return pid
			}
		}
	}
	t.Fatal("the program was never started")
	return 0
}

// A program that hangs is gone when the inspection is: called off, ended early,
// or killed.
func TestTheProgramNeverOutlivesUs(t *testing.T) {
	name := file(t, packed(t, "zstd", longDump(t)))
	pid := filepath.Join(t.TempDir(), "pid")
	programNamed(t, "zstd", "echo $$ >"+pid+"\nexec sleep 1000\n")
	t.Run("called off", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { pidIn(t, pid); cancel() }()
		if _, err := (Reader{}).Read(ctx, name); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if lives(pidIn(t, pid)) {
			t.Error("the program goes on")
		}
		_ = os.Remove(pid)
	})
	t.Run("killed", func(t *testing.T) {
		us := child.Start(t, os.Stderr, "HOLDFAST_TEST_READ="+name)
		program := pidIn(t, pid)
		if err := us.Cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = us.Wait()
		for end := time.Now().Add(10 * time.Second); running(program); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the program goes on")
			}
		}
		_ = os.Remove(pid)
	})
	t.Run("ended early", func(t *testing.T) {
		programNamed(t, "zstd", "echo $$ >"+pid+"\necho '<html>'\necho '"+strings.Repeat("x", headroom)+"'\nexec sleep 1000\n")
		if d := read(t, name); d.State != pgdump.Unclear {
			t.Errorf("%s, %v", d.State, d.Faults)
		}
		if lives(pidIn(t, pid)) {
			t.Error("the program goes on")
		}
	})
}

// running reports whether a process runs that is nobody's child of ours: one that
// only waits to be waited for by the system's first process does not.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

// A stream that keeps silent is given up with the context.
func TestSilence(t *testing.T) {
	for name, say := range map[string][]byte{
		"from the start":        nil,
		"in the middle":         []byte("--\n-- PostgreSQL database dump\n--\n"),
		"within a gzip":         packed(t, "gzip", longDump(t))[:4000],
		"within a zstd":         packed(t, "zstd", longDump(t))[:3000],
		"behind a complete one": seeds(t)["18.sql"],
	} {
		for kind, pipe := range map[string]func() (io.ReadCloser, io.WriteCloser, error){
			"a pipe":   func() (io.ReadCloser, io.WriteCloser, error) { return os.Pipe() },
			"a reader": func() (io.ReadCloser, io.WriteCloser, error) { r, w := io.Pipe(); return r, w, nil },
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				from, to, err := pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = to.Close() }()
				go func() { _, _ = to.Write(say) }()
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				began := time.Now()
				if _, err := (Reader{Stdin: from}).Read(ctx, "-"); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		}
	}
}
