package secrets_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/secrets"
)

// of are the readers of every program.
func of(dir string) secrets.Readers {
	return secrets.Readers{"file": secrets.File(dir), "env": secrets.Environment, "exec": secrets.Command}
}

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

	readers := of(dir)
	for ref, want := range map[string]string{
		"file:plain":                          "hunter2",
		"file:line":                           "hunter2",
		"file:dos":                            "hunter2",
		"file:two":                            "hunter2\nmore",
		"file:spaces":                         " hunter2 ",
		"file:" + filepath.Join(dir, "plain"): "hunter2",
		"env:GIVEN":                           "hunter2",
		"exec:echo hunter2":                   "hunter2",
		"exec:printf 'a:b'":                   "a:b",
		"exec:echo $GIVEN | tr 2 3":           "hunter3",
		"exec:echo noise >&2; echo hunter2":   "hunter2",
	} {
		got, err := readers.Of(ref)(t.Context())
		if err != nil || got.Reveal() != want {
			t.Errorf("%s is %q, %v; want %q", ref, got.Reveal(), err, want)
		}
	}

	for ref, want := range map[string]string{
		"file:none":                           "no such file",
		"file:empty":                          "it is empty",
		"file:newline":                        "it is empty",
		"file:.":                              "is a directory",
		"env:UNSET":                           "the environment has no variable UNSET",
		"env:NOTHING":                         "it is empty",
		"exec:true":                           "it is empty",
		"exec:cat line; cat line >&2; exit 3": "exit status 3, and wrote 8 bytes to its error output",
		"exec:cat line; exit 4":               "the command failed: exit status 4",
		"exec:cat line; no-such-program-here": "the command failed: exit status 127",
		"exec:cat line; kill -9 $$":           "the command failed: signal: killed",
	} {
		t.Run(ref, func(t *testing.T) {
			t.Chdir(dir)
			got, err := readers.Of(ref)(t.Context())
			if err == nil || !got.IsEmpty() || !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v, want %s", err, want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the secret is in %v", err)
			}
			if holdfast.ClassOf(err) != holdfast.Usage || !strings.HasPrefix(err.Error(), "read the secret at "+ref) {
				t.Errorf("class %s: %v", holdfast.ClassOf(err), err)
			}
		})
	}
	if readers.Of("") != nil {
		t.Error("no reference gives a function")
	}
}

// A command that hangs, and what it has started, does not keep Holdfast.
func TestACommandThatHangs(t *testing.T) {
	for _, command := range []string{"sleep 60", "sleep 60 & echo hunter2; wait", "(sleep 60 | cat) & sleep 60"} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		began := time.Now()
		_, err := of("").Of("exec:" + command)(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 20*time.Second {
			t.Errorf("%s: %v after %v", command, err, time.Since(began))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err := of("").Of("exec:sleep 60")(ctx)
	if holdfast.ClassOf(err) != holdfast.Interrupted {
		t.Errorf("interrupted: class %s, %v", holdfast.ClassOf(err), err)
	}
}

func TestSecretsAreReadEachTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	read := of("").Of("file:" + file)
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(file, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := read(t.Context()); err != nil || got.Reveal() != want {
			t.Errorf("got %q, %v; want %q", got.Reveal(), err, want)
		}
	}
}

// A reference of no known scheme may be a secret itself, and is not shown.
func TestAnUnknownSchemeIsNotShown(t *testing.T) {
	for _, reference := range []string{"vault:hunter2", "hunter2", "file:", ":hunter2"} {
		_, err := of("").Of(reference)(t.Context())
		if holdfast.ClassOf(err) != holdfast.Usage || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", reference, err)
		}
	}
}

// A further place is one reader more in the map, and its own words go out.
func TestAReaderOfItsOwn(t *testing.T) {
	readers := of("")
	sealed := &holdfast.Problem{Class: holdfast.Unreachable, What: "the vault is sealed"}
	readers["vault"] = func(_ context.Context, place string) (holdfast.Secret, error) {
		if place == "sealed" {
			return holdfast.Secret{}, sealed
		}
		return holdfast.NewSecret("of " + place + "\n"), nil
	}
	if got, err := readers.Of("vault:secret/holdfast")(t.Context()); err != nil ||
		got.Reveal() != "of secret/holdfast" {
		t.Errorf("got %q, %v", got.Reveal(), err)
	}
	if _, err := readers.Of("vault:sealed")(t.Context()); !errors.Is(err, sealed) {
		t.Errorf("got %v", err)
	}
}
