package contract_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// packages is the directory that the vendor's packages are installed in.
// Without one the test is skipped, unless HOLDFAST_TEST_ALL asks for every
// test.
func packages(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("HOLDFAST_TEST_CONTRACTS")
	if dir == "" {
		missing := t.Skip
		if os.Getenv("HOLDFAST_TEST_ALL") != "" {
			missing = t.Fatal
		}
		missing(`HOLDFAST_TEST_CONTRACTS names no directory with the vendor's packages; ` +
			`eval "$(internal/testbed/postgres.sh)" makes one`)
	}
	same(t, filepath.Join(dir, "package-lock.json"), "package-lock.json")
	return dir
}

// same fails when what is installed is not what the lock file here says.
func same(t *testing.T, installed, wanted string) {
	t.Helper()
	want, err := os.ReadFile(wanted)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(installed); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the vendor's packages are not those of %s (%v); internal/testbed/postgres.sh installs them", wanted, err)
	}
}

// command is a script of this directory, which finds the packages.
func command(ctx context.Context, t *testing.T, name string) (cmd *exec.Cmd, said *bytes.Buffer) {
	t.Helper()
	cmd = exec.CommandContext(ctx, "node", "--no-warnings", name)
	cmd.Env = append(os.Environ(), "CONTRACTS="+packages(t))
	said = new(bytes.Buffer)
	cmd.Stderr = said
	return cmd, said
}

// run gives a script its input as JSON and reads its output as JSON.
func run(t *testing.T, name string, input, output any) {
	t.Helper()
	text, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd, said := command(ctx, t, name)
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, output)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, said)
	}
}

// server is a script that goes on until its input ends.
type server struct {
	Address string
	finish  func(into any) error
}

// start starts a script that says its address in its first line, and what it
// has seen in its second, when its input ends.
func start(t *testing.T, name string, input any) server {
	t.Helper()
	text, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	cmd, said := command(t.Context(), t, name)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(stdout)
	s := server{finish: func(into any) error {
		return errors.Join(stdin.Close(), lines.Decode(into), cmd.Wait())
	}}
	t.Cleanup(func() { _ = stdin.Close() })
	if _, err := stdin.Write(append(text, '\n')); err != nil {
		t.Fatal(err)
	}
	if err := lines.Decode(&s); err != nil || s.Address == "" {
		t.Fatalf("%s does not begin: %v\n%s", name, err, strings.TrimSpace(said.String()))
	}
	return s
}
