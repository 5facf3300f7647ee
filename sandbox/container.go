package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/internal/docker"
	"holdfast/internal/libpq"
	"holdfast/internal/memory"
)

// Daemon starts sandbox servers in containers of a Docker daemon, without a
// network.
type Daemon struct {
	Engine   *docker.Engine
	Image    docker.Image // of Postgres, present in the daemon
	Dir      string       // for the directories of the sockets; "": the system's for temporary files
	KeepFree int64        // bytes to keep free on a live server's disk; 0: a tenth, at most 20 GiB
	Share    Share
}

// serve creates a cluster and runs its server until standard input closes: when
// the drill closes it, or dies. A shell starts its background processes with
// SIGQUIT ignored, so a signal before Postgres handles it is lost, and is sent
// again. The client programs look for the socket in Postgres's default directory.
const serve = `set -e
export PGDATA="${PGDATA:-/var/lib/postgresql/data}"
command -v initdb >/dev/null || PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
initdb -U postgres -A trust -E UTF8 --locale=C --no-sync >/dev/null
sockets=$(postgres -C unix_socket_directories)
[ ! -d "$0" ] || sockets=$sockets,$0
exec 3<&0
postgres -c "unix_socket_directories=$sockets" "$@" </dev/null 3<&- &
server=$!
{ cat <&3 >/dev/null; while kill -QUIT $server; do sleep 1; done; } 2>/dev/null &
exec 3<&-
wait $server`

// shared is the path in a container of the directory that it shares with us.
const shared = "/holdfast"

// Start starts a server. The purpose goes into its label.
func (d Daemon) Start(ctx context.Context, purpose string) (s *Server, err error) {
	own := newLabel(purpose)
	own.Docker = d.Engine.Host()
	dir, err := Host{Dir: d.Dir}.directory(own)
	if err != nil {
		return nil, err
	}
	b := &box{engine: d.Engine, name: filepath.Base(dir)}
	s = &Server{Dir: dir, instance: b}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	socket, err := d.socket(ctx, dir)
	if err != nil {
		return s, err
	}
	free, cores, err := d.resources(ctx)
	if err != nil {
		return s, err
	}
	args := append([]string{shared}, settings(d.Share.memory(free), d.Share.cores(cores), "listen_addresses=127.0.0.1")...)
	spec := d.spec(purpose, serve, args...)
	spec.HostConfig.Resources = d.Share.resources(cores)
	if socket != "" {
		spec.HostConfig.Binds = []string{socket + ":" + shared + ":z"} // z: SELinux lets the container use it
	}
	if err := b.start(ctx, spec); err != nil {
		return s, err
	}
	info, err := libpq.Parse("host=" + b.name + " port=5432 user=postgres dbname=postgres sslmode=disable")
	if err != nil {
		return s, err
	}
	s.Address = libpq.Address{Conninfo: info, Dial: b.dialler(socket), Run: b.run}
	if err := s.ready(ctx); err != nil {
		return s, err
	}
	s.Version += ", in a container of " + d.Image.String()
	s.Isolation, err = Isolation(ctx, d.Engine, b.name)
	return s, err
}

// spec is a container of the image without a network and without privileges. The
// kernel kills it first when memory is short.
func (d Daemon) spec(purpose, script string, args ...string) client.ContainerCreateOptions {
	user := d.Image.User
	if user == "" || user == "root" || user == "0" {
		user = "postgres" // Postgres refuses to run as root
	}
	return client.ContainerCreateOptions{
		Config: &container.Config{
			Image:        d.Image.ID,
			User:         user,
			Entrypoint:   []string{"/bin/sh", "-c", script},
			Cmd:          args,
			Labels:       labels(purpose),
			OpenStdin:    true,
			StdinOnce:    true,
			AttachStdin:  true,
			AttachStdout: true,
			AttachStderr: true,
			Healthcheck:  &container.HealthConfig{Test: []string{"NONE"}},
		},
		HostConfig: &container.HostConfig{
			NetworkMode: "none",
			AutoRemove:  true,
			ShmSize:     1 << 30,
			OomScoreAdj: 1000,
			LogConfig:   container.LogConfig{Type: "none"},
			CapDrop:     []string{"ALL"},
			SecurityOpt: []string{"no-new-privileges"},
		},
	}
}

// resources are what the daemon lets a container of so many processors have.
func (s Share) resources(cores int) container.Resources {
	r := container.Resources{Memory: s.Memory, CPUShares: lastShares}
	if s.Processors > 0 {
		r.NanoCPUs = int64(s.cores(cores)) * 1e9
	}
	return r
}

// socket creates the directory that the container shares with us, if the daemon
// has our paths. Only we and the container can open it.
func (d Daemon) socket(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "s")
	if !d.Engine.SameMachine(ctx) || len(path) > most {
		return "", nil
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", err
	}
	return path, os.Chmod(path, 0o777) //nolint:gosec // the parent directory is private
}

