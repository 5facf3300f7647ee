package compose

import (
	"context"
	"fmt"
	"slices"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/internal/docker"
)

// Engine is a Docker daemon with the containers that Compose created.
type Engine struct{ *docker.Engine }

// Connect finds the daemon as the docker command does (docker.Connect).
func Connect(host string, silence time.Duration) (*Engine, error) {
	e, err := docker.Connect(host, silence)
	if err != nil {
		return nil, err
	}
	return &Engine{e}, nil
}

// Containers inspects every container, running or not.
func (e *Engine) Containers(ctx context.Context) ([]Container, error) {
	out, err := e.list(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, err
	}
	for i := range out {
		if image, ok, err := e.Has(ctx, docker.Image{ID: out[i].ImageID}); err == nil && ok {
			out[i].Digest = image.Digest
		}
	}
	return out, nil
}

// project inspects the containers of one project.
func (e *Engine) project(ctx context.Context, name string) ([]Container, error) {
	out, err := e.everything(ctx, name)
	return slices.DeleteFunc(out, func(c Container) bool { return c.oneOff || isReplaced(c.Name) }), err
}

// everything are the containers of a project, those that were replaced among
// them.
func (e *Engine) everything(ctx context.Context, project string) ([]Container, error) {
	return e.list(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", label+"project="+project)})
}

func (e *Engine) list(ctx context.Context, o client.ContainerListOptions) ([]Container, error) {
	list, err := e.API.ContainerList(ctx, o)
	if err != nil {
		return nil, e.Explain("list the containers of the Docker daemon at "+e.Host(), err)
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

// inspect inspects one container.
func (e *Engine) inspect(ctx context.Context, id string) (Container, error) {
	r, err := e.API.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		if cerrdefs.IsNotFound(err) {
			return Container{}, err
		}
		return Container{}, e.Explain("inspect container "+id, err)
	}
	c, err := parseContainer(r.Raw)
	if err == nil && c.includes() {
		err = e.include(ctx, &c)
	}
	return c, err
}

// start starts a container, if it does not run already; one that was paused goes
// on.
func (e *Engine) start(ctx context.Context, c Container) error {
	if now, err := e.inspect(ctx, c.ID); err == nil && now.State == "paused" {
		_, err := e.API.ContainerUnpause(ctx, c.ID, client.ContainerUnpauseOptions{})
		return e.Explain("unpause container "+c.Name, err)
	}
	_, err := e.API.ContainerStart(ctx, c.ID, client.ContainerStartOptions{})
	return e.Explain("start container "+c.Name, err)
}

// stopTime is how long a container may take to stop before Docker kills it:
// Canton closes its sequencer connections and its database pools first.
const stopTime = 30 * time.Second

// stop stops a container and checks that it stopped.
func (e *Engine) stop(ctx context.Context, c Container) error {
	seconds := int(stopTime.Seconds())
	if _, err := e.API.ContainerStop(ctx, c.ID, client.ContainerStopOptions{Timeout: &seconds}); err != nil {
		return e.Explain("stop container "+c.Name, err)
	}
	now, err := e.inspect(ctx, c.ID)
	if err != nil {
		return err
	}
	if now.Up() {
		return &holdfast.Problem{
			Class: holdfast.Failed,
			What:  "container " + c.Name + " did not stop: it is " + now.State,
			Why:   "It would write into the databases that are being replaced.",
			Do:    "Check `docker logs " + c.Name + "`, stop it by hand, and run the same command again.",
		}
	}
	return nil
}

// restart sets the restart policy of a container. For a program that restarts over
// and over, the engine sometimes fails with various errors at the moment when the
// program ends, so it is tried again for a while.
func (e *Engine) restart(ctx context.Context, c Container, policy Restart) error {
	var err error
	for range 40 {
		_, err = e.API.ContainerUpdate(ctx, c.ID, client.ContainerUpdateOptions{
			RestartPolicy: &container.RestartPolicy{
				Name:              container.RestartPolicyMode(policy.Name),
				MaximumRetryCount: policy.Retries,
			},
		})
		if err == nil || cerrdefs.IsNotFound(err) || client.IsErrConnectionFailed(err) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
	return e.Explain("set the restart policy of container "+c.Name, err)
}

// ended waits for a container that runs once.
func (e *Engine) ended(ctx context.Context, c Container) error {
	wait := e.API.ContainerWait(ctx, c.ID, client.ContainerWaitOptions{
		Condition: container.WaitConditionNotRunning,
	})
	select {
	case err := <-wait.Error:
		return e.Explain("wait for container "+c.Name, err)
	case r := <-wait.Result:
		if r.StatusCode != 0 {
			return &holdfast.Problem{
				Class: holdfast.Failed,
				What: fmt.Sprintf("container %s exited with code %d: %s",
					c.Name, r.StatusCode, e.Complaints(ctx, c.ID)),
				Do: "Read the whole log: `docker logs " + c.Name + "`.",
			}
		}
		return nil
	}
}
