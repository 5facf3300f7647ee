package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	dockerconfig "github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"holdfast"
)

// Engine is a Docker daemon.
type Engine struct {
	api  *client.Client
	host string
}

// Connect finds the daemon as the docker command does: host if it is given,
// else DOCKER_HOST, else the context that DOCKER_CONTEXT or Docker's
// configuration names, else the socket at its usual place. It asks the daemon
// nothing yet.
func Connect(host string) (*Engine, error) {
	options := []client.Opt{client.WithHost(host)}
	if host == "" {
		var err error
		if host, options, err = endpoint(); err != nil {
			return nil, &holdfast.Problem{Class: holdfast.Usage, What: "find the Docker daemon", Err: err,
				Do: "Name it: DOCKER_HOST, or `docker_host:` below `compose:` in holdfast.yaml."}
		}
	}
	api, err := client.New(options...)
	if err != nil {
		return nil, &holdfast.Problem{Class: holdfast.Usage, What: "the address of the Docker daemon, " + host, Err: err, Do: "Want unix:///run/docker.sock, tcp://host:2376 or ssh://user@host."}
	}
	return &Engine{api, cmp.Or(host, client.DefaultDockerHost)}, nil
}

// endpoint is the daemon that the environment or the current context names.
func endpoint() (string, []client.Opt, error) {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		ep := docker.Endpoint{EndpointMeta: docker.EndpointMeta{Host: host}}
		options, err := ep.ClientOpts() // a helper for ssh://
		if strings.HasPrefix(host, "tcp://") {
			options = append(options, client.WithTLSClientConfigFromEnv())
		}
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
	contexts := store.New(filepath.Join(dockerconfig.Dir(), "contexts"), store.NewConfig(func() any { return &map[string]any{} },
		store.EndpointTypeGetter(docker.DockerEndpoint, func() any { return &docker.EndpointMeta{} })))
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
func (e *Engine) Close() error { return e.api.Close() }

// Host is the daemon's address.
func (e *Engine) Host() string { return e.host }

// local says that containers' addresses may be dialled from this machine.
func (e *Engine) local() bool { return strings.HasPrefix(e.host, "unix://") }

// explain says of a failed call what to do about it.
func (e *Engine) explain(what string, err error) error {
	var problem *holdfast.Problem
	if err == nil || errors.Is(err, context.Canceled) || errors.As(err, &problem) {
		return err
	}
	p := &holdfast.Problem{Class: holdfast.Failed, What: what, Err: err}
	switch {
	case errors.Is(err, os.ErrPermission) || strings.Contains(err.Error(), "permission denied"):
		p.Class, p.Do = holdfast.WrongKey, "Run Holdfast as root or as a member of the group docker; membership of that group is as good as root."
	case client.IsErrConnectionFailed(err) || cerrdefs.IsUnavailable(err):
		p.Class, p.Do = holdfast.Unreachable, "Check that the Docker daemon runs (`docker info`) and that DOCKER_HOST or the docker context names it."
	}
	return p
}

// ID names the daemon; it stays the same when the machine restarts.
func (e *Engine) ID(ctx context.Context) (string, error) {
	info, err := e.api.Info(ctx, client.InfoOptions{})
	return info.Info.ID, e.explain("ask the Docker daemon at "+e.host+" who it is", err)
}

// Containers inspects every container there is, running or not.
func (e *Engine) Containers(ctx context.Context) ([]Container, error) {
	out, err := e.list(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Digest = e.digest(ctx, out[i].ImageID)
	}
	return out, nil
}

// project inspects the containers of one project.
func (e *Engine) project(ctx context.Context, name string) ([]Container, error) {
	out, err := e.list(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", label+"project="+name)})
	return slices.DeleteFunc(out, func(c Container) bool { return c.oneOff || isAside(c.Name) }), err
}

func (e *Engine) list(ctx context.Context, o client.ContainerListOptions) ([]Container, error) {
	list, err := e.api.ContainerList(ctx, o)
	if err != nil {
		return nil, e.explain("list the containers of the Docker daemon at "+e.host, err)
	}
	var out []Container
	for _, item := range list.Items {
		c, err := e.inspect(ctx, item.ID)
		if cerrdefs.IsNotFound(err) { // removed a moment ago
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// inspect asks for one container.
func (e *Engine) inspect(ctx context.Context, id string) (Container, error) {
	r, err := e.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		if cerrdefs.IsNotFound(err) {
			return Container{}, err
		}
		return Container{}, e.explain("inspect container "+id, err)
	}
	return parseContainer(r.Raw)
}

// digest is the image's digest in its registry, "" when it was never in one.
func (e *Engine) digest(ctx context.Context, image string) string {
	r, err := e.api.ImageInspect(ctx, image)
	if err != nil || len(r.RepoDigests) == 0 {
		return ""
	}
	_, digest, _ := strings.Cut(r.RepoDigests[0], "@")
	return digest
}

// Run runs a program in a container and returns its exit code. The context
// ends it by closing its input.
func (e *Engine) Run(ctx context.Context, container string, env []string, in io.Reader, out, complaint io.Writer, argv ...string) (int, error) {
	fail := func(err error) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return 0, e.explain("run "+argv[0]+" in container "+container, err)
	}
	made, err := e.api.ExecCreate(ctx, container, client.ExecCreateOptions{Cmd: argv, Env: env, AttachStdin: in != nil, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return fail(err)
	}
	at, err := e.api.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
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
	done, err := e.api.ExecInspect(ctx, made.ID, client.ExecInspectOptions{})
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

// start starts a container; one that runs already is left alone.
func (e *Engine) start(ctx context.Context, c Container) error {
	_, err := e.api.ContainerStart(ctx, c.ID, client.ContainerStartOptions{})
	return e.explain("start container "+c.Name, err)
}

// stopTime is how long a container may take to stop before Docker kills it:
// Canton closes its sequencer connections and its database pools first.
const stopTime = 30 * time.Second

// stop stops a container and makes sure that it has.
func (e *Engine) stop(ctx context.Context, c Container) error {
	seconds := int(stopTime.Seconds())
	if _, err := e.api.ContainerStop(ctx, c.ID, client.ContainerStopOptions{Timeout: &seconds}); err != nil {
		return e.explain("stop container "+c.Name, err)
	}
	now, err := e.inspect(ctx, c.ID)
	if err != nil {
		return err
	}
	if now.Up() {
		return &holdfast.Problem{Class: holdfast.Failed, What: "container " + c.Name + " does not stop: it is " + now.State,
			Why: "It would write into the databases that are being replaced.", Do: "Look at `docker logs " + c.Name + "`, stop it by hand, and run the same command again."}
	}
	return nil
}

// restart gives a container a restart policy. The engine fails at that, in
// several words, in the instant in which a program that starts over and over has
// ended and is still thought to run, so it is asked again for a while.
func (e *Engine) restart(ctx context.Context, c Container, policy Restart) error {
	var err error
	for range 40 {
		_, err = e.api.ContainerUpdate(ctx, c.ID, client.ContainerUpdateOptions{RestartPolicy: &container.RestartPolicy{
			Name: container.RestartPolicyMode(policy.Name), MaximumRetryCount: policy.Retries}})
		if err == nil || cerrdefs.IsNotFound(err) || client.IsErrConnectionFailed(err) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
	return e.explain("set the restart policy of container "+c.Name, err)
}

// complaints are the last lines that a container printed.
func (e *Engine) complaints(ctx context.Context, c Container) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	r, err := e.api.ContainerLogs(ctx, c.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "5"})
	if err != nil {
		return ""
	}
	defer func() { _ = r.Close() }()
	var text strings.Builder
	_, _ = stdcopy.StdCopy(&text, &text, io.LimitReader(r, 16<<10))
	lines := strings.FieldsFunc(text.String(), func(r rune) bool { return r == '\n' })
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}

// exec opens a two-way stream to a program in a container.
func (e *Engine) exec(ctx context.Context, container string, argv ...string) (net.Conn, error) {
	made, err := e.api.ExecCreate(ctx, container, client.ExecCreateOptions{Cmd: argv, AttachStdin: true, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return nil, e.explain("run "+argv[0]+" in container "+container, err)
	}
	at, err := e.api.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		return nil, e.explain("run "+argv[0]+" in container "+container, err)
	}
	return &stream{Conn: at.Conn, from: at.Reader}, nil
}

// sameMachine says that a path on the daemon's machine is one on ours.
func (e *Engine) sameMachine() bool {
	_, inside := os.Stat("/.dockerenv")
	return e.local() && inside != nil
}

// ended waits for a container that does its work once.
func (e *Engine) ended(ctx context.Context, c Container) error {
	wait := e.api.ContainerWait(ctx, c.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case err := <-wait.Error:
		return e.explain("wait for container "+c.Name, err)
	case r := <-wait.Result:
		if r.StatusCode != 0 {
			return &holdfast.Problem{Class: holdfast.Failed, What: fmt.Sprintf("container %s ended with exit code %d: %s", c.Name, r.StatusCode, e.complaints(ctx, c)),
				Do: "`docker logs " + c.Name + "` has the whole of it."}
		}
		return nil
	}
}