// resources are the memory available without swapping, and the cores.
func (d Daemon) resources(ctx context.Context) (free int64, cores int, err error) {
	r, err := d.Engine.API.Info(ctx, client.InfoOptions{})
	if err != nil {
		return 0, 0, d.Engine.Explain("read the resources of the Docker daemon at "+d.Engine.Host(), err)
	}
	free = r.Info.MemTotal / 4
	if d.Engine.SameMachine(ctx) {
		free = memory.OfMachine()
	}
	return free, r.Info.NCPU, nil
}

// shareTimeout is how long to wait for the socket in the shared directory. Later
// the directory counts as not shared, as with a daemon in a virtual machine.
const shareTimeout = 20 * time.Second

// dialler connects through the shared socket or, without one, through a program
// in the container.
func (b *box) dialler(socket string) func(ctx context.Context, _, _ string) (net.Conn, error) {
	began := time.Now()
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		if socket != "" {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(socket, ".s.PGSQL.5432"))
			if err == nil || time.Since(began) < shareTimeout {
				return conn, err
			}
		}
		return b.engine.Dial(ctx, b.name, "5432")
	}
}

// run is a libpq.Runner.
func (b *box) run(
	ctx context.Context, env []string, in io.Reader, out, complaint io.Writer, argv ...string,
) (int, error) {
	return b.engine.Run(ctx, b.name, env, in, out, complaint, argv...)
}

// Major is the major version of Postgres in an image; 0 if unknown.
func Major(i docker.Image) int {
	for _, pair := range i.Env {
		if text, ok := strings.CutPrefix(pair, "PG_MAJOR="); ok {
			n, _ := strconv.Atoi(text)
			return n
		}
	}
	return 0
}

// probeScript prints the flags of every interface, the kernel's routing tables,
// the Unix sockets of this network namespace and those that a path leads to, and
// the results of two attempts to reach a network.
const probeScript = `cd /sys/class/net && for n in *; do f=1; read -r f <"$n/flags"; echo "interface $n $f"; done
for t in route ipv6_route; do [ ! -r /proc/net/$t ] || while read -r line; do echo "route $line"; done </proc/net/$t; done
[ ! -r /proc/net/unix ] || while read -r _ _ _ _ _ _ _ name; do [ -z "$name" ] || echo "own $name"; done </proc/net/unix
if [ -r /proc/net/unix ] && command -v find >/dev/null; then
find / \( -path /proc -o -path /sys \) -prune -o -type s -exec echo socket {} \; 2>/dev/null; echo searched yes; fi
command -v bash >/dev/null || exit 0
try() { m=$(bash -c ': >"$0"' "$2" 2>&1) && m=reached; echo "$1 ${m##*: }"; }
try loopback "/dev/tcp/127.0.0.1/$1"
try anywhere "/dev/udp/$2/9"`

// Isolation proves from within a running container that it reaches no network.
func Isolation(ctx context.Context, e *docker.Engine, name string) (holdfast.Finding, error) {
	return testIsolation("in the container, before the restore", func(address string) (*probe, error) {
		_, port, _ := net.SplitHostPort(address)
		var out, complaint strings.Builder
		code, err := e.Run(ctx, name, nil, nil, &out, &complaint, "sh", "-c", probeScript, "sh", port, nobody)
		if err != nil {
			return nil, err
		}
		if code != 0 {
			return nil, fmt.Errorf("test the network of container %s: exit code %d: %s", name, code, complaint.String())
		}
		return parseProbe(out.String()), nil
	})
}

var interfaceLine = regexp.MustCompile(`^interface (\S+) (\S+)$`)

// parseProbe parses the output of probeScript.
func parseProbe(text string) *probe {
	p := &probe{Isolated: true}
	var own, visible []string
	for _, line := range strings.Split(text, "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "interface":
			if m := interfaceLine.FindStringSubmatch(line); m != nil {
				flags, err := strconv.ParseUint(m[2], 0, 32)
				p.Interfaces = append(p.Interfaces, nic{m[1], err != nil || flags&uint64(net.FlagUp) != 0})
			}
		case "route":
			p.Routes = append(p.Routes, routes(rest)...)
		case "own":
			own = append(own, rest)
		case "socket":
			visible = append(visible, rest)
		case "searched":
			p.Sockets = &sockets{}
		case "loopback":
			p.Loopback = rest
		case "anywhere":
			p.Anywhere = rest
		}
	}
	if p.Sockets != nil {
		p.Sockets.foreign(own, visible)
	}
	if len(p.Interfaces) == 0 { // without even a loopback, nothing was read
		p.Loopback, p.Anywhere = "", ""
	}
	return p
}
