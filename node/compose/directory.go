package compose

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/internal/docker"
)

// Directory is a directory that the node's containers mount, on the daemon's
// machine or as a volume: who owns it, and its rights. A new one that is root's
// is of no use to a program that is not.
type Directory struct {
	Path  string `json:"path"`           // or the name of a volume
	Owner string `json:"owner"`          // "999:999"
	Mode  string `json:"mode"`           // "0700"
	Data  bool   `json:"data,omitempty"` // Postgres keeps data in it: none of it is in the set as files
}

// ids are the numbers of the owner.
func (d Directory) ids() (uid, gid int) {
	user, group, _ := strings.Cut(d.Owner, ":")
	uid, _ = strconv.Atoi(user)
	gid, _ = strconv.Atoi(group)
	return uid, gid
}

func (d Directory) mode() fs.FileMode {
	m, err := strconv.ParseUint(cmp.Or(d.Mode, "0755"), 8, 12)
	if err != nil {
		return 0o755
	}
	out := fs.FileMode(m & 0o777)
	for bit, special := range map[uint64]fs.FileMode{0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&bit != 0 {
			out |= special
		}
	}
	return out
}

// octal are the rights of a file as chmod takes them.
func octal(mode fs.FileMode) string {
	m := uint32(mode.Perm())
	for bit, special := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&special != 0 {
			m |= bit
		}
	}
	return fmt.Sprintf("%04o", m)
}

// directory is what a set recorded of one; false where it recorded none.
func (s Specs) directory(name string) (Directory, bool) {
	i := slices.IndexFunc(s.Directories, func(d Directory) bool { return d.Path == name })
	if i < 0 {
		return Directory{Path: name, Owner: "0:0", Mode: "0755"}, false
	}
	return s.Directories[i], true
}

// isLive reports whether a path is in a directory that Postgres keeps data in.
func (s Specs) isLive(name string) bool {
	return slices.ContainsFunc(s.Directories, func(d Directory) bool {
		return d.Data && strings.HasPrefix(d.Path, "/") && isIn(name, d.Path)
	})
}

// makeDirectory makes a directory of the daemon's machine with the owner and
// the rights that were recorded. One that has anything in it is left alone.
func (p *Programs) makeDirectory(ctx context.Context, name string) error {
	d, _ := p.Specs.directory(name)
	if !p.Node.Engine.SameMachine(ctx) {
		return p.unpack(ctx, path.Dir(name), path.Base(name), d)
	}
	if entries, err := os.ReadDir(name); err == nil && len(entries) > 0 {
		return nil
	}
	uid, gid := d.ids()
	err := os.Mkdir(name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err == nil {
		err = errors.Join(os.Chown(name, uid, gid), os.Chmod(name, d.mode()))
	}
	if errors.Is(err, fs.ErrPermission) {
		return p.unpack(ctx, path.Dir(name), path.Base(name), d)
	}
	if err != nil {
		return &holdfast.Problem{
			Class: holdfast.Failed, What: "make directory " + name, Err: err, Why: "The node's containers mount it.",
			Do: "Make it by hand, with owner " + d.Owner + " and mode " + d.Mode + ", and restore again.",
		}
	}
	return nil
}

// own gives an empty volume, or directory, the owner and the rights that were
// recorded of it.
func (p *Programs) own(ctx context.Context, h dataDirectory) error {
	d, ok := p.Specs.directory(h.String())
	if !ok {
		return nil
	}
	return p.unpack(ctx, h.String(), "", d)
}

// unpack makes a directory below a source, a directory or a volume, or gives the
// source itself an owner: by an archive that is unpacked in a container which is
// never started. So it needs no program in any image, and no right here but that
// of using Docker.
func (p *Programs) unpack(ctx context.Context, source, name string, d Directory) error {
	uid, gid := d.ids()
	mode, _ := strconv.ParseInt(cmp.Or(d.Mode, "0755"), 8, 64)
	var text bytes.Buffer
	archive := tar.NewWriter(&text)
	err := archive.WriteHeader(&tar.Header{
		Typeflag: tar.TypeDir, Name: path.Join("there", name) + "/", Mode: mode, Uid: uid, Gid: gid,
		ModTime: time.Now().Truncate(time.Second),
	})
	if err = errors.Join(err, archive.Close()); err != nil {
		return err
	}
	return p.pour(ctx, source, &text)
}

// pour unpacks an archive below /there, where a source is mounted.
func (p *Programs) pour(ctx context.Context, source string, archive *bytes.Buffer) error {
	e := p.Node.Engine
	image, err := p.anyImage(ctx)
	if err != nil {
		return err
	}
	name := p.Node.Project + "-holdfast-helper"
	if err := e.awaitHelper(ctx, name); err != nil {
		return err
	}
	made, err := e.API.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: name,
		Config: &container.Config{
			Image: image, Entrypoint: []string{"never-started"}, Labels: map[string]string{helperLabel: p.Node.Project},
		},
		HostConfig: &container.HostConfig{Binds: []string{source + ":/there"}, NetworkMode: "none", SecurityOpt: []string{"label=disable"}},
	})
	if err != nil {
		return e.Explain("create container "+name, err)
	}
	_, err = e.API.CopyToContainer(ctx, made.ID, client.CopyToContainerOptions{DestinationPath: "/", Content: archive})
	return errors.Join(e.Explain("write into "+source, err), e.dismiss(ctx, made.ID))
}

// anyImage is an image of the node that is there.
func (p *Programs) anyImage(ctx context.Context) (string, error) {
	for _, c := range p.Node.All {
		if found, there, err := p.Node.Engine.Has(ctx, docker.Image{Name: c.Image}); err != nil {
			return "", err
		} else if there {
			return found.ID, nil
		}
	}
	return "", &holdfast.Problem{
		Class: holdfast.Failed, What: "no image of the node is in the Docker daemon",
		Why: "A directory or a volume is filled through a container.", Do: "Fetch one of them with `docker pull`, and restore again.",
	}
}

// removeDirectory removes a directory that a restore has made. What somebody
// has put into it stays, and so does the directory; of Postgres's own the
// content is the restore's as well.
func (p *Programs) removeDirectory(ctx context.Context, name string, data bool) error {
	if p.Node.Engine.SameMachine(ctx) {
		remove := os.Remove
		if data {
			remove = os.RemoveAll
		}
		err := remove(name)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	script := `rmdir "/there/$1"`
	if data {
		script = `rm -rf -- "/there/$1"`
	}
	image, err := p.postgresImage(ctx)
	if err != nil {
		return err
	}
	binds := []string{path.Dir(name) + ":/there"}
	code, said, err := p.Node.Engine.help(ctx, p.Node.Project, image, binds, script, path.Base(name))
	if err == nil && code != 0 {
		err = fmt.Errorf("remove directory %s: %s", name, said)
	}
	return err
}
