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

// labelKey marks whatever drills make in a Docker daemon.
const labelKey = "holdfast.drill"

func labels(purpose string) map[string]string {
	text, _ := json.Marshal(newLabel(purpose)) // of plain values
	return map[string]string{labelKey: string(text)}
}

// box is a container whose life hangs on our connection to it. The daemon
// removes it, with its volumes, when it ends.
type box struct {
	engine *docker.Engine
	name   string
	beside []string // containers that were started beside it
	at     *client.HijackedResponse
	over   chan struct{}
	output tail
}

// start makes and starts the container. We hold on to it before it runs, so
// that it never does without us.
func (b *box) start(ctx context.Context, spec client.ContainerCreateOptions) error {
	b.over = make(chan struct{})
	spec.Name = b.name
	api := b.engine.API
	if _, err := api.ContainerCreate(ctx, spec); err != nil {
		return b.engine.Explain("create container "+b.name, err)
	}
	at, err := api.ContainerAttach(ctx, b.name, client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return b.engine.Explain("attach to container "+b.name, err)
	}
	b.at = &at.HijackedResponse
	go func() {
		_, _ = stdcopy.StdCopy(&b.output, &b.output, at.Reader)
		close(b.over)
	}()
	_, err = api.ContainerStart(ctx, b.name, client.ContainerStartOptions{})
	return b.engine.Explain("start container "+b.name, err)
}

// ended implements life.
func (b *box) ended() <-chan struct{} { return b.over }

// said implements life.
func (b *box) said() string { return b.output.String() }

// stop implements life.
func (b *box) stop() error {
	var failures []error
	for _, name := range b.beside {
		failures = append(failures, remove(b.engine, name))
	}
	if b.at != nil {
		b.at.Close()
	}
	return errors.Join(append(failures, remove(b.engine, b.name))...)
}

// goneWithin is how long a container may take to be gone: files of a large
// volume take their time.
const goneWithin = 2 * time.Minute

// remove ends a container at once and waits until it is gone, with its volumes.
func remove(e *docker.Engine, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), goneWithin)
	defer cancel()
	for {
		_, err := e.API.ContainerRemove(ctx, name, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case cerrdefs.IsNotFound(err):
			return nil
		case err == nil || cerrdefs.IsConflict(err): // the daemon is at it
		default:
			return stays(name, e.Explain("remove container "+name, err))
		}
		select {
		case <-ctx.Done():
			return stays(name, errors.New("it is still there after "+goneWithin.String()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func stays(name string, err error) error {
	return &holdfast.Problem{Class: holdfast.Failed, What: "container " + name + " could not be removed", Err: err,
		Why: "It holds a copy of the node's databases.", Do: "`docker rm -f -v " + name + "`; the next drill tries it again."}
}

// once runs a script in a container of its own and returns what it printed.
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
	return c.said(), errors.Join(err, c.stop())
}

// tail keeps the end of what a container prints.
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

// String is the end, on one line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.FieldsFunc(string(t.text), func(r rune) bool { return r == '\n' }), " | ")
}
