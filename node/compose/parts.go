package compose

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
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

// needs are the steps that make what the containers need and that is not there.
type needs struct {
	files  []step.Step // and directories
	images []step.Step
	stands []step.Step // what containers stand on: networks and volumes
}

// parts are the steps that make what the containers need and that is not there:
// files and directories, images, networks and volumes. What cannot be made
// here is refused now, while nothing has been stopped.
func (p *Programs) parts(ctx context.Context, now Bundle) (needs, error) {
	var n needs
	if !p.recorded {
		return n, nil
	}
	missing := p.missing(now)
	if err := p.missingFiles(ctx, &n, missing, len(now.All) == 0); err != nil {
		return n, err
	}
	for _, c := range missing {
		if err := p.missingParts(ctx, &n, c); err != nil {
			return n, err
		}
	}
	return n, nil
}

// add adds a step once.
func add(list *[]step.Step, s step.Step) {
	if !slices.ContainsFunc(*list, func(o step.Step) bool { return o.Kind == s.Kind && o.Name == s.Name }) {
		*list = append(*list, s)
	}
}

// missingParts are the image, the networks and the volumes of one container.
func (p *Programs) missingParts(ctx context.Context, n *needs, c Container) error {
	e := p.Node.Engine
	_, err := e.API.ImageInspect(ctx, c.Image)
	if there, err := exists(err); err != nil {
		return e.Explain("inspect image "+c.Image, err)
	} else if !there {
		add(&n.images, step.Step{Act: step.Fetch, Kind: step.Image, Name: c.Image})
	}
	for _, at := range c.Networks {
		if err := p.missingNetwork(ctx, n, at.Name); err != nil {
			return err
		}
	}
	for _, name := range c.Volumes {
		_, err := e.API.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
		if there, err := exists(err); err != nil {
			return e.Explain("inspect volume "+name, err)
		} else if !there {
			add(&n.stands, step.Step{Act: step.Create, Kind: step.Volume, Name: name})
		}
	}
	return p.devices(ctx, c)
}

