package compose_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/splicetest/bundle"
	"holdfast/internal/testbed/program"
	"holdfast/manifest"
)

// holdfastPath is the holdfast command.
var holdfastPath string

func TestMain(m *testing.M) {
	unset := flag.Set("test.parallel", "3") // they wait for containers some of the time
	flag.Parse()
	if err := bundle.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	dir, remove, err := program.Directory()
	if err = errors.Join(err, unset); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	holdfastPath = filepath.Join(dir, "holdfast")
	code := m.Run()
	remove()
	os.Exit(code)
}

// site is an operator's machine: a bundle, and Holdfast set up beside it.
type site struct {
	*bundle.Bundle
	dir    string
	docker string
	env    []string // beside the usual, and instead of it
}

// newSite is a machine on which the bundle runs and nothing else has been done.
func newSite(t *testing.T, o bundle.Options) *site {
	t.Helper()
	return &site{Bundle: bundle.Up(t, o), dir: t.TempDir(), docker: os.Getenv("HOLDFAST_TEST_DOCKER")}
}

type result struct {
	out, err string
	exit     int
}

// command is a run of holdfast as the operator types it.
func (s *site) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, holdfastPath, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+s.docker, "HOLDFAST_CONFIG=holdfast.yaml", "PATH=/usr/bin:/bin")
	cmd.Env = append(cmd.Env, s.env...)
	return cmd
}

func (s *site) try(t *testing.T, args ...string) result {
	t.Helper()
	var out, complaint bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := s.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), complaint.String(), cmd.ProcessState.ExitCode()}
}

// holdfast runs a command that has to end with that exit code.
func (s *site) holdfast(t *testing.T, exit int, args ...string) result {
	t.Helper()
	r := s.try(t, args...)
	if r.exit != exit {
		t.Fatalf("holdfast %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.exit, exit, r.out, r.err)
	}
	return r
}

// value runs a command with JSON output and decodes what it prints.
func value[T any](t *testing.T, s *site, args ...string) T {
	t.Helper()
	var doc struct{ Value json.RawMessage }
	var v T
	r := s.holdfast(t, 0, append(args, "--output", "json")...)
	err := json.Unmarshal([]byte(r.out), &doc)
	if set, ok := any(&v).(*holdfast.Set); ok && err == nil { // its captures are of several methods
		*set, err = manifest.Read(bytes.NewReader(doc.Value))
	} else if err == nil {
		err = json.Unmarshal(doc.Value, &v)
	}
	if err != nil {
		t.Fatalf("holdfast %s: %v\n%s", strings.Join(args, " "), err, r.out)
	}
	return v
}

// setUp sets Holdfast up with one command, which takes the first set.
func (s *site) setUp(t *testing.T) holdfast.Set {
	t.Helper()
	s.holdfast(t, 0, "init", "--project", s.Project, "--yes", "--recovery-key-file", "key")
	return value[holdfast.Set](t, s, "show", "latest")
}

// must is a value that comes without an error.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for something that takes a moment. Most looks are a docker
// command: the machine has other things to do.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !is(); time.Sleep(300 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within three minutes: %s", what)
		}
	}
}

// work lets the node write for a while, so that there is something to lose.
func (s *site) work(t *testing.T) {
	t.Helper()
	check(t, s.StartLoad(t.Context(), 50))
	eventually(t, "20 updates", func() bool { end, _, err := s.Progress(t.Context()); return err == nil && end > 20 })
	check(t, s.StopLoad(t.Context()))
}
