package bundle

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// DefaultProject is the project name in the bundle's compose file. Two bundles
// of that name cannot be up at the same time: a second user waits.
const DefaultProject = "splice-validator"

// Options shape a bundle. The zero value is one with a project name of its own,
// without authentication, whose participant's database is called participant.
type Options struct {
	Project    string            // "" for a name of its own; DefaultProject for the one in the compose file
	PartyHint  string            // start.sh -p; "" for demo-validator-1
	Identifier string            // start.sh -P; "" for the party hint
	Migration  string            // start.sh -m, "4"; "" leaves it out
	Flags      []string          // of start.sh, in addition to those
	Postgres   string            // major of the database's image; "" for 15
	Settings   map[string]string // of .env, instead of what is shipped: another database server, an issuer
	Stubborn   string            // programs that ignore the request to stop: "participant validator"
	Grace      time.Duration     // before the validator app makes an identity; 0 for half a second
	Disk       int64             // bytes of a small disk for the database's volume; 0 for the daemon's
	DockerHost string            // of a daemon behind a Cable; "" for the test bed's own
}

// Bundle is one compose deployment.
type Bundle struct {
	Project string
	Dir     string // with compose.yaml, .env and start.sh
	BindIP  string // where nginx's port 80 is published

	options Options
	env     []string
}

// Up unpacks a bundle and starts it as an operator does the first time; it
// returns when the validator app is ready. Everything goes with the test: the
// containers, the volumes, the networks.
func Up(t testing.TB, options Options) *Bundle {
	t.Helper()
	b := Unpack(t, options)
	b.Begin(t)
	return b
}

// Begin runs start.sh until everything is healthy. On a machine that is busy
// with other tests a program may give up before its database is there; as an
// operator does, start.sh is run again.
func (b *Bundle) Begin(t testing.TB) {
	t.Helper()
	for tries := 3; ; tries-- {
		err := b.Start(context.Background())
		if err == nil {
			return
		}
		if tries == 1 {
			t.Fatal(err)
		}
		t.Log(err)
	}
}

// Unpack is Up without the start: a bundle that was downloaded.
func Unpack(t testing.TB, options Options) *Bundle {
	t.Helper()
	Require(t)
	if err := prepare(); err != nil {
		t.Fatal(err)
	}
	number := make([]byte, 3)
	rand.Read(number)
	b := &Bundle{options: options, Project: cmp.Or(options.Project, "test-"+hex.EncodeToString(number))}
	b.BindIP = fmt.Sprintf("127.%d.%d.%d", 1+number[0]%250, number[1], 1+number[2]%250)
	if b.Project == DefaultProject {
		b.BindIP = "127.0.0.1"
		unlock, err := exclusive(DefaultProject)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(unlock)
	}
	if err := b.unpack(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	b.env = b.environ()
	if options.Disk > 0 {
		b.smallDisk(t, options.Disk)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the containers of %s said:\n%s", b.Project, b.logs(context.Background()))
		}
		if err := b.remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Elsewhere unpacks the bundle once more, as an operator does on a new machine:
// in another directory, with the .env that is shipped, under a project's name
// of its own. Its ports are published where the first one's were.
func (b *Bundle) Elsewhere(t testing.TB) *Bundle {
	t.Helper()
	o := b.options
	o.Project, o.Settings = b.Project+"-again", nil
	again := Unpack(t, o)
	again.BindIP = b.BindIP
	again.env = again.environ()
	return again
}

// unpack writes the files where the published archive has them.
func (b *Bundle) unpack(root string) error {
	root = filepath.Join(root, "splice-node")
	b.Dir = filepath.Join(root, "docker-compose", "validator")
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return err
	}
	entries, err := fs.ReadDir(files, "files/validator")
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, err := fs.ReadFile(files, "files/validator/"+e.Name())
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if strings.HasSuffix(e.Name(), ".sh") {
			mode = 0o755
		}
		if e.Name() == ".env" {
			text = []byte(b.settings(string(text)))
		}
		if err := os.WriteFile(filepath.Join(b.Dir, e.Name()), text, mode); err != nil {
			return err
		}
	}
	if err := reachable(b.Dir); err != nil {
		return err
	}
	version, err := fs.ReadFile(files, "files/VERSION")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "VERSION"), []byte(strings.TrimSpace(string(version))), 0o644)
}

