package compose

import (
	"context"
	"fmt"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"holdfast"
)

// helperLabel marks a helper container.
const helperLabel = "holdfast.helper"

// help runs a shell's script as root in a container of its own: of an image
// that is there, with the given mounts and without a network. It returns the
// script's exit code and what it said. One that an earlier process has started,
// and that may still be at work, is waited for first.
func (e *Engine) help(ctx context.Context, project, image string, binds []string, script string, args ...string) (code int, said string, err error) {
	name := project + "-holdfast-helper"
	if err := e.awaitHelper(ctx, name); err != nil {
		return 0, "", err
	}
	made, err := e.API.ContainerCreate(ctx, client.ContainerCreateOptions{Name: name,
		Config: &container.Config{Image: image, User: "0:0", Entrypoint: []string{"/bin/sh", "-euc", script, "sh"}, Cmd: args,
			Env: []string{"LC_ALL=C"}, Labels: map[string]string{helperLabel: project}},
		HostConfig: &container.HostConfig{Binds: binds, NetworkMode: "none", SecurityOpt: []string{"label=disable"},
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled}}})
	if err != nil {
		return 0, "", e.Explain("create container "+name, err)
	}
	if _, err := e.API.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		return 0, "", e.Explain("start container "+name, err)
	}
	if code, err = e.outcome(ctx, made.ID); err != nil {
		return 0, "", err
	}
	said = e.saying(ctx, made.ID)
	return code, said, e.dismiss(ctx, made.ID)
}

// awaitHelper waits for the container of an earlier call, if there is one, and
// removes it.
func (e *Engine) awaitHelper(ctx context.Context, name string) error {
	c, err := e.API.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return e.Explain("inspect container "+name, err)
	}
	if c.Container.Config == nil || c.Container.Config.Labels[helperLabel] == "" {
		return &holdfast.Problem{Class: holdfast.Refused, What: "there is a container " + name + " that Holdfast did not make",
			Why: "Holdfast needs that name for a moment.", Do: "Rename it: `docker rename " + name + " OTHER`."}
	}
	if _, err := e.outcome(ctx, c.Container.ID); err != nil {
		return err
	}
	return e.dismiss(ctx, c.Container.ID)
}

// outcome waits until a container does not run, and returns its exit code.
func (e *Engine) outcome(ctx context.Context, id string) (int, error) {
	wait := e.API.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case err := <-wait.Error:
		return 0, e.Explain("wait for container "+id, err)
	case r := <-wait.Result:
		return int(r.StatusCode), nil
	}
}

// saying is the last that a container printed.
func (e *Engine) saying(ctx context.Context, id string) string {
	r, err := e.API.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "20"})
	if err != nil {
		return fmt.Sprintf("(what it said cannot be read: %v)", err)
	}
	defer func() { _ = r.Close() }()
	var text strings.Builder
	_, _ = stdcopy.StdCopy(&text, &text, r)
	return strings.TrimSpace(text.String())
}

// dismiss removes a helper container, with the nameless volumes that
// its image asks for.
func (e *Engine) dismiss(ctx context.Context, id string) error {
	_, err := e.API.ContainerRemove(ctx, id, client.ContainerRemoveOptions{RemoveVolumes: true})
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return e.Explain("remove container "+id, err)
}
