package sandbox_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/docker"
	"holdfast/internal/splicetest/bundle"
	"holdfast/sandbox"
)

// daemon is the test bed's, with the image of Postgres that it has.
func daemon(t *testing.T, address, dir string) sandbox.Daemon {
	t.Helper()
	d, err := inDaemon(t.Context(), address, dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func inDaemon(ctx context.Context, address, dir string) (sandbox.Daemon, error) {
	e, err := docker.Connect(address, 0)
	if err != nil {
		return sandbox.Daemon{}, err
	}
	image, err := e.Have(ctx, docker.Image{Name: "postgres:15"}, "a test")
	return sandbox.Daemon{Engine: e, Image: image, Dir: dir, KeepFree: 1}, err
}

// command runs docker against the test bed's daemon.
func command(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("docker", args...)
	cmd.Env = bundle.Environ()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("docker %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// inContainers are the containers and volumes that a drill in that container
// has.
func inContainers(t *testing.T, name string) string {
	t.Helper()
	return command(t, "ps", "-a", "-q", "--filter", "name="+name)
}

// overTCP makes the daemon look like one of another machine, whose paths are
// not ours.
func overTCP(t *testing.T, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", strings.TrimPrefix(address, "unix://"))
			if err != nil {
				_ = near.Close()
				continue
			}
			go pass(near, far)
			go pass(far, near)
		}
	}()
	return "tcp://" + listener.Addr().String()
}

// pass hands on what comes, and its end; the other direction goes on.
func pass(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// A server in a container starts, cannot reach anything, takes connections
// through the shared socket, or through the daemon where there is none, and is
// gone.
func TestAServerInAContainerIsThrownAway(t *testing.T) {
	t.Parallel()
	host := bundle.Require(t)
	for name, address := range map[string]string{"here": host, "elsewhere": overTCP(t, host)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := base(t)
			d := daemon(t, address, dir)
			d.Share = sandbox.Share{Memory: 1 << 30, Processors: 1}
			if f, err := d.Room(t.Context(), 1<<20); err != nil || f.Verdict != holdfast.Holds {
				t.Errorf("room for a MiB: %+v, %v", f, err)
			}
			if f, err := d.Room(t.Context(), 1<<60); err == nil || f.Verdict != holdfast.Violated {
				t.Errorf("room for more than there is: %+v, %v", f, err)
			}
			s, err := d.Start(t.Context(), "a test")
			if err != nil {
				t.Fatal(err)
			}
			stopped := false
			defer func() {
				if !stopped {
					_ = s.Stop()
				}
			}()
			if s.Isolation.Verdict != holdfast.Holds || !strings.Contains(s.Isolation.Evidence, "interfaces: lo; a listener on the host's loopback: Connection refused; a route to anywhere: Network is unreachable") {
				t.Errorf("isolation: %+v", s.Isolation)
			}
			if !strings.HasPrefix(s.Version, "Postgres 15.") || !strings.Contains(s.Version, "in a container of postgres:15 (sha256:") {
				t.Errorf("it is %s", s.Version)
			}
			if f, err := s.Ask(t.Context(), "postgres", "SELECT current_setting('fsync') = 'off'"); err != nil || f.Verdict != holdfast.Holds {
				t.Errorf("%+v, %v", f, err)
			}
			if got := command(t, "inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpuShares}}",
				s.Address.Get("host")); got != "1073741824 1000000000 128" {
				t.Errorf("memory, processors and their weight: %s", got)
			}
			volume := command(t, "inspect", "-f", "{{range .Mounts}}{{if eq .Type \"volume\"}}{{.Name}}{{end}}{{end}}", s.Address.Get("host"))
			// While it lives nobody cleans it away.
			if removed, err := d.Clean(t.Context()); err != nil || slices.Contains(removed, s.Dir) || inContainers(t, s.Address.Get("host")) == "" {
				t.Errorf("removed %v, %v", removed, err)
			}
			stopped = true
			if err := s.Stop(); err != nil || len(leftover(t, dir)) > 0 || inContainers(t, s.Address.Get("host")) != "" {
				t.Errorf("left %v, %q, %v", leftover(t, dir), inContainers(t, s.Address.Get("host")), err)
			}
			if volume == "" || command(t, "volume", "ls", "-q", "--filter", "name="+volume) != "" {
				t.Errorf("volume %q is left", volume)
			}
		})
	}
}

// A container that has a network is found out, whichever.
func TestAContainerWithANetworkIsFoundOut(t *testing.T) {
	t.Parallel()
	d := daemon(t, bundle.Require(t), base(t))
	for _, network := range []string{"bridge", "host"} {
		id := command(t, "run", "-d", "--rm", "--network", network, "--entrypoint", "sleep", "postgres:15", "60")
		t.Cleanup(func() { command(t, "rm", "-f", "-v", id) })
		f, err := sandbox.Isolation(t.Context(), d.Engine, id)
		if err != nil || f.Verdict != holdfast.Violated {
			t.Errorf("network %s: %+v, %v", network, f, err)
		}
		t.Log(network, f.Evidence)
	}
}

// The server of a drill that is killed goes with it, however far it had come;
// the next drill removes what else was left.
func TestWhatAKilledDrillInAContainerLeft(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"while its server begins": true, "later": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, dir := bundle.Require(t), base(t)
			child, container := aDrill(t, host, dir, early)
			// What a participant in its network namespace would leave.
			id := command(t, "inspect", "-f", "{{.Id}}", container)
			command(t, "run", "-d", "--name", container+"-participant", "--network", "container:"+id, "--label", "holdfast.drill={}", "--label", "holdfast.drill.server="+id, "--entrypoint", "sleep", "postgres:15", "600")
			d := daemon(t, host, dir)
			if removed, err := d.Clean(t.Context()); err != nil || slices.ContainsFunc(removed, func(what string) bool { return strings.Contains(what, container) }) {
				t.Fatalf("of a run that lives, %v was removed, %v", removed, err)
			}
			_ = child.Process.Kill()
			_ = child.Wait()
			await(t, "the server is gone with the drill", func() bool { return command(t, "ps", "-a", "-q", "--filter", "id="+id) == "" })
			// A drill that uses no containers does it as well.
			removed, err := sandbox.Host{Dir: dir, Daemons: []string{host}}.Clean(t.Context())
			// The participant may have been removed by another package's drill: whoever
			// comes next does it.
			if err != nil || !slices.Contains(removed, filepath.Join(dir, container)) || len(leftover(t, dir)) > 0 || inContainers(t, container) != "" {
				t.Errorf("removed %v, %v; left %v", removed, err, leftover(t, dir))
			}
		})
	}
}