// reachable opens a temporary directory to the users of containers that mount
// files in it. What is open already, such as a directory that all share, stays as it is.
func reachable(dir string) error {
	const others = 0o005
	for ; dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		is, err := os.Stat(dir)
		if err == nil && is.Mode()&others != others {
			err = os.Chmod(dir, 0o755)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settings replaces values of the shipped .env.
func (b *Bundle) settings(text string) string {
	lines := strings.Split(text, "\n")
	set := map[string]string{"SPLICE_POSTGRES_VERSION": cmp.Or(b.options.Postgres, "15")}
	for name, value := range b.options.Settings {
		set[name] = value
	}
	for n, line := range lines {
		if name, _, ok := strings.Cut(line, "="); ok {
			if value, ok := set[name]; ok {
				lines[n] = name + "=" + value
				delete(set, name)
			}
		}
	}
	for name, value := range set {
		lines = append(lines, name+"="+value)
	}
	return strings.Join(lines, "\n")
}

// environ is the environment of an operator's shell.
func (b *Bundle) environ() []string {
	env := append(Environ(), "HOST_BIND_IP="+b.BindIP, "IMITATION_STUBBORN="+b.options.Stubborn,
		"IMITATION_GRACE="+cmp.Or(b.options.Grace, 500*time.Millisecond).String())
	if b.Project != DefaultProject {
		env = append(env, "COMPOSE_PROJECT_NAME="+b.Project)
	}
	if b.options.DockerHost != "" {
		env = append(env, "DOCKER_HOST="+b.options.DockerHost)
	}
	return env
}

// Environ is the environment in which `docker compose` and start.sh speak of
// this bundle: the daemon, the project's name, where ports are published.
func (b *Bundle) Environ() []string { return slices.Clone(b.env) }

// Flags are the arguments of start.sh that this node is started with; given
// flags replace those of the same name.
func (b *Bundle) Flags(instead ...string) []string {
	flags := []string{"-s", "https://sv.sv-1.example.com", "-o", "", "-p",
		cmp.Or(b.options.PartyHint, "demo-validator-1"), "-w"}
	if b.options.Identifier != "" {
		flags = append(flags, "-P", b.options.Identifier)
	}
	if b.options.Migration != "" {
		flags = append(flags, "-m", b.options.Migration)
	}
	return slices.Concat(flags, b.options.Flags, instead) // the last of a name wins
}

// Start runs start.sh with this node's flags and waits until it is healthy;
// further flags come last, where they win.
func (b *Bundle) Start(ctx context.Context, flags ...string) error {
	return b.Script(ctx, "start.sh", b.Flags(flags...)...)
}

// Down runs stop.sh: the containers are gone, the volumes stay.
func (b *Bundle) Down(ctx context.Context) error { return b.Script(ctx, "stop.sh") }

// Script runs one of the bundle's scripts in the bundle's directory.
func (b *Bundle) Script(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(b.Dir, name), args...)
	cmd.Dir, cmd.Env = b.Dir, b.env
	_, err := run(ctx, cmd)
	return err
}

// Compose runs `docker compose` in the bundle's directory, as an operator does
// without the scripts: with nothing of what start.sh exports.
func (b *Bundle) Compose(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", append([]string{"compose"}, args...)...)
	cmd.Dir, cmd.Env = b.Dir, b.env
	return run(ctx, cmd)
}

// Docker runs a command of Docker.
func (b *Bundle) Docker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = b.env
	return run(ctx, cmd)
}

// Container is the name of a service's container.
func (b *Bundle) Container(service string) string { return b.Project + "-" + service + "-1" }

// Volume is the real name of one of the bundle's volumes.
func (b *Bundle) Volume(name string) string { return b.Project + "_" + name }

// Network is the real name of the bundle's network.
func (b *Bundle) Network() string { return b.Project + "_splice_validator" }

// Halt stops containers and leaves them there, as `docker compose stop` does;
// all of them if none is named.
func (b *Bundle) Halt(ctx context.Context, services ...string) error {
	names, err := b.containers(ctx, services)
	if err != nil || len(names) == 0 {
		return err
	}
	_, err = b.Docker(ctx, append([]string{"stop", "-t", "10"}, names...)...)
	return err
}

