package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	dockerconfig "github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/cli/opts"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"holdfast"
)

// Engine is a Docker daemon.
type Engine struct {
	API     *client.Client
	host    string
	silence time.Duration
}

// Connect finds the daemon as the docker command does: host if it is given, else
// DOCKER_HOST, else the context that DOCKER_CONTEXT or Docker's configuration
// names, else the default socket. It sends no request yet. A daemon that sends
// nothing for as long as silence is given up, unless it answers a ping meanwhile;
// 0 is watchdog.DefaultLimit.
func Connect(host string, silence time.Duration) (*Engine, error) {
	host, options, err := endpoint(cmp.Or(host, os.Getenv(client.EnvOverrideHost)))
	if err != nil {
		return nil, &holdfast.Problem{
			Class: holdfast.Usage,
			What:  "cannot find the Docker daemon",
			Err:   err,
			Do:    "Name it: DOCKER_HOST, or `docker_host:` below `compose:` in holdfast.yaml.",
		}
	}
	api, err := guarded(host, silence, options)
	if err != nil {
		return nil, &holdfast.Problem{
			Class: holdfast.Usage,
			What:  "the address of the Docker daemon, " + host + ", is invalid",
			Err:   err,
			Do:    "Use an address such as unix:///run/docker.sock, tcp://host:2376 or ssh://user@host.",
		}
	}
	return &Engine{api, cmp.Or(host, client.DefaultDockerHost), silence}, nil
}

// optionsFor are the client's options for an address. ssh:// uses the ssh command
// and `docker system dial-stdio` on the other machine.
func optionsFor(host string) ([]client.Opt, error) {
	ep := docker.Endpoint{EndpointMeta: docker.EndpointMeta{Host: host}}
	options, err := ep.ClientOpts()
	if strings.HasPrefix(host, "tcp://") {
		options = append(options, client.WithTLSClientConfigFromEnv())
	}
	return options, err
}

// endpoint is the daemon at an address, or the one that the current context
// names.
func endpoint(named string) (string, []client.Opt, error) {
	if named != "" {
		host, err := opts.ParseHost(os.Getenv(client.EnvTLSVerify) != "", named)
		if err != nil {
			return "", nil, err
		}
		options, err := optionsFor(host)
		return host, options, err
	}
	name := os.Getenv("DOCKER_CONTEXT")
	if name == "" {
		if file, err := dockerconfig.Load(dockerconfig.Dir()); err == nil {
			name = file.CurrentContext
		}
	}
	if name == "" || name == "default" {
		return client.DefaultDockerHost, []client.Opt{client.WithHost(client.DefaultDockerHost)}, nil
	}
	contexts := store.New(filepath.Join(dockerconfig.Dir(), "contexts"), store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter(docker.DockerEndpoint, func() any { return &docker.EndpointMeta{} }),
	))
	meta, err := contexts.GetMetadata(name)
	if err != nil {
		return "", nil, fmt.Errorf("context %s: %w", name, err)
	}
	at, err := docker.EndpointFromContext(meta)
	if err != nil {
		return "", nil, fmt.Errorf("context %s: %w", name, err)
	}
	ep, err := docker.WithTLSData(contexts, name, at)
	if err != nil {
		return "", nil, fmt.Errorf("context %s: %w", name, err)
	}
	options, err := ep.ClientOpts()
	return at.Host, options, err
}

// Close ends the connections to the daemon.
func (e *Engine) Close() error { return e.API.Close() }

// Silence is how long the daemon, and what is reached through it, may be silent.
func (e *Engine) Silence() time.Duration { return e.silence }

// Host is the daemon's address.
func (e *Engine) Host() string { return e.host }

// Local reports whether containers' addresses may be dialled from this machine.
func (e *Engine) Local() bool { return strings.HasPrefix(e.host, "unix://") }

