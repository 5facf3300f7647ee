// Package packaging_test runs the packages of Holdfast: the container image
// next to a bundle, by the commands of docs/operate.md, and systemd's units.
package packaging_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/splicetest/bundle"
	"holdfast/internal/testbed/program"
	"holdfast/systemd"
)

func TestMain(m *testing.M) {
	err := bundle.Enter()
	if err == nil {
		built, err = os.MkdirTemp("", "holdfast-packaging-")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

// built is a directory as `make build` leaves it, for the image to be made from.
var built string

// binary puts the program there.
var binary = sync.OnceValue(func() error {
	dir, remove, err := program.Directory()
	if err != nil {
		return err
	}
	defer remove()
	if err := os.Mkdir(filepath.Join(built, "bin"), 0o755); err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(dir, "holdfast"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(built, "bin", "holdfast"), content, 0o755)
})

// image builds the image from the base that the test bed has and returns its
// name.
func image(t *testing.T) string {
	t.Helper()
	bundle.Require(t)
	if err := binary(); err != nil {
		t.Fatal(err)
	}
	recipe, err := os.ReadFile(filepath.Join("..", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(built, "Dockerfile"), recipe, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, built, bundle.Environ(), "docker", "build", "-q", "--build-arg", "BASE=postgres:15", "-t",
		"holdfast:packaged", ".")
	return "holdfast:packaged"
}

// run runs a command and returns what it printed.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// documented are the blocks of commands that docs/operate.md marks with that
// word.
func documented(t *testing.T, mark string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "operate.md"))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, rest := range strings.Split(string(text), "```sh untested="+mark+"\n")[1:] {
		block, _, _ := strings.Cut(rest, "```")
		blocks = append(blocks, block)
	}
	if len(blocks) == 0 {
		t.Fatalf("docs/operate.md has no commands marked %s", mark)
	}
	return blocks
}

// The image does without root, without a writable root file system, without a
// capability and without a network.
func TestTheImageNeedsNothing(t *testing.T) {
	t.Parallel()
	name := image(t)
	said := run(t, ".", bundle.Environ(), "docker", "run", "--rm", "--read-only", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges", "--network", "none", name, "version")
	if !strings.HasPrefix(said, "holdfast "+program.Version+" ") {
		t.Errorf("it said %q", said)
	}
	config := run(t, ".", bundle.Environ(), "docker", "image", "inspect", "-f",
		"{{.Config.User}} {{.Config.Volumes}} {{.Config.ExposedPorts}}", name)
	if strings.TrimSpace(config) != "65532:65532 map[] map[]" {
		t.Errorf("user, volumes and ports are %s", config)
	}
}

// Next to a bundle: the commands of the manual set it up, back up under load
// and bring a wrecked node back.
func TestBesideABundleByTheManual(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	name := image(t)
	b := bundle.Up(t, bundle.Options{Migration: "4"})
	blocks := documented(t, "container")
	if len(blocks) != 4 {
		t.Fatalf("%d blocks of commands, and this test knows what four are for", len(blocks))
	}
	dir := t.TempDir()
	for _, name := range []string{"compose-holdfast.yaml", "compose-holdfast-socket.yaml"} {
		file, err := os.ReadFile(filepath.Join("compose", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := append(slices.DeleteFunc(b.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "COMPOSE_PROJECT_NAME=")
	}),
		"COMPOSE_PROJECT_NAME="+b.Project+"-holdfast", "BACKUP_IMAGE="+name, "BACKUP_NETWORK="+b.Network(),
		"PROJECT="+b.Project, "SPLICE_DB_PASSWORD=supersafe", "PARTICIPANT_DATABASE="+b.ParticipantDatabase(),
		"BACKUP_SOCKET="+strings.TrimPrefix(bundle.Require(t), "unix://"))
	t.Cleanup(func() { run(t, dir, env, "docker", "compose", "-f", "compose-holdfast.yaml", "down", "-v") })
	manual := func(n int) string { return run(t, dir, env, "/bin/sh", "-euc", blocks[n]) }

	manual(0)
	if err := b.StartLoad(ctx, 50); err != nil {
		t.Fatal(err)
	}
	if said := manual(1); !strings.Contains(said, "proven") {
		t.Errorf("under load there is no proven set:\n%s", said)
	}
	if err := b.StopLoad(ctx); err != nil {
		t.Fatal(err)
	}
	manual(1) // of a node at rest, to compare with
	asAService(t, dir, env)
	before, err := b.Fingerprints(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Wreck(ctx, bundle.HalfTableLost); err != nil {
		t.Fatal(err)
	}
	manual(2)
	if err := b.Resume(ctx, "participant", "validator"); err != nil {
		t.Fatal(err)
	}
	equal := func() {
		t.Helper()
		after, err := b.Fingerprints(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if differ := bundle.Differences(before, after); len(differ) > 0 {
			t.Errorf("restored, the node differs: %s", strings.Join(differ, "\n"))
		}
	}
	equal()

	// With the socket: nobody stops or starts anything by hand.
	if err := b.Wreck(ctx, bundle.DatabaseDropped); err != nil {
		t.Fatal(err)
	}
	if said := manual(3); !strings.Contains(said, b.Container("participant")) ||
		!strings.Contains(said, "Restored, proven and serving") {
		t.Errorf("with the socket it said\n%s", said)
	}
	if err := b.Ready(ctx); err != nil {
		t.Error(err)
	}
	equal()
}

// asAService starts the service next to the bundle, as the overlay has it: it answers
// on this machine, has read the repository, and ends when it should.
func asAService(t *testing.T, dir string, env []string) {
	t.Helper()
	overlay, err := os.ReadFile(filepath.Join("compose", "compose-holdfast-run.yaml"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "compose-holdfast-run.yaml"), overlay, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	_, port, _ := strings.Cut(at, ":")
	env = append(env, "BACKUP_PORT="+port)
	compose := func(args ...string) string {
		t.Helper()
		return run(t, dir, env, "docker", append([]string{
			"compose", "-f", "compose-holdfast.yaml", "-f", "compose-holdfast-run.yaml",
		}, args...)...)
	}
	run(t, dir, env, "/bin/sh", "-euc", "cp holdfast/holdfast.yaml before.yaml && "+
		"printf '\\nhttp: {listen: 0.0.0.0:7433, allow_remote: true}\\nschedule: {drill: never}\\n' >>holdfast/holdfast.yaml")
	compose("up", "-d")
	answers := func(path, words string) error {
		answer, err := http.Get("http://" + at + path) //nolint:noctx // of this test's own service
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if err == nil && (answer.StatusCode != http.StatusOK || !strings.Contains(string(text), words)) {
			err = fmt.Errorf("%s answers %s without %q:\n%s", path, answer.Status, words, text)
		}
		return err
	}
	for path, words := range map[string]string{"/readyz": "", "/metrics": "holdfast_proven_timestamp_seconds{"} {
		err := answers(path, words)
		for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			err = answers(path, words)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, compose("logs"))
		}
	}
	id := strings.TrimSpace(compose("ps", "-q"))
	compose("stop")
	if code := run(t, dir, env, "docker", "inspect", "-f", "{{.State.ExitCode}}", id); strings.TrimSpace(code) != "0" {
		t.Errorf("it ended with exit code %s\n%s", code, compose("logs"))
	}
	compose("rm", "-f")
	run(t, dir, env, "cp", "before.yaml", "holdfast/holdfast.yaml")
}

// systemd takes the units, and finds the service well locked in.
func TestUnitsAreTakenAndHardened(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("needs systemd-analyze")
	}
	if err := binary(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"holdfast.service", "holdfast.timer"} {
		text, err := os.ReadFile(filepath.Join("systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		// What exists on a node and not here: the installed program, and the operator's own unit.
		unit := strings.ReplaceAll(string(text), "/usr/local/bin/holdfast", filepath.Join(built, "bin", "holdfast"))
		unit = strings.ReplaceAll(unit, "OnFailure=holdfast-failed.service\n", "")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	service, timer := filepath.Join(dir, "holdfast.service"), filepath.Join(dir, "holdfast.timer")
	takes(t, service, timer)
	run(t, dir, os.Environ(), "systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=20", service)
}

// takes has systemd read units; it must find nothing to say.
func takes(t *testing.T, units ...string) {
	t.Helper()
	verify := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...)
	if out, err := verify.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// systemd takes the unit that `holdfast service install` writes. It is less
// hardened: drills make namespaces.
func TestTheInstalledUnitIsTaken(t *testing.T) {
	t.Parallel()
	needs(t, "systemd-analyze")
	if err := binary(); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"root", "daemon"} {
		dir := t.TempDir()
		unit := systemd.Unit{
			Program: filepath.Join(built, "bin", "holdfast"), Arguments: []string{"/etc/my node/holdfast.yaml"}, User: user,
			Directory: dir, Writable: []string{"/var/backups/my sets", "/mnt/100%"},
		}
		file := filepath.Join(dir, "holdfast.service")
		if err := os.WriteFile(file, []byte(unit.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		takes(t, file)
		if user != "root" {
			run(t, dir, os.Environ(), "systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=45", file)
		}
	}
}
