package compose

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"holdfast/canton/storage"
)

// Included is a file of a container that its program's configuration includes.
type Included struct {
	Container string `json:"container"` // its id
	Path      string `json:"path"`
	Content   []byte `json:"content"`
	Missing   bool   `json:"missing,omitempty"` // the container has no such file
	why       error  // it could not be read
}

const (
	mostIncluded = 1 << 20 // bytes of one
	mostIncludes = 100     // of one container
	mostLinks    = 8       // from one to the next
)

// inContainer is the path that a program of the container means.
func (c Container) inContainer(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join("/", c.workdir, name)
}

// errNotLooked is why an inclusion of a container that is not there is unknown.
var errNotLooked = errors.New("is not read: the set did not keep it")

// includedFile is an included file, as far as it was read.
func (c Container) includedFile(name string) (string, bool, error) {
	name = c.inContainer(name)
	for _, i := range c.included {
		if i.Path == name {
			return string(i.Content), !i.Missing, i.why
		}
	}
	return "", false, errNotLooked
}

// include reads the files that a program's configuration includes, one after the
// other: each may include more.
func (e *Engine) include(ctx context.Context, c *Container) error {
	for range mostIncludes {
		var next string
		_, _ = c.configuration(func(name string) (string, bool, error) { // what is wrong with it is said where it is used
			text, found, err := c.includedFile(name)
			if errors.Is(err, errNotLooked) && next == "" {
				next = c.inContainer(name)
			}
			return text, found, err
		})
		if next == "" {
			return nil
		}
		i := Included{Container: c.ID, Path: next}
		i.Content, i.why = e.read(ctx, *c, next)
		if cerrdefs.IsNotFound(i.why) {
			i.Missing, i.why = true, nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.included = append(c.included, i)
	}
	return nil
}

// read reads a small file of a container, through links.
func (e *Engine) read(ctx context.Context, c Container, name string) ([]byte, error) {
	for range mostLinks {
		r, err := e.API.CopyFromContainer(ctx, c.ID, client.CopyFromContainerOptions{SourcePath: name})
		if cerrdefs.IsNotFound(err) {
			return nil, err
		}
		if err != nil {
			return nil, fmt.Errorf("cannot be read: %w", e.Explain("read "+name+" in container "+c.Name, err))
		}
		content, link, err := onlyFile(r.Content)
		_ = r.Content.Close()
		if err != nil {
			return nil, fmt.Errorf("%s in container %s cannot be read: %w", name, c.Name, err)
		}
		if link == "" {
			return content, nil
		}
		if !path.IsAbs(link) {
			link = path.Join(path.Dir(name), link)
		}
		name = link
	}
	return nil, errors.New("cannot be read: " + name + " is one link too many")
}

// onlyFile reads the first file of an archive, or where it links to.
func onlyFile(in io.Reader) (content []byte, link string, err error) {
	archive := tar.NewReader(in)
	h, err := archive.Next()
	switch {
	case err != nil:
		return nil, "", err
	case h.Typeflag == tar.TypeSymlink:
		return nil, h.Linkname, nil
	case h.Typeflag != tar.TypeReg:
		return nil, "", errors.New("it is no file")
	case h.Size > mostIncluded:
		return nil, "", fmt.Errorf("it has %d bytes", h.Size)
	}
	content, err = io.ReadAll(archive)
	return content, "", err
}

// includedIn are the files that the configuration of a recorded container
// includes.
func (s Specs) includedIn(id string) (out []Included) {
	for _, i := range s.Included {
		if i.Container == id {
			out = append(out, i)
		}
	}
	return out
}

// includes reports whether the configuration may include files at all.
func (c Container) includes() bool {
	for _, name := range c.Env.Names() {
		if strings.HasPrefix(name, storage.Variables) && strings.Contains(c.Env.Get(name), "include") {
			return true
		}
	}
	return false
}