// exists reads from the error of a look whether something is there.
func exists(err error) (bool, error) {
	if cerrdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// missingNetwork plans a network that is not there, and refuses one that cannot
// be what the node's containers need.
func (p *Programs) missingNetwork(ctx context.Context, n *needs, name string) error {
	e := p.Node.Engine
	found, err := e.API.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	there, err := exists(err)
	if err != nil {
		return e.Explain("inspect network "+name, err)
	}
	recorded, ok := p.Specs.network(name)
	switch {
	case there && ok:
		return p.Specs.fits(recorded, found.Network)
	case there:
		return nil
	case !ok:
		return notRecorded(name)
	}
	s := step.Step{Act: step.Create, Kind: step.Network, Name: name}
	taken, err := e.taken(ctx, recorded)
	if err != nil {
		return err
	}
	if taken != "" {
		if p.Specs.addressed(recorded) {
			return addressesTaken(name, taken)
		}
		s.Why = "network " + taken + " has its addresses here, so it gets others"
	}
	add(&n.stands, s)
	return nil
}

// devices refuses a container whose devices this machine does not have.
func (p *Programs) devices(ctx context.Context, c Container) error {
	var r container.InspectResponse
	if json.Unmarshal(c.raw, &r) != nil || r.HostConfig == nil || !p.Node.Engine.SameMachine(ctx) {
		return nil
	}
	for _, d := range r.HostConfig.Devices {
		if _, err := os.Stat(d.PathOnHost); err != nil {
			return &holdfast.Problem{
				Class: holdfast.Refused, What: fmt.Sprintf("container %s uses device %s, which is not there", c.Name, d.PathOnHost),
				Err: err, Why: "It would not start.", Do: "Attach the device to this machine, and restore again.",
			}
		}
	}
	return nil
}

// missingFiles are the directories and files that have to be written, or that
// are not what the set kept. Nothing that is there is written over: on a machine
// that has nothing of the node yet, the set's is put next to it. In a directory
// that Postgres keeps its data in, nothing is ever written.
func (p *Programs) missingFiles(ctx context.Context, n *needs, missing []Container, fresh bool) error {
	if len(missing) == 0 {
		return nil
	}
	if !p.Node.Engine.SameMachine(ctx) {
		p.remoteDirectories(n, missing)
		return nil
	}
	p.directories(n, missing)
	for _, k := range p.kept {
		if p.Specs.isLive(k.Path) {
			continue // a set of an older version kept some of a server's data
		}
		if err := p.missingFile(ctx, n, k, fresh); err != nil {
			return err
		}
	}
	// Links come last: nothing is written through one.
	for _, l := range p.Specs.Links {
		if _, err := os.Lstat(l.Path); errors.Is(err, fs.ErrNotExist) && p.writable(l.Path) == nil {
			add(&n.files, step.Step{Act: step.Write, Kind: step.File, Name: l.Path})
		}
	}
	for _, c := range missing {
		for _, bind := range c.Binds {
			if err := p.mountable(c, bind); err != nil {
				return err
			}
		}
	}
	return nil
}

// missingFile plans one file.
func (p *Programs) missingFile(ctx context.Context, n *needs, k holdfast.KeptFile, fresh bool) error {
	there, err := os.ReadFile(k.Path)
	if errors.Is(err, fs.ErrNotExist) {
		s := p.place(k)
		if err := p.writable(cmp.Or(s.As, s.Name)); err != nil {
			return err
		}
		p.ancestors(n, cmp.Or(s.As, s.Name))
		add(&n.files, s)
		return nil
	}
	if err != nil || !fresh {
		return nil //nolint:nilerr // that it cannot be read will be seen by whoever needs it
	}
	content, err := p.content(ctx, k)
	if err != nil || bytes.Equal(there, content) || !under(p.Node.Directory, k.Path) {
		return err
	}
	add(&n.files, step.Step{
		Act: step.Write, Kind: step.File, Name: k.Path, As: k.Path + ".of-" + string(p.Set),
		Why: "it differs from the set's, and the next start.sh uses it: compare the two",
	})
	return nil
}

// directories plans the directories that the missing containers mount. Postgres's
// own are like volumes: what a restore has put there goes with it.
func (p *Programs) directories(n *needs, missing []Container) {
	for _, d := range p.Specs.Directories {
		if !strings.HasPrefix(d.Path, "/") || !p.mountedBy(missing, d.Path) {
			continue
		}
		s := createDirectory(d)
		if p.ofTheSystem(d.Path) || !d.Data && !under(p.Node.Directory, d.Path) && p.keepsIn(d.Path) {
			continue
		}
		info, err := os.Stat(d.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.ancestors(n, d.Path)
			add(&n.files, s)
		case err == nil && d.Data && emptyOf(d.Path) && ownerOf(info) != d.Owner:
			s.If, s.Why = true, "it is empty, and belongs to "+ownerOf(info)
			add(&n.files, s)
		}
	}
}

// ofTheSystem reports whether a directory is one that a set must not choose.
func (p *Programs) ofTheSystem(name string) bool {
	clean := path.Clean(name)
	return clean != name || slices.ContainsFunc(systemTrees, func(tree string) bool { return isIn(clean, tree) && !isIn(clean, "/dev/shm") })
}

// keepsIn reports whether the set has files of a directory.
func (p *Programs) keepsIn(name string) bool {
	return slices.ContainsFunc(p.kept, func(k holdfast.KeptFile) bool { return isIn(k.Path, name) })
}

func createDirectory(d Directory) step.Step {
	s := step.Step{Act: step.Create, Kind: step.Directory, Name: d.Path, Owner: d.Owner, Mode: d.Mode}
	if d.Data {
		s.Kind = step.Volume
	}
	return s
}

func emptyOf(name string) bool {
	entries, err := os.ReadDir(name)
	return err == nil && len(entries) == 0
}

// mountedBy reports whether one of the containers mounts a directory, or a volume
// that stands for it.
func (p *Programs) mountedBy(list []Container, name string) bool {
	return slices.ContainsFunc(list, func(c Container) bool {
		return slices.ContainsFunc(c.mounts, func(m mounted) bool {
			source := m.Path
			for _, v := range p.Specs.Volumes {
				if v.Name == m.Volume && v.Name != "" {
					source = dataOf(v).Path
				}
			}
			return source != "" && (isIn(name, source) || isIn(source, name))
		})
	})
}

// ancestors plans the directories above a path that are not there.
func (p *Programs) ancestors(n *needs, name string) {
	var missing []Directory
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		d, _ := p.Specs.directory(dir)
		missing = append(missing, d)
	}
	for _, d := range slices.Backward(missing) {
		add(&n.files, createDirectory(d))
	}
}

