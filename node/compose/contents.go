package compose

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// Contents are the files of a volume that is small enough to be part of the
// node's set-up, such as one with certificates.
type Contents struct {
	Volume  string `json:"volume"`
	Archive []byte `json:"archive"` // tar
}

// contentsOf is a recorded volume's; false where none was kept.
func (s Specs) contentsOf(volume string) (Contents, bool) {
	i := slices.IndexFunc(s.Contents, func(c Contents) bool { return c.Volume == volume })
	if i < 0 {
		return Contents{}, false
	}
	return s.Contents[i], true
}

// passingPlaces are where Splice's programs leave what no restore needs: dumps
// of an upgrade and of a program's memory.
var passingPlaces = []string{"/domain-upgrade-dump", "/heap-dumps"}

// contents reads what the volumes of a node hold, but for those of Postgres. Of
// one that holds more than a set-up does, nothing is kept, and short says so.
func (n *Node) contents(ctx context.Context, live []Directory) (out []Contents, short []string, err error) {
	seen := map[string]bool{}
	for _, d := range live {
		seen[d.Path] = true
	}
	for _, c := range n.All {
		for _, m := range c.mounts {
			if m.Volume == "" || seen[m.Volume] || slices.Contains(passingPlaces, m.inside) {
				continue
			}
			seen[m.Volume] = true
			archive, err := n.Engine.archived(ctx, c, m.inside)
			switch {
			case errors.Is(err, errMore):
				short = append(short, fmt.Sprintf("what volume %s holds (container %s, %s) is more than is kept: it comes back empty",
					m.Volume, c.Name, m.inside))
			case err != nil:
				return nil, nil, err
			case archive != nil:
				out = append(out, Contents{m.Volume, archive})
			}
		}
	}
	return out, short, nil
}

// errMore says that there is more than is kept.
var errMore = errors.New("more than is kept")

// archived reads what is mounted in a container as an archive of what is below
// /there; nil where it is empty.
func (e *Engine) archived(ctx context.Context, c Container, inside string) ([]byte, error) {
	fail := func(err error) ([]byte, error) { return nil, e.Explain("read "+inside+" in container "+c.Name, err) }
	r, err := e.API.CopyFromContainer(ctx, c.ID, client.CopyFromContainerOptions{SourcePath: inside})
	if cerrdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return fail(err)
	}
	defer func() { _ = r.Content.Close() }()
	var text bytes.Buffer
	to, from, entries, files := tar.NewWriter(&text), tar.NewReader(r.Content), 0, 0
	for {
		h, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fail(err)
		}
		if h.Typeflag == tar.TypeReg {
			files++
		}
		if files > mostFiles || h.Size > mostBytes || entries > 20*mostFiles || holdsVersion(h) {
			return nil, errMore
		}
		entries++
		_, rest, _ := strings.Cut(strings.TrimSuffix(h.Name, "/"), "/")
		h.Name = path.Join("there", rest)
		if h.Typeflag == tar.TypeDir {
			h.Name += "/"
		}
		if h.Typeflag == tar.TypeLink {
			_, linked, _ := strings.Cut(h.Linkname, "/")
			h.Linkname = path.Join("there", linked)
		}
		if err := to.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.Copy(to, from); err != nil {
			return fail(err)
		}
	}
	if entries <= 1 { // the directory itself
		return nil, to.Close()
	}
	err = to.Close()
	return text.Bytes(), err
}

// holdsVersion reports whether an entry shows that a Postgres server keeps its
// data there.
func holdsVersion(h *tar.Header) bool { return path.Base(h.Name) == "PG_VERSION" }