// Resume starts containers that were halted, and waits until they are healthy.
func (b *Bundle) Resume(ctx context.Context, services ...string) error {
	names, err := b.containers(ctx, services)
	if err != nil || len(names) == 0 {
		return err
	}
	if _, err := b.Docker(ctx, append([]string{"start"}, names...)...); err != nil {
		return err
	}
	for _, name := range names {
		if strings.Contains(name, "-chown-") {
			continue
		}
		if err := b.awaitState(ctx, name, "healthy"); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bundle) containers(ctx context.Context, services []string) ([]string, error) {
	if len(services) == 0 {
		out, err := b.Docker(ctx, "ps", "-a", "--filter", "label=com.docker.compose.project="+b.Project, "--format",
			"{{.Names}}")
		return strings.Fields(out), err
	}
	var names []string
	for _, service := range services {
		names = append(names, b.Container(service))
	}
	return names, nil
}

// State is what the daemon says about a service's container: its health if it
// is asked for it, otherwise running, restarting or exited; "" without one.
func (b *Bundle) State(ctx context.Context, service string) string {
	return b.state(ctx, b.Container(service))
}

func (b *Bundle) state(ctx context.Context, container string) string {
	c, err := b.inspect(ctx, container)
	switch {
	case err != nil:
		return ""
	case c.State.Running && !c.State.Restarting && c.State.Health != nil:
		return c.State.Health.Status
	}
	return c.State.Status
}

// described is what the daemon says of a container.
type described struct {
	State struct {
		Status              string
		Running, Restarting bool
		Health              *struct{ Status string }
	}
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

// inspect asks the daemon itself: a docker command for each look would take more
// of the machine than what is looked at.
func (b *Bundle) inspect(ctx context.Context, container string) (c described, err error) {
	socket := strings.TrimPrefix(cmp.Or(b.options.DockerHost, os.Getenv("HOLDFAST_TEST_DOCKER")), "unix://")
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	at := fmt.Sprintf("http://docker/containers/%s/json", url.PathEscape(container))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return c, err
	}
	response, err := client.Do(request)
	if err != nil {
		return c, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return c, fmt.Errorf("inspect container %s: %s", container, response.Status)
	}
	return c, json.NewDecoder(response.Body).Decode(&c)
}

// patience is how long anything may take on a machine that is busy with other
// tests; what is as it should be is seen at once.
const patience = 4 * time.Minute

// awaitState waits for a container's state.
func (b *Bundle) awaitState(ctx context.Context, container, want string) error {
	deadline := time.Now().Add(patience)
	for state := ""; ; {
		if state = b.state(ctx, container); state == want {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("container %s is %q and not %q after %s", container, state, want, patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// Exec runs a program in a service's container and returns what it printed.
func (b *Bundle) Exec(ctx context.Context, service string, args ...string) (string, error) {
	return b.Docker(ctx, append([]string{"exec", b.Container(service)}, args...)...)
}

// Logs is what a service's container has said.
func (b *Bundle) Logs(ctx context.Context, service string) string {
	cmd := exec.CommandContext(ctx, "docker", "logs", "--tail", "30", b.Container(service))
	cmd.Env = b.env
	out, _ := cmd.CombinedOutput()
	return string(out)
}

func (b *Bundle) logs(ctx context.Context) string {
	var all strings.Builder
	for _, service := range []string{"postgres-splice", "participant", "validator"} {
		fmt.Fprintf(&all, "--- %s (%s)\n%s", service, b.State(ctx, service), b.Logs(ctx, service))
	}
	return all.String()
}

// Address is a service's address on the bundle's network. Where the daemon's
// host is (Main), it is reached.
func (b *Bundle) Address(ctx context.Context, service string) (string, error) {
	c, err := b.inspect(ctx, b.Container(service))
	if err != nil {
		return "", err
	}
	for _, name := range slices.Sorted(maps.Keys(c.NetworkSettings.Networks)) {
		if address := c.NetworkSettings.Networks[name].IPAddress; address != "" {
			return address, nil
		}
	}
	return "", fmt.Errorf("container %s has no address", b.Container(service))
}

// remove takes away whatever carries the project's label, and what a restore
// may have left next to it.
func (b *Bundle) remove(ctx context.Context) error {
	env := append(slices.Clone(b.env), "DOCKER_HOST="+os.Getenv("HOLDFAST_TEST_DOCKER"))
	var failures []error
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ps", "-aq"}, []string{"rm", "-f", "-v"}},
		{[]string{"volume", "ls", "-q"}, []string{"volume", "rm", "-f"}},
		{
			[]string{"volume", "ls", "-q", "--filter", "label=holdfast.project=" + b.Project},
			[]string{"volume", "rm", "-f"},
		},
		{[]string{"network", "ls", "-q"}, []string{"network", "rm"}},
	} {
		if len(kind.list) < 4 {
			kind.list = append(kind.list, "--filter", "label=com.docker.compose.project="+b.Project)
		}
		list := exec.CommandContext(ctx, "docker", kind.list...)
		list.Env = env
		out, err := run(ctx, list)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if found := strings.Fields(out); len(found) > 0 {
			remove := exec.CommandContext(ctx, "docker", append(kind.remove, found...)...)
			remove.Env = env
			_, err := run(ctx, remove)
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}
