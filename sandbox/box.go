package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/internal/docker"
)

// labelKey marks what drills create in a Docker daemon.
const labelKey = "holdfast.drill"

func labels(purpose string) map[string]string {
	text, _ := json.Marshal(newLabel(purpose)) // of plain values
	return map[string]string{labelKey: string(text)}
}

// box is a container that lives as long as our connection to it. The daemon
// removes it, with its volumes, when it exits.
type box struct {
	engine       *docker.Engine
	name         string
	participants []string // containers in its network namespace
	attached     *client.HijackedResponse
	over         chan struct{}
	output       tail
}

// start creates and starts the container. It attaches before the start, so that
// the container never runs without us.
func (b *box) start(ctx context.Context, spec client.ContainerCreateOptions) error {
	b.over = make(chan struct{})
	spec.Name = b.name
	api := b.engine.API
	if _, err := api.ContainerCreate(ctx, spec); err != nil {
		return b.engine.Explain("create container "+b.name, err)
	}
	at, err := api.ContainerAttach(ctx, b.name, client.ContainerAttachOptions{
		Stream: true, Stdin: true, Stdout: true, Stderr: true,
	})
	if err != nil {
		return b.engine.Explain("attach to container "+b.name, err)
	}
	b.attached = &at.HijackedResponse
	go func() {
		_, _ = stdcopy.StdCopy(&b.output, &b.output, at.Reader)
		close(b.over)
	}()
	_, err = api.ContainerStart(ctx, b.name, client.ContainerStartOptions{})
	return b.engine.Explain("start container "+b.name, err)
}

// ended implements instance.
func (b *box) ended() <-chan struct{} { return b.over }

// log implements instance.
func (b *box) log() string { return b.output.String() }

// stop implements instance.
func (b *box) stop() error {
	var failures []error
	for _, name := range b.participants {
		failures = append(failures, remove(b.engine, name))
	}
	if b.attached != nil {
		b.attached.Close()
	}
	return errors.Join(append(failures, remove(b.engine, b.name))...)
}

// removeTimeout limits the removal of a container: the files of a large volume
// take their time.
const removeTimeout = 2 * time.Minute

// remove kills a container and waits until it is removed, with its volumes.
func remove(e *docker.Engine, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	for {
		_, err := e.API.ContainerRemove(ctx, name, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case cerrdefs.IsNotFound(err):
			return nil
		case err == nil || cerrdefs.IsConflict(err): // the daemon is removing it
		default:
			return notRemoved(name, e.Explain("remove container "+name, err))
		}
		select {
		case <-ctx.Done():
			return notRemoved(name, errors.New("it still exists after "+removeTimeout.String()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func notRemoved(name string, err error) error {
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  "cannot remove container " + name,
		Err:   err,
		Why:   "It contains a copy of the node's databases.",
		Do:    "`docker rm -f -v " + name + "`. The next drill tries it again.",
	}
}

// once runs a script in its own container and returns its output.
func (d Daemon) once(ctx context.Context, purpose, script string) (string, error) {
	c := &box{engine: d.Engine, name: fmt.Sprintf("%s%d", prefix, time.Now().UnixNano())}
	err := c.start(ctx, d.spec(purpose, script))
	if err == nil {
		select {
		case <-c.ended():
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return c.log(), errors.Join(err, c.stop())
}

// tail keeps the end of a container's output.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 2000

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-tailBytes):]
	return len(p), nil
}

// String is the end of the output, on one line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.FieldsFunc(string(t.text), func(r rune) bool { return r == '\n' }), " | ")
}
