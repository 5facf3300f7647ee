package compose

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"holdfast/step"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"holdfast"
)

// files are the bundle's files that a set kept, at the paths that they have at
// the site.
func (at Site) files(set holdfast.Set) []holdfast.KeptFile {
	if set.Deployment == nil {
		return nil
	}
	m := move{fromDirectory: set.Deployment.Directory, toDirectory: cmp.Or(at.Directory, set.Deployment.Directory)}
	out := slices.Clone(set.Deployment.Kept)
	for i := range out {
		out[i].Path = m.file(out[i].Path)
	}
	return out
}

// parts are what the containers that are made need and what is not there:
// files of the bundle, images, networks, volumes.
func (p *Programs) parts(ctx context.Context, now Bundle) ([]step.Part, error) {
	if !p.recorded {
		return nil, nil
	}
	missing := p.missing(now)
	out, err := p.missingFiles(ctx, missing, len(now.All) == 0)
	if err != nil {
		return nil, err
	}
	add := func(kind step.PartKind, name string, act step.PartAct, err error) error {
		part := step.Part{Kind: kind, Name: name, Act: act}
		if cerrdefs.IsNotFound(err) {
			if !slices.Contains(out, part) {
				out = append(out, part)
			}
			return nil
		}
		return p.Node.Engine.Explain(fmt.Sprintf("inspect %s %s", kind, name), err)
	}
	api := p.Node.Engine.API
	for _, c := range missing {
		_, err := api.ImageInspect(ctx, c.Image)
		if err := add(step.ImagePart, c.Image, step.FetchPart, err); err != nil {
			return nil, err
		}
		for _, n := range c.Networks {
			_, err := api.NetworkInspect(ctx, n.Name, client.NetworkInspectOptions{})
			if err := add(step.NetworkPart, n.Name, step.MakePart, err); err != nil {
				return nil, err
			}
		}
		for _, name := range c.Volumes {
			_, err := api.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
			if err := add(step.VolumePart, name, step.MakePart, err); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// missingFiles are those of the bundle that have to be written, or that are
// not what the set kept. Nothing that is there is written over: on a machine
// that has nothing of the node yet, the set's is put beside it.
func (p *Programs) missingFiles(ctx context.Context, missing []Container, fresh bool) ([]step.Part, error) {
	if len(missing) == 0 || !p.Node.Engine.SameMachine(ctx) {
		return nil, nil
	}
	var out []step.Part
	for _, k := range p.kept {
		there, err := os.ReadFile(k.Path)
		if errors.Is(err, fs.ErrNotExist) {
			out = append(out, step.Part{Kind: step.FilePart, Name: k.Path, Act: step.WritePart})
			continue
		}
		if err != nil || !fresh {
			continue // that it cannot be read will be seen by whoever needs it
		}
		content, err := p.content(ctx, k)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(there, content) {
			out = append(out, step.Part{Kind: step.FilePart, Name: k.Path, Act: step.BesidePart, As: k.Path + ".of-" + string(p.Set),
				Why: "it is not the one of the set; the next start.sh uses it, so compare the two"})
		}
	}
	for _, c := range missing {
		for _, bind := range c.Binds {
			if err := p.mountable(c, bind); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// mountable makes sure that a file that a container mounts is there, or will
// be: Docker would make a directory of its name.
func (p *Programs) mountable(c Container, bind string) error {
	if slices.ContainsFunc(p.kept, func(k holdfast.KeptFile) bool {
		return k.Path == bind || strings.HasPrefix(k.Path, bind+"/")
	}) {
		return nil
	}
	_, err := os.Stat(bind)
	if err == nil {
		return nil
	}
	return &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("container %s mounts %s, which is not there", c.Name, bind), Err: err,
		Why: "The node's containers use it, and the set did not keep it.",
		Do:  "Put it there as it was. If the bundle is unpacked elsewhere, say where: `directory:` below `compose:` in holdfast.yaml."}
}

// content is a kept file's.
func (p *Programs) content(ctx context.Context, k holdfast.KeptFile) ([]byte, error) {
	in, err := p.Files.Open(ctx, k.File)
	if err != nil {
		return nil, fmt.Errorf("read %s in set %s: %w", k.File, p.Set, err)
	}
	defer func() { _ = in.Close() }()
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read %s in set %s: %w", k.File, p.Set, err)
	}
	return text, nil
}

// lay writes the planned files of the bundle. One that has come there since is
// left alone.
func (p *Programs) lay(ctx context.Context, parts []step.Part, tell func(string)) error {
	for _, part := range parts {
		if part.Kind != step.FilePart {
			continue
		}
		i := slices.IndexFunc(p.kept, func(k holdfast.KeptFile) bool { return k.Path == part.Name })
		if i < 0 {
			continue
		}
		content, err := p.content(ctx, p.kept[i])
		if err != nil {
			return err
		}
		name := cmp.Or(part.As, part.Name)
		if err := p.write(name, content, p.kept[i]); err != nil {
			return err
		}
		tell("write " + name)
	}
	return nil
}

// write writes a new file of the bundle, whole or not at all, with the rights
// that it had: the users of containers read what they mount.
func (p *Programs) write(name string, content []byte, k holdfast.KeptFile) error {
	if _, err := os.Lstat(name); err == nil {
		return nil
	}
	fail := func(err error) error {
		return &holdfast.Problem{Class: holdfast.Failed, What: "write the bundle's file " + name, Err: err, Why: "The node's containers, or its next start, need it.",
			Do: "Run Holdfast as root, or unpack the bundle where this user may write: `directory:` below `compose:` in holdfast.yaml."}
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // containers' users go through it
		return fail(err)
	}
	unfinished := name + ".holdfast"
	err := os.WriteFile(unfinished, content, 0o600)
	if err == nil {
		err = os.Chmod(unfinished, modeOf(k, content))
	}
	if err == nil {
		err = os.Rename(unfinished, name)
	}
	if err != nil {
		return fail(err)
	}
	return nil
}

// modeOf are the rights of a kept file; of one in an older set they are told by
// what it is.
func modeOf(k holdfast.KeptFile, content []byte) os.FileMode {
	if mode, err := strconv.ParseUint(k.Mode, 8, 9); err == nil {
		return os.FileMode(mode)
	}
	switch {
	case strings.HasSuffix(k.Path, ".env"):
		return 0o600
	case bytes.HasPrefix(content, []byte("#!")):
		return 0o755
	}
	return 0o644
}
