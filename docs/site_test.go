// Package docs_test keeps the documentation true: every command that it shows
// is run against a node, every JSON that the program prints is checked against
// the published schemas, and every link leads somewhere.
package docs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/splicetest"
	"holdfast/internal/testbed/program"
)

// programs is the directory of the holdfast that the tests run.
var programs string

func TestMain(m *testing.M) {
	code, err := build(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func build(m *testing.M) (int, error) {
	dir, remove, err := program.Directory()
	if err != nil {
		return 1, err
	}
	defer remove()
	programs = dir
	return m.Run(), nil
}

// site is where a page's commands are typed: a node whose programs are
// stopped, a directory, and the variables that the page tells the reader to set.
type site struct {
	node  *splicetest.Node
	app   *splicetest.ValidatorApp
	other *splicetest.Server // another server, to restore to
	dir   string
	env   []string
}

func newSite(t *testing.T, options splicetest.NodeOptions, variables ...string) *site {
	t.Helper()
	s := &site{node: splicetest.NewNode(t, options), dir: t.TempDir()}
	s.app = splicetest.NewValidatorApp(t, s.node, splicetest.AppOptions{})
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "HOLDFAST_") && !strings.HasPrefix(pair, "PG") {
			s.env = append(s.env, pair)
		}
	}
	s.env = append(s.env, "PATH="+programs+":"+os.Getenv("PATH"), "HOME="+s.dir, "PWD="+s.dir,
		"VALIDATOR_DSN="+s.node.ValidatorDSN(), "PARTICIPANT_DSN="+s.node.ParticipantDSN(),
		"VALIDATOR_URL="+s.app.URL(), "AUDIENCE="+splicetest.DefaultAudience)
	s.env = append(s.env, variables...)
	return s
}

// result is what a command printed, and how it ended.
type result struct {
	stdout, stderr string
	exit           int
}

// run runs a command in the site's directory.
func (s *site) run(ctx context.Context, name string, args ...string) (result, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	r := result{out.String(), complaint.String(), cmd.ProcessState.ExitCode()}
	if errors.As(err, new(*exec.ExitError)) {
		err = nil
	}
	return r, err
}

// holdfast runs holdfast, which has to end with that exit code.
func (s *site) holdfast(t *testing.T, exit int, args ...string) result {
	t.Helper()
	r, err := s.run(t.Context(), filepath.Join(programs, "holdfast"), args...)
	if err != nil {
		t.Fatal(err)
	}
	if r.exit != exit {
		t.Fatalf("holdfast %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.exit, exit, r.stdout, r.stderr)
	}
	return r
}

// init sets Holdfast up for the site's node.
func (s *site) init(t *testing.T, more ...string) result {
	t.Helper()
	return s.holdfast(t, 0, append([]string{
		"init", "--node", "my-validator", "--repository", "repository", "--keep", "kept", "--recovery-key-file", "recovery.key",
		"--database", "validator=" + s.node.ValidatorDSN(), "--database", "participant=" + s.node.ParticipantDSN(),
		"--identities-url", s.app.URL(), "--auth", "unsafe", "--audience", splicetest.DefaultAudience,
	}, more...)...)
}

// dump makes a dump in the site's directory as an operator would without
// Holdfast.
func (s *site) dump(t *testing.T, dsn string, args ...string) {
	t.Helper()
	r, err := s.run(t.Context(), filepath.Join(s.node.Participant.Version.Bin, "pg_dump"), append([]string{"-d", dsn}, args...)...)
	if err != nil || r.exit != 0 {
		t.Fatalf("pg_dump: %v, %s", err, r.stderr)
	}
}