// aDrill is another process that starts a server; early is before the server
// takes connections.
func aDrill(t *testing.T, host, dir string, early bool) (child *exec.Cmd, container string) {
	t.Helper()
	program, _ := os.Executable()
	child = exec.Command(program)
	child.Env = append(os.Environ(), childEnv+"="+dir, "HOLDFAST_TEST_CHILD_DOCKER="+host)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	if early {
		await(t, "the container runs", func() bool {
			for _, at := range leftover(t, dir) {
				container = filepath.Base(at)
			}
			return container != "" && command(t, "ps", "-q", "--filter", "name="+container) != ""
		})
		return child, container
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	at, container, found := strings.Cut(strings.TrimSpace(line), " ")
	if !found || filepath.Base(at) != container {
		t.Fatalf("the child says %q", line)
	}
	return child, container
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// A participant is not started where it is not proven that nothing is reached.
func TestNoParticipantWithoutProof(t *testing.T) {
	t.Parallel()
	d := daemon(t, bundle.Require(t), base(t))
	s, err := d.Start(t.Context(), "a test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop() }()
	s.Isolation.Verdict = holdfast.CannotTell
	curious := sandbox.Participant{Image: d.Image, Who: func(context.Context, func(context.Context, string, string) (net.Conn, error)) (string, string, error) {
		return "", "", fmt.Errorf("Who was called")
	}}
	if _, err := s.Boot(t.Context(), "postgres", curious); holdfast.ClassOf(err) != holdfast.Undetermined || !strings.Contains(err.Error(), "not started") {
		t.Errorf("%v", err)
	}
}
