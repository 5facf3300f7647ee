package compose

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"

	"holdfast"
)

// Specs are what a node's containers were made from, as the daemon reports it:
// enough to make each of them again. They hold the node's passwords.
type Specs struct {
	Containers  []json.RawMessage `json:"containers"`
	Volumes     []volume.Volume   `json:"volumes"`
	Networks    []network.Inspect `json:"networks"`
	Placed      []Placed          `json:"placed,omitempty"`
	Included    []Included        `json:"included,omitempty"`
	Contents    []Contents        `json:"contents,omitempty"`
	Directories []Directory       `json:"directories,omitempty"`
	Links       []Link            `json:"links,omitempty"`
}

// Record says how the node runs, and puts what its containers were made from
// and the bundle's own files into out. Files that cannot be read, as from
// within a container, are named instead.
func (n *Node) Record(ctx context.Context, out holdfast.Sink) (holdfast.Deployment, error) {
	now, err := n.fresh(ctx)
	if err != nil {
		return holdfast.Deployment{}, err
	}
	d, err := now.Deployment(ctx)
	if err != nil {
		return d, err
	}
	specs, held, err := now.specs(ctx)
	if err != nil {
		return d, err
	}
	text, err := json.MarshalIndent(specs, "", " ")
	if err != nil {
		return d, err
	}
	d.OwnFile = holdfast.DeploymentDirectory + "/containers.json"
	if err := put(ctx, out, d.OwnFile, text); err != nil {
		return d, err
	}
	for _, file := range held.files {
		kept, err := held.take(ctx, out, file, n.within(file))
		if err != nil {
			return d, err
		}
		if kept != nil {
			d.Kept = append(d.Kept, *kept)
		}
	}
	if !now.Engine.Local() {
		held.notKept = append(held.notKept, "the bundle's files are on the machine of the Docker daemon "+now.Engine.Host())
	}
	d.NotKept, d.NotRemade = held.notKept, held.notRemade
	return d, nil
}

func put(ctx context.Context, out holdfast.Sink, name string, content []byte) error {
	_, err := out.Put(ctx, name, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	return err
}

// Deployment is how the node runs now, without secrets.
func (n *Node) Deployment(ctx context.Context) (holdfast.Deployment, error) {
	daemon, err := n.Engine.Names(ctx)
	d := holdfast.Deployment{Kind: Kind, Machine: daemon.Machine, Splice: n.Splice(), Programs: []holdfast.Program{}}
	own := Description{Project: n.Project, Engine: daemon.ID, Directory: n.Directory, Start: n.Start(), Containers: []Described{}}
	roles := map[string]string{}
	for _, r := range n.Roles() {
		roles[r.Container.ID] = r.Role
	}
	for _, c := range n.All {
		d.Programs = append(d.Programs, holdfast.Program{Role: roles[c.ID], Name: c.Name, Image: c.Image, Digest: c.Digest})
		own.Containers = append(own.Containers, Described{Service: c.Service, Name: c.Name, ID: c.ID, ImageID: c.ImageID})
	}
	if err != nil {
		return d, err
	}
	d.Own, err = json.Marshal(own)
	return d, err
}

// specs are the answers of the daemon about all that the project is made of,
// with what it takes to make it again; holdings are the files, and what is
// missing.
func (n *Node) specs(ctx context.Context) (s Specs, h *holdings, err error) {
	if h, err = n.holdings(ctx); err != nil {
		return s, h, err
	}
	s.Directories, s.Links = h.directories, h.links
	for _, c := range n.All {
		s.Containers, s.Included = append(s.Containers, c.raw), append(s.Included, c.included...)
		placed, short, err := n.Engine.placed(ctx, c)
		if holdfast.ClassOf(err) == holdfast.Unreachable || ctx.Err() != nil {
			return s, h, err
		}
		if err != nil {
			short = append(short, err.Error())
		}
		s.Placed = append(s.Placed, placed...)
		for _, what := range short {
			h.short(n.roleOf(c.ID) != "", "%s", what)
		}
		if err := n.addParts(ctx, &s, c); err != nil {
			return s, h, err
		}
	}
	contents, short, err := n.contents(ctx, h.directories)
	if err != nil {
		return s, h, err
	}
	s.Contents, h.notKept = contents, append(h.notKept, short...)
	foreign, err := n.foreign(ctx, s)
	h.notRemade = append(h.notRemade, foreign...)
	return s, h, err
}

// addParts adds the volumes and networks of a container.
func (n *Node) addParts(ctx context.Context, s *Specs, c Container) error {
	for _, name := range c.Volumes {
		if slices.ContainsFunc(s.Volumes, func(v volume.Volume) bool { return v.Name == name }) {
			continue
		}
		v, err := n.Engine.API.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
		if err != nil {
			return n.Engine.Explain("inspect volume "+name, err)
		}
		s.Volumes = append(s.Volumes, v.Volume)
	}
	for _, at := range c.Networks {
		if _, known := s.network(at.Name); known {
			continue
		}
		v, err := n.Engine.API.NetworkInspect(ctx, at.Name, client.NetworkInspectOptions{})
		if cerrdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return n.Engine.Explain("inspect network "+at.Name, err)
		}
		s.Networks = append(s.Networks, v.Network)
	}
	return nil
}

