package compose

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"holdfast"
)

// servers are the containers that keep a Postgres data directory: the node's
// own, and any other of the project.
func (b Bundle) servers() []Container {
	var out []Container
	for _, c := range b.All {
		if c.Env.Has("PGDATA") || b.Postgres != nil && c.ID == b.Postgres.ID {
			out = append(out, c)
		}
	}
	return out
}

// live are the mounts in which a server keeps its data: that of its data
// directory, those below it, and those that tablespaces and the write-ahead log
// are linked to. Loose are the paths that lie in the container itself.
func (e *Engine) live(ctx context.Context, c Container) (mounts []mounted, loose []string, err error) {
	places, err := e.linked(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range append([]string{c.pgdata()}, places...) {
		m := c.mountOf(name)
		switch {
		case m.inside == "":
			loose = append(loose, name)
		case !slices.Contains(mounts, m):
			mounts = append(mounts, m)
		}
	}
	for _, m := range c.mounts {
		if isIn(m.inside, c.pgdata()) && !slices.Contains(mounts, m) {
			mounts = append(mounts, m)
		}
	}
	return mounts, loose, nil
}

// linked are the places outside of its data directory that a server keeps data
// in: its tablespaces, and its write-ahead log.
func (e *Engine) linked(ctx context.Context, c Container) ([]string, error) {
	var out []string
	wal, err := e.API.ContainerStatPath(ctx, c.ID, client.ContainerStatPathOptions{Path: path.Join(c.pgdata(), "pg_wal")})
	if err == nil && path.IsAbs(wal.Stat.LinkTarget) && !isIn(wal.Stat.LinkTarget, c.pgdata()) {
		out = append(out, path.Clean(wal.Stat.LinkTarget))
	}
	if err != nil && !cerrdefs.IsNotFound(err) {
		return nil, e.Explain("look at the data directory of container "+c.Name, err)
	}
	r, err := e.API.CopyFromContainer(ctx, c.ID, client.CopyFromContainerOptions{SourcePath: path.Join(c.pgdata(), "pg_tblspc")})
	if cerrdefs.IsNotFound(err) {
		return out, nil
	}
	if err != nil {
		return nil, e.Explain("list the tablespaces of container "+c.Name, err)
	}
	defer func() { _ = r.Content.Close() }()
	for archive := tar.NewReader(r.Content); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, e.Explain("list the tablespaces of container "+c.Name, err)
		}
		if h.Typeflag == tar.TypeSymlink && path.IsAbs(h.Linkname) && !isIn(h.Linkname, c.pgdata()) {
			out = append(out, path.Clean(h.Linkname))
		}
	}
}

// liveDirectories are all that the project's servers keep data in, with the
// owner and the rights that a new one needs.
func (n *Node) liveDirectories(ctx context.Context) ([]Directory, error) {
	var out []Directory
	for _, c := range n.servers() {
		mounts, _, err := n.Engine.live(ctx, c)
		if err != nil {
			return nil, err
		}
		for _, m := range mounts {
			d, err := n.Engine.face(ctx, c, m.inside)
			if err != nil {
				return nil, err
			}
			if d.Mode == "" {
				continue // a file that is mounted below the data directory
			}
			h, there, err := n.Engine.look(ctx, m.dataDirectory)
			if err != nil {
				return nil, err
			}
			names := []string{m.String()}
			if there && h.Volume != "" && h.Bound {
				names = append(names, h.Path) // the directory that the volume stands for
			}
			for _, d.Path = range names {
				if !slices.ContainsFunc(out, func(o Directory) bool { return o.Path == d.Path }) {
					out = append(out, d)
				}
			}
		}
	}
	return out, nil
}

// face reads the owner and the rights of a directory that a container mounts;
// those of anything else are empty.
func (e *Engine) face(ctx context.Context, c Container, inside string) (Directory, error) {
	d := Directory{Data: true}
	r, err := e.API.CopyFromContainer(ctx, c.ID, client.CopyFromContainerOptions{SourcePath: inside})
	if cerrdefs.IsNotFound(err) {
		return d, nil
	}
	if err != nil {
		return d, e.Explain("look at "+inside+" in container "+c.Name, err)
	}
	defer func() { _ = r.Content.Close() }() // the rest is not read: it may be a whole database
	h, err := tar.NewReader(r.Content).Next()
	if err != nil {
		return d, e.Explain("look at "+inside+" in container "+c.Name, err)
	}
	if h.Typeflag == tar.TypeDir {
		d.Owner, d.Mode = fmt.Sprintf("%d:%d", h.Uid, h.Gid), fmt.Sprintf("%04o", h.Mode&0o7777)
	}
	return d, nil
}

// Lasting says whether the node's databases outlive the next stop.sh, which
// removes the containers: what is in a container, in a volume without a name or
// in memory is lost, or no new container finds it.
func (n *Node) Lasting(ctx context.Context) (holdfast.Finding, error) {
	c := n.Postgres
	if c == nil {
		return holdfast.Finding{Verdict: holdfast.NoneApplies, Evidence: "the databases are outside of project " + n.Project}, nil
	}
	mounts, loose, err := n.Engine.live(ctx, *c)
	if err != nil {
		return holdfast.Finding{}, err
	}
	var lost, kept []string
	for _, name := range loose {
		lost = append(lost, name+" lies in container "+c.Name+" itself")
	}
	for _, m := range mounts {
		why, err := n.Engine.passing(ctx, m)
		if err != nil {
			return holdfast.Finding{}, err
		}
		if why != "" {
			lost = append(lost, m.inside+" "+why)
		} else {
			kept = append(kept, m.String())
		}
	}
	if len(lost) > 0 {
		return holdfast.Finding{
			Verdict:  holdfast.Violated,
			Evidence: "Postgres's data in " + strings.Join(lost, "; ") + ": the next stop.sh loses it",
		}, nil
	}
	return holdfast.Finding{Verdict: holdfast.Holds, Evidence: "Postgres's data is in " + strings.Join(kept, ", ")}, nil
}

// passing says why what is in a mount does not outlive its container; "" where
// it does.
func (e *Engine) passing(ctx context.Context, m mounted) (string, error) {
	switch {
	case m.memory:
		return "is in memory", nil
	case m.Volume == "":
		return "", nil
	case m.anonymous():
		return "is in a volume without a name (" + m.Volume[:min(12, len(m.Volume))] + "), which no new container finds", nil
	}
	v, err := e.API.VolumeInspect(ctx, m.Volume, client.VolumeInspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", e.Explain("inspect volume "+m.Volume, err)
	}
	if v.Volume.Options["type"] == "tmpfs" {
		return "is in volume " + m.Volume + ", which is in memory", nil
	}
	return "", nil
}
