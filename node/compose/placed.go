package compose

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Placed is a file that was put into a container through the Engine: a config
// or a secret of Compose whose text stands in the compose file or in the
// environment, or what somebody has put there with `docker cp`. No mount shows
// it, and a container that is made again does not have it.
type Placed struct {
	Container string `json:"container"` // its id
	Path      string `json:"path"`
	Mode      int64  `json:"mode"`
	UID       int    `json:"uid"`
	GID       int    `json:"gid"`
	Content   []byte `json:"content"`
}

const (
	mostChanges = 2000     // of a container's own files that are looked at
	mostPlaced  = 16 << 20 // bytes of one
)

// placedIn are the files that were put into a recorded container.
func (s Specs) placedIn(id string) []Placed {
	return slices.DeleteFunc(slices.Clone(s.Placed), func(p Placed) bool { return p.Container != id })
}

// placed finds the files that were put into a container. An archive carries
// times in whole seconds, and so does what comes out of one; what a program of
// the container writes has the time of the clock. Short says what could not be
// read.
func (e *Engine) placed(ctx context.Context, c Container) (out []Placed, short []string, err error) {
	r, err := e.API.ContainerDiff(ctx, c.ID, client.ContainerDiffOptions{})
	if err != nil {
		return nil, nil, e.Explain("list the files of container "+c.Name, err)
	}
	var own []string
	for _, change := range r.Changes {
		if change.Kind != container.ChangeDelete && !c.outside(change.Path) {
			own = append(own, change.Path)
		}
	}
	if len(own) > mostChanges {
		short = append(short, fmt.Sprintf("container %s has changed %d files of its own, of which %d were looked at",
			c.Name, len(own), mostChanges))
		own = own[:mostChanges]
	}
	for _, name := range own {
		file, why, err := e.placedAt(ctx, c, name)
		switch {
		case err != nil:
			return nil, nil, err
		case why != "":
			short = append(short, why)
		case file != nil:
			out = append(out, *file)
		}
	}
	return out, short, nil
}

// outside reports whether a path of a container is not in the container's own
// layer, or is where programs leave what they need for a while.
func (c Container) outside(name string) bool {
	for _, m := range c.mounts {
		if isIn(name, m.inside) {
			return true
		}
	}
	if data := c.pgdata(); c.Env.Has("PGDATA") && isIn(name, data) {
		return true
	}
	return slices.ContainsFunc([]string{"/tmp", "/dev", "/proc", "/sys"}, func(dir string) bool { return isIn(name, dir) })
}

// placedAt reads a file if it was put into the container; nil if it was not.
func (e *Engine) placedAt(ctx context.Context, c Container, name string) (file *Placed, why string, err error) {
	found, err := e.API.ContainerStatPath(ctx, c.ID, client.ContainerStatPathOptions{Path: name})
	if cerrdefs.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", e.Explain("look at "+name+" in container "+c.Name, err)
	}
	if !found.Stat.Mode.IsRegular() || found.Stat.Mtime.Nanosecond() != 0 {
		return nil, "", nil
	}
	if found.Stat.Size > mostPlaced {
		return nil, fmt.Sprintf("%s was put into container %s and has %d bytes, more than is kept", name, c.Name, found.Stat.Size), nil
	}
	r, err := e.API.CopyFromContainer(ctx, c.ID, client.CopyFromContainerOptions{SourcePath: name})
	if cerrdefs.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", e.Explain("read "+name+" in container "+c.Name, err)
	}
	defer func() { _ = r.Content.Close() }()
	archive := tar.NewReader(r.Content)
	header, err := archive.Next()
	if err != nil {
		return nil, "", e.Explain("read "+name+" in container "+c.Name, err)
	}
	content, err := io.ReadAll(archive)
	if err != nil {
		return nil, "", e.Explain("read "+name+" in container "+c.Name, err)
	}
	return &Placed{
		Container: c.ID, Path: name, Mode: header.Mode & 0o7777, UID: header.Uid, GID: header.Gid, Content: content,
	}, "", nil
}

// place puts files into a container that was just made.
func (e *Engine) place(ctx context.Context, name string, files []Placed) error {
	if len(files) == 0 {
		return nil
	}
	var text bytes.Buffer
	archive := tar.NewWriter(&text)
	for _, f := range files {
		err := archive.WriteHeader(&tar.Header{
			Name: strings.TrimPrefix(path.Clean(f.Path), "/"), Mode: f.Mode, Uid: f.UID, Gid: f.GID,
			Size: int64(len(f.Content)), ModTime: time.Now().Truncate(time.Second),
		})
		if err != nil {
			return err
		}
		if _, err := archive.Write(f.Content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	_, err := e.API.CopyToContainer(ctx, name, client.CopyToContainerOptions{DestinationPath: "/", Content: &text})
	return e.Explain("put files into container "+name, err)
}

// samePlaced reports whether two containers have the same files put into them.
func samePlaced(a, b []Placed) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x Placed) bool {
		return !slices.ContainsFunc(b, func(y Placed) bool {
			return x.Path == y.Path && x.Mode == y.Mode && x.UID == y.UID && x.GID == y.GID && bytes.Equal(x.Content, y.Content)
		})
	})
}
