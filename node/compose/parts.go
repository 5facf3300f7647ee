package compose

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
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
	"holdfast/internal/durable"
	"holdfast/step"
)

// files are the bundle's files that a set kept, at the paths that they have at
// the site.
func (at Site) files(set holdfast.Set) []holdfast.KeptFile {
	was, err := Describe(set.Deployment)
	if err != nil || set.Deployment == nil {
		return nil
	}
	m := move{fromDirectory: was.Directory, toDirectory: cmp.Or(at.Directory, was.Directory)}
	out := slices.Clone(set.Deployment.Kept)
	for i := range out {
		out[i].Path = m.file(out[i].Path)
	}
	return out
}

// parts are the steps that make what the containers need and that is not there:
// files of the bundle, images, and what containers stand on, networks and
// volumes.
func (p *Programs) parts(ctx context.Context, now Bundle) (files, images, stands []step.Step, err error) {
	if !p.recorded {
		return nil, nil, nil, nil
	}
	missing := p.missing(now)
	if files, err = p.missingFiles(ctx, missing, len(now.All) == 0); err != nil {
		return nil, nil, nil, err
	}
	add := func(list *[]step.Step, act step.Act, kind step.Kind, name string, err error) error {
		s := step.Step{Act: act, Kind: kind, Name: name}
		if !cerrdefs.IsNotFound(err) {
			return p.Node.Engine.Explain(fmt.Sprintf("inspect %s %s", kind, name), err)
		}
		if !slices.ContainsFunc(*list, func(o step.Step) bool { return o.Kind == kind && o.Name == name }) {
			*list = append(*list, s)
		}
		return nil
	}
	api := p.Node.Engine.API
	for _, c := range missing {
		_, err := api.ImageInspect(ctx, c.Image)
		if err := add(&images, step.Fetch, step.Image, c.Image, err); err != nil {
			return nil, nil, nil, err
		}
		for _, n := range c.Networks {
			_, err := api.NetworkInspect(ctx, n.Name, client.NetworkInspectOptions{})
			if err := add(&stands, step.Create, step.Network, n.Name, err); err != nil {
				return nil, nil, nil, err
			}
		}
		for _, name := range c.Volumes {
			_, err := api.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
			if err := add(&stands, step.Create, step.Volume, name, err); err != nil {
				return nil, nil, nil, err
			}
		}
	}
	return files, images, stands, nil
}

// missingFiles are those of the bundle that have to be written, or that are
// not what the set kept. Nothing that is there is written over: on a machine
// that has nothing of the node yet, the set's is put next to it.
func (p *Programs) missingFiles(ctx context.Context, missing []Container, fresh bool) ([]step.Step, error) {
	if len(missing) == 0 || !p.Node.Engine.SameMachine(ctx) {
		return nil, nil
	}
	var out []step.Step
	for _, k := range p.kept {
		there, err := os.ReadFile(k.Path)
		if errors.Is(err, fs.ErrNotExist) {
			s := p.place(k)
			if err := p.writable(cmp.Or(s.As, s.Name)); err != nil {
				return nil, err
			}
			out = append(out, s)
			continue
		}
		if err != nil || !fresh {
			continue // that it cannot be read will be seen by whoever needs it
		}
		content, err := p.content(ctx, k)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(there, content) && under(p.Node.Directory, k.Path) {
			out = append(out, step.Step{
				Act: step.Write, Kind: step.File, Name: k.Path, As: k.Path + ".of-" + string(p.Set),
				Why: "it differs from the set's, and the next start.sh uses it: compare the two",
			})
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

// lay writes a file of the bundle. One that has come there since is left alone.
func (p *Programs) lay(ctx context.Context, s step.Step) error {
	i := slices.IndexFunc(p.kept, func(k holdfast.KeptFile) bool { return k.Path == s.Name })
	if i < 0 {
		return nil
	}
	if err := p.writable(cmp.Or(s.As, s.Name)); err != nil {
		return err
	}
	content, err := p.content(ctx, p.kept[i])
	if err != nil {
		return err
	}
	return p.write(cmp.Or(s.As, s.Name), content, p.kept[i])
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
	if err := durable.Write(name, content, modeOf(k, content)); err != nil {
		return fail(err)
	}
	return nil
}

// mostRights are those that a restore gives: only its owner writes a file.
const mostRights = 0o755

// modeOf are the rights of a kept file; of one in an older set they follow from
// what it is.
func modeOf(k holdfast.KeptFile, content []byte) os.FileMode {
	if mode, err := strconv.ParseUint(k.Mode, 8, 9); err == nil {
		return os.FileMode(mode) & mostRights
	}
	switch {
	case strings.HasSuffix(k.Path, ".env"):
		return 0o600
	case bytes.HasPrefix(content, []byte("#!")):
		return 0o755
	}
	return 0o644
}