// Explain turns the error of a call into a Problem with advice. What says what
// failed: "start container NAME".
func (e *Engine) Explain(what string, err error) error {
	var problem *holdfast.Problem
	if err == nil || errors.Is(err, context.Canceled) || errors.As(err, &problem) {
		return err
	}
	p := &holdfast.Problem{Class: holdfast.Failed, What: what, Err: err}
	switch {
	case client.IsErrConnectionFailed(err) && strings.Contains(err.Error(), "permission denied"):
		// This is about the socket, not in an answer of the daemon.
		p.Class = holdfast.WrongKey
		p.Do = "Run Holdfast as root or as a member of the group docker. Such a member has the rights of root."
	case strings.HasPrefix(e.host, "ssh://") && sshFailed(err):
		p.Class = holdfast.Unreachable
		p.Do = "Try by hand: `DOCKER_HOST=" + e.host + " docker info`. " +
			"That machine must accept this user's key without a prompt, and must have the docker command."
	case client.IsErrConnectionFailed(err) || cerrdefs.IsUnavailable(err):
		p.Class = holdfast.Unreachable
		p.Do = "Check that the Docker daemon runs (`docker info`) and that DOCKER_HOST or the docker context names it."
	}
	return p
}

func sshFailed(err error) bool {
	return client.IsErrConnectionFailed(err) || strings.Contains(err.Error(), "command [ssh")
}

// SameMachine reports whether a path on the daemon's machine is the same path here:
// the daemon has a local socket, and its data directory exists here. In a
// container that has only the socket it does not.
func (e *Engine) SameMachine(ctx context.Context) bool {
	if !e.Local() {
		return false
	}
	r, err := e.API.Info(ctx, client.InfoOptions{})
	if err != nil || r.Info.DockerRootDir == "" {
		return false
	}
	_, err = os.Stat(r.Info.DockerRootDir)
	return err == nil
}

// Names identify a daemon. ID survives a restart of the machine, but copied
// machines share it, and so do daemons of one machine (before Docker 23, of one
// /etc/docker/key.json). Machine is the machine's name and the daemon's data
// directory.
type Names struct{ ID, Machine string }

// Names reads the daemon's names.
func (e *Engine) Names(ctx context.Context) (Names, error) {
	r, err := e.API.Info(ctx, client.InfoOptions{})
	if err != nil {
		return Names{}, e.Explain("read the name of the Docker daemon at "+e.host, err)
	}
	return Names{ID: r.Info.ID, Machine: r.Info.Name + ":" + r.Info.DockerRootDir}, nil
}

// Run runs a program in a container and returns its exit code. When the context
// ends, its input is closed.
func (e *Engine) Run(
	ctx context.Context, container string, env []string,
	in io.Reader, out, complaint io.Writer, argv ...string,
) (int, error) {
	fail := func(err error) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return 0, e.Explain("run "+argv[0]+" in container "+container, err)
	}
	created, err := e.API.ExecCreate(ctx, container, client.ExecCreateOptions{
		Cmd:          argv,
		Env:          env,
		AttachStdin:  in != nil,
		AttachStdout: true,
		AttachStderr: true,
	})
	if err != nil {
		return fail(err)
	}
	at, err := e.API.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return fail(err)
	}
	stop := context.AfterFunc(ctx, at.Close)
	defer stop()
	defer at.Close()
	if in != nil {
		go func() {
			_, _ = io.Copy(at.Conn, in)
			_ = at.CloseWrite()
		}()
	}
	if _, err := stdcopy.StdCopy(orDiscard(out), orDiscard(complaint), at.Reader); err != nil {
		return fail(err)
	}
	done, err := e.API.ExecInspect(ctx, created.ID, client.ExecInspectOptions{})
	if err != nil {
		return fail(err)
	}
	return done.ExitCode, nil
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// Complaints are the last lines that a container printed.
func (e *Engine) Complaints(ctx context.Context, container string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	r, err := e.API.ContainerLogs(ctx, container, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Tail: "5",
	})
	if err != nil {
		return ""
	}
	defer func() { _ = r.Close() }()
	var text strings.Builder
	_, _ = stdcopy.StdCopy(&text, &text, io.LimitReader(r, 16<<10))
	lines := strings.FieldsFunc(text.String(), func(r rune) bool { return r == '\n' })
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}