// remoteDirectories plans Postgres's directories on a machine that cannot be
// looked at.
func (p *Programs) remoteDirectories(n *needs, missing []Container) {
	for _, d := range p.Specs.Directories {
		if d.Data && strings.HasPrefix(d.Path, "/") && p.mountedBy(missing, d.Path) {
			s := createDirectory(d)
			s.If = true
			add(&n.stands, s)
		}
	}
}

// mountable makes sure that a file that a container mounts is there, or will
// be: Docker would make a directory of its name.
func (p *Programs) mountable(c Container, bind string) error {
	_, err := os.Stat(bind)
	if err == nil {
		return nil
	}
	kept := slices.ContainsFunc(p.kept, func(k holdfast.KeptFile) bool { return isIn(k.Path, bind) })
	if d, known := p.Specs.directory(bind); known && (d.Data || !kept) || kept && under(p.Node.Directory, bind) {
		return nil
	}
	if kept {
		return &holdfast.Problem{
			Class: holdfast.Refused, What: fmt.Sprintf("container %s mounts %s, which is not there", c.Name, bind), Err: err,
			Why: "The set has it, but it is outside of the bundle, where a set must not choose what is written.",
			Do:  fmt.Sprintf("Put it in its place, `holdfast export %s DIR && %s`, and restore again.", p.Set, p.installs(bind)),
		}
	}
	return &holdfast.Problem{
		Class: holdfast.Refused, What: fmt.Sprintf("container %s mounts %s, which is not there", c.Name, bind), Err: err,
		Why: "The node's containers use it, and the set did not keep it.",
		Do: "Put it there as it was. If the bundle is unpacked elsewhere, say where: " +
			"`directory:` below `compose:` in holdfast.yaml.",
	}
}

// installs are the commands that put exported files at a path or below it, with
// their modes and owners.
func (p *Programs) installs(bind string) string {
	var commands []string
	for _, k := range p.kept {
		if !isIn(k.Path, bind) {
			continue
		}
		command := "install -D"
		if k.Mode != "" {
			command += " -m " + k.Mode
		}
		if user, group, ok := strings.Cut(k.Owner, ":"); ok {
			command += " -o " + user + " -g " + group
		}
		commands = append(commands, fmt.Sprintf("%s DIR/%s %s", command, k.File, k.Path))
	}
	return strings.Join(commands, " && ")
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

// lay writes a file of the bundle, or a link. One that has come there since is
// left alone.
func (p *Programs) lay(ctx context.Context, s step.Step) error {
	if i := slices.IndexFunc(p.Specs.Links, func(l Link) bool { return l.Path == s.Name }); i >= 0 {
		if err := p.writable(s.Name); err != nil {
			return err
		}
		if err := os.Symlink(p.Specs.Links[i].Target, s.Name); err != nil && !errors.Is(err, fs.ErrExist) {
			return unwritable(s.Name, err)
		}
		return nil
	}
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

// unlay removes a file that a restore has written. One that was changed since
// stays.
func (p *Programs) unlay(ctx context.Context, s step.Step) error {
	if target, err := os.Readlink(s.Name); err == nil {
		if slices.Contains(p.Specs.Links, Link{s.Name, target}) {
			return os.Remove(s.Name)
		}
		return nil
	}
	there, err := os.ReadFile(s.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, k := range p.kept {
		if s.Name != k.Path && s.Name != k.Path+".of-"+string(p.Set) && s.Name != p.place(k).As {
			continue
		}
		content, err := p.content(ctx, k)
		if err != nil {
			return err
		}
		if bytes.Equal(there, content) {
			return os.Remove(s.Name)
		}
	}
	return nil
}

func unwritable(name string, err error) error {
	return &holdfast.Problem{
		Class: holdfast.Failed, What: "write the bundle's file " + name, Err: err,
		Why: "The node's containers, or its next start, need it.",
		Do: "Run Holdfast as root, or unpack the bundle where this user may write: " +
			"`directory:` below `compose:` in holdfast.yaml.",
	}
}

// write writes a new file of the bundle, whole or not at all, with the owner and
// the rights that it had: the users of containers read what they mount.
func (p *Programs) write(name string, content []byte, k holdfast.KeptFile) error {
	if _, err := os.Lstat(name); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // containers' users go through it
		return unwritable(name, err)
	}
	err := durable.Write(name, content, modeOf(k, content))
	if err == nil && k.Owner != "" {
		uid, gid := Directory{Owner: k.Owner}.ids()
		if err = os.Lchown(name, uid, gid); errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
			err = nil // only root gives files away
		}
	}
	if err != nil {
		return unwritable(name, err)
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