// within is the name of a bundle's file in a set. Files outside of the bundle
// have their whole path: two of one name do not overwrite each other.
func (n *Node) within(file string) string {
	relative, err := filepath.Rel(n.Directory, file)
	if err == nil && filepath.IsLocal(relative) {
		return path.Join(holdfast.DeploymentDirectory, "bundle", filepath.ToSlash(relative))
	}
	return path.Join(holdfast.DeploymentDirectory, elsewhere, filepath.ToSlash(filepath.Clean("/"+file)))
}

// Recorded is the node that a set recorded, as it is to run at a site: what its
// containers were, whether they are there or not.
func Recorded(ctx context.Context, e *Engine, set holdfast.Set, files holdfast.Files, at Site) (*Node, Specs, error) {
	var s Specs
	none := func(err error) (*Node, Specs, error) {
		return nil, s, &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("set %s does not say how its node's containers were made", set.ID), Err: err,
			Why: "Without that they cannot be made again.", Do: "Start the bundle with start.sh and the flags of the old node, stop the participant and the validator app with `docker stop`, and restore again."}
	}
	was, err := Describe(set.Deployment)
	if err != nil || set.Deployment == nil || set.Deployment.Kind != Kind || set.Deployment.OwnFile == "" {
		return none(err)
	}
	in, err := files.Open(ctx, set.Deployment.OwnFile)
	if err != nil {
		return none(err)
	}
	defer func() { _ = in.Close() }()
	if err := json.NewDecoder(in).Decode(&s); err != nil {
		return none(err)
	}
	if s, err = s.moved(was, at); err != nil {
		return nil, s, err
	}
	b := Bundle{Project: cmp.Or(at.Project, was.Project), services: at.Services, ways: at.Reach, before: map[string]string{}}
	names := move{fromProject: was.Project, toProject: b.Project}
	for _, program := range set.Deployment.Programs {
		b.before[program.Role] = names.named(program.Name)
	}
	for _, raw := range s.Containers {
		c, err := parseContainer(raw)
		if err != nil {
			return none(err)
		}
		c.included = s.includedIn(c.ID)
		b.All = append(b.All, c)
	}
	b.cast()
	return NewNode(e, b), s, b.complete()
}

// Secret reads a variable of the container that plays a role.
func (n *Node) Secret(role, variable string) (holdfast.Secret, error) {
	for _, r := range n.Roles() {
		if r.Role == role && r.Container.Env.Get(variable) != "" {
			return r.Container.Env.Secret(variable), nil
		}
	}
	return holdfast.Secret{}, &holdfast.Problem{Class: holdfast.Usage, What: fmt.Sprintf("the container of %s has no variable %s", titles[role], variable),
		Do: "Correct the reference in holdfast.yaml: container:validator/VARIABLE or container:participant/VARIABLE."}
}
