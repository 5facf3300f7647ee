package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/config"
)

func TestReferences(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("plain", "hunter2")
	write("line", "hunter2\n")
	write("dos", "hunter2\r\n")
	write("two", "hunter2\nmore\n")
	write("spaces", " hunter2 \n")
	write("empty", "")
	write("newline", "\n")
	t.Setenv("GIVEN", "hunter2")
	t.Setenv("NOTHING", "")

	for ref, want := range map[config.Reference]string{
		"file:plain": "hunter2", "file:line": "hunter2", "file:dos": "hunter2", "file:two": "hunter2\nmore", "file:spaces": " hunter2 ",
		config.Reference("file:" + filepath.Join(dir, "plain")): "hunter2",
		"env:GIVEN": "hunter2", "exec:echo hunter2": "hunter2", "exec:printf 'a:b'": "a:b", "exec:echo $GIVEN | tr 2 3": "hunter3",
		"exec:echo noise >&2; echo hunter2": "hunter2",
	} {
		got, err := ref.Secret(dir)(t.Context())
		if err != nil || got.Reveal() != want {
			t.Errorf("%s is %q, %v; want %q", ref, got.Reveal(), err, want)
		}
	}

	for ref, want := range map[config.Reference]string{
		"file:none":    "no such file",
		"file:empty":   "it is empty",
		"file:newline": "it is empty",
		"file:.":       "is a directory",
		"env:UNSET":    "the environment has no variable UNSET",
		"env:NOTHING":  "it is empty",
		"exec:true":    "it is empty",
		"exec:cat line; echo 'no; such\n  entry' >&2; exit 3": "the command failed: exit status 3: no; such entry",
		"exec:cat line; exit 4":                               "the command failed: exit status 4",
		"exec:cat line; no-such-program-here":                 "the command failed: exit status 127",
		"exec:cat line; kill -9 $$":                           "the command failed: signal: killed",
	} {
		t.Run(string(ref), func(t *testing.T) {
			t.Chdir(dir)
			got, err := ref.Secret(dir)(t.Context())
			if err == nil || !got.IsEmpty() || !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v, want %s", err, want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the secret is in %v", err)
			}
			if holdfast.ClassOf(err) != holdfast.Usage || !strings.HasPrefix(err.Error(), "read the secret at "+string(ref)) {
				t.Errorf("class %s: %v", holdfast.ClassOf(err), err)
			}
		})
	}
	if config.Reference("").Secret(dir) != nil {
		t.Error("no reference gives a function")
	}
}

// A command that hangs, and what it has started, does not keep Holdfast.
func TestACommandThatHangs(t *testing.T) {
	for _, command := range []string{"sleep 60", "sleep 60 & echo hunter2; wait", "(sleep 60 | cat) & sleep 60"} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		began := time.Now()
		_, err := config.Reference("exec:" + command).Secret("")(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 20*time.Second {
			t.Errorf("%s: %v after %v", command, err, time.Since(began))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err := config.Reference("exec:sleep 60").Secret("")(ctx)
	if holdfast.ClassOf(err) != holdfast.Interrupted {
		t.Errorf("interrupted: class %s, %v", holdfast.ClassOf(err), err)
	}
}

func TestSecretsAreReadEachTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	read := config.Reference("file:" + file).Secret("")
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(file, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := read(t.Context()); err != nil || got.Reveal() != want {
			t.Errorf("got %q, %v; want %q", got.Reveal(), err, want)
		}
	}
}
