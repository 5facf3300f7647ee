// Package canary has secrets that tests plant, and looks for them wherever they
// must not be: in what a program printed, wrote, and gave to others.
package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Secrets are what was planted, by what each opens.
type Secrets map[string]string

// forms are the spellings of a secret, and a half of it.
func forms(secret string) []string {
	quoted, _ := json.Marshal(secret)
	return []string{
		secret, string(quoted[1 : len(quoted)-1]), url.QueryEscape(secret), secret[:min(len(secret), len(secret)/2+12)],
		base64.StdEncoding.EncodeToString([]byte("holdfast:" + url.QueryEscape(secret))),
	}
}

// Look fails the test where a text has one of the secrets.
func (s Secrets) Look(t testing.TB, where string, text []byte) {
	t.Helper()
	for name, secret := range s {
		for _, form := range forms(secret) {
			if i := bytes.Index(text, []byte(form)); i >= 0 {
				t.Errorf("the canary %s is in %s: ...%s", name, where, text[max(0, i-60):i])
				break
			}
		}
	}
}

// LookBelow looks into every file of a directory but those that are passed over.
func (s Secrets) LookBelow(t testing.TB, directory string, pass func(path string) bool) {
	t.Helper()
	err := filepath.WalkDir(directory, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || pass(path) {
			return err
		}
		text, err := os.ReadFile(path)
		s.Look(t, path, text)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Children are programs that write down how they are called.
type Children struct {
	Dir    string // of the programs
	called string
}

// Watch makes programs of those names in a directory, which write down their
// arguments and environment and become the real ones, in the other directory.
func Watch(t testing.TB, dir, programs string, names ...string) Children {
	t.Helper()
	c := Children{Dir: filepath.Join(dir, "bin"), called: filepath.Join(dir, "children")}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		script := fmt.Sprintf("#!/bin/sh\n{ printf '%%s\\n' \"$0 $*\"; env; } >>%s\nexec %s \"$@\"\n",
			c.called, filepath.Join(programs, name))
		if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(script), 0o700); err != nil { //nolint:gosec // it is run
			t.Fatal(err)
		}
	}
	return c
}

// Is reports whether a file is the one in which the calls are.
func (c Children) Is(path string) bool { return path == c.called }

// LookAt looks into how the programs were called. PGPASSWORD is libpq's own way,
// which its owner alone can read.
func (s Secrets) LookAt(t testing.TB, c Children) {
	t.Helper()
	text, err := os.ReadFile(c.called)
	if err != nil {
		t.Fatalf("no child process was seen: %v", err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "PGPASSWORD=") {
			s.Look(t, "an argument or variable of a child process: "+line, []byte(line))
		}
	}
}
