package compose

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/internal/docker"
	"holdfast/step"
)

// dataDirectory is what a server's data directory lies in: a volume of Docker, a
// directory of the daemon's machine, or a volume that stands for one.
type dataDirectory struct {
	Volume string `json:"volume,omitempty"` // its name
	// Path is the directory on the daemon's machine; "" where only the volume's
	// driver knows it, or where it cannot be renamed.
	Path string `json:"path,omitempty"`
	// Bound says that Path is not Docker's own but the operator's.
	Bound bool `json:"bound,omitempty"`
}

func (h dataDirectory) String() string { return cmp.Or(h.Volume, h.Path) }

// mounted is where a container sees a volume or a directory.
type mounted struct {
	dataDirectory
	inside   string
	writable bool
	memory   bool // it is gone with the container's end
}

// data is what the container has its databases in; the first answer is empty
// where they lie in the container itself.
func (c Container) data() (found mounted) {
	return c.mountOf(c.pgdata())
}

// pgdata is the server's data directory as the container sees it.
func (c Container) pgdata() string {
	return path.Clean(cmp.Or(c.Env.Get("PGDATA"), "/var/lib/postgresql/data"))
}

// mountOf is the mount that a path of the container lies in; an empty one where
// it lies in the container itself.
func (c Container) mountOf(name string) (found mounted) {
	for _, m := range c.mounts {
		if isIn(name, m.inside) && len(m.inside) > len(found.inside) {
			found = m
		}
	}
	return found
}

// isIn reports whether a path is a directory or below it.
func isIn(name, directory string) bool {
	return name == directory || directory == "/" || strings.HasPrefix(name, strings.TrimSuffix(directory, "/")+"/")
}

// look completes what is known of a dataDirectory; there is false for a volume that
// does not exist.
func (e *Engine) look(ctx context.Context, h dataDirectory) (_ dataDirectory, there bool, err error) {
	if h.Volume == "" {
		return dataDirectory{Path: h.Path, Bound: true}, h.Path != "", nil
	}
	v, err := e.API.VolumeInspect(ctx, h.Volume, client.VolumeInspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return h, false, nil
	}
	if err != nil {
		return h, false, e.Explain("inspect volume "+h.Volume, err)
	}
	return dataOf(v.Volume), true, nil
}

// dataOf finds where a volume's files are. Docker's own driver keeps them in a
// directory, or binds one of the operator's; of others nothing is known.
func dataOf(v volume.Volume) dataDirectory {
	h := dataDirectory{Volume: v.Name}
	switch {
	case v.Driver != "local":
	case len(v.Options) == 0:
		h.Path = v.Mountpoint
	case v.Options["device"] != "" && strings.Contains(","+v.Options["o"]+",", ",bind,"):
		h.Path, h.Bound = v.Options["device"], true
	}
	return h
}

// The labels of a volume that a restore or its undoing has kept. They are
// the only record of it, as comments are that of databases.
const (
	labelProject = "holdfast.project"
	labelOf      = "holdfast.volume"
	labelRole    = "holdfast.role"
	labelSet     = "holdfast.set"
	labelAt      = "holdfast.at"
	labelBeside  = "holdfast.beside" // a list in JSON: what the volume has that is in no set
)

// besideOf is what a volume has, by its labels, that is in no set.
func besideOf(labels map[string]string) (out []string) {
	_ = json.Unmarshal([]byte(labels[labelBeside]), &out) // none, or of another hand
	return out
}

// nameTime is the form of time in the name of a volume: no colon may be in it.
const nameTime = "20060102T150405Z"

// keptName says whose place a volume had, and which restore it made room for,
// when.
func keptName(h dataDirectory, role step.Role, o origin) string {
	name := h.Volume
	if name == "" {
		name = o.Project + "_" + path.Base(h.Path)
	}
	return fmt.Sprintf("%s.%s-%s.at-%s", name, role, o.Set, o.At.UTC().Format(nameTime))
}

// spare makes an empty data directory for what another has. Where the other can
// be renamed, so can the spare: it stands for a directory next to it.
func (e *Engine) spare(
	ctx context.Context, data dataDirectory, rename bool, role step.Role, of origin,
) (dataDirectory, error) {
	name := keptName(data, role, of)
	o := client.VolumeCreateOptions{Name: name, Labels: map[string]string{
		labelProject: of.Project, labelOf: data.String(), labelRole: string(role),
		labelSet: string(of.Set), labelAt: of.At.UTC().Format(nameTime),
	}}
	if len(of.Beside) > 0 {
		text, _ := json.Marshal(of.Beside) // texts encode
		o.Labels[labelBeside] = string(text)
	}
	if rename && data.Bound {
		o.DriverOpts = map[string]string{"type": "none", "o": "bind", "device": strings.TrimSuffix(data.Path, "/") + strings.TrimPrefix(name, data.Volume)}
		if data.Volume == "" {
			o.DriverOpts["device"] = path.Join(path.Dir(data.Path), strings.TrimPrefix(name, of.Project+"_"))
		}
	}
	made, err := e.API.VolumeCreate(ctx, o)
	if err != nil {
		return dataDirectory{}, e.Explain("create volume "+name, err)
	}
	h := dataOf(made.Volume)
	if !rename {
		h.Path = "" // by copy, then
	}
	return h, nil
}

// carry brings all that one data directory has to another, which is empty. At any moment
// one of the two has all of it, whatever dies; done again after that, it goes
// on. Between directories of one file system it is a rename; stays says that
// the first is to be there afterwards, empty, with the owner and the rights
// that it had. Otherwise it is a copy, proven file by file before anything is
// taken away: copied says that an earlier one was, proven is called when this
// one is.
func (p *Programs) carry(ctx context.Context, from, to dataDirectory, stays, copied bool, proven func() error) error {
	if from.Path != "" && to.Path != "" {
		root := common(from.Path, to.Path)
		return p.send(ctx, "rename", from, to, []string{root + ":/there"}, renameScript,
			below(root, from.Path), below(root, to.Path), fmt.Sprint(stays))
	}
	binds := []string{from.String() + ":/from", to.String() + ":/to"}
	if !copied {
		if err := p.send(ctx, "copy", from, to, binds, copyScript); err != nil {
			return err
		}
		if err := proven(); err != nil {
			return err
		}
	}
	return p.send(ctx, "empty", from, to, binds, `rm -rf -- /from/* /from/.[!.]* /from/..?*; sync`)
}

// common is the directory that two directories have in common.
func common(a, b string) string {
	for a = path.Dir(a); a != "/" && !strings.HasPrefix(b, a+"/"); a = path.Dir(a) {
	}
	return a
}

// below is a path without the directory that it is in: "/a" of "/".
func below(root, name string) string { return strings.TrimPrefix(name, strings.TrimSuffix(root, "/")) }

// noRoom is how the script that copies says that there is no room for a copy.
const noRoom = 28 // ENOSPC

// send runs a script that brings what one data directory has to another.
func (p *Programs) send(
	ctx context.Context, what string, from, to dataDirectory, binds []string, script string, args ...string,
) error {
	image, err := p.postgresImage(ctx)
	if err != nil {
		return err
	}
	code, said, err := p.Node.Engine.help(ctx, p.Node.Project, image, binds, script, args...)
	if err != nil || code == 0 {
		return err
	}
	problem := &holdfast.Problem{
		Class: holdfast.Failed, What: fmt.Sprintf("moving %s to %s failed (%s, exit code %d): %s", from, to, what, code, said),
		Why: "No data is lost: one of them still has all of it.",
		Do:  "Correct the cause and repeat the command. To roll back: `holdfast restore undo`.",
	}
	if code == noRoom {
		problem.Class = holdfast.NoSpace
		problem.Do = "Make room on the disk of Docker's volumes, or move the data away by hand, and repeat the command."
	}
	return problem
}

// postgresImage is an image that is there, with a shell and the usual tools.
func (p *Programs) postgresImage(ctx context.Context) (string, error) {
	if now, err := p.current(ctx); err == nil && now.Postgres != nil {
		return now.Postgres.ImageID, nil
	}
	image, err := p.Node.Engine.Have(ctx, docker.Image{Name: p.Node.Postgres.Image}, "Its tools are needed to keep a volume.")
	return image.ID, err
}

// canRename says whether a dataDirectory's directory lies on the file system of the
// directory that it is in. One that is a mount point does not; nor does one
// that a container cannot be shown.
func (p *Programs) canRename(ctx context.Context, h dataDirectory) (bool, error) {
	if h.Path == "" {
		return false, nil
	}
	image, err := p.postgresImage(ctx)
	if err != nil {
		return false, err
	}
	root := path.Dir(h.Path)
	if !h.Bound {
		root = path.Dir(root) // Docker's own are in a directory each
	}
	code, _, err := p.Node.Engine.help(ctx, p.Node.Project, image, []string{root + ":/there"},
		`[ "$(stat -c %d "/there$1")" = "$(stat -c %d /there)" ]`, below(root, h.Path))
	var problem *holdfast.Problem
	if err != nil && ctx.Err() == nil && errors.As(err, &problem) && problem.Class != holdfast.Unreachable {
		return false, nil
	}
	return code == 0, err
}

// renameScript moves the directory $1 below /there to $2, and makes $1 again if
// $3 is true. It has been moved when it is not there, or is empty while $2 is
// not. Of two that both have something, neither is touched.
const renameScript = `cd /there
from=.$1 to=.$2
filled() { [ -e "$1" ] && [ -n "$(ls -A "$1")" ]; }
if [ -e "$from" ] && { filled "$from" || ! filled "$to"; }; then
  [ ! -e "$to" ] || rmdir "$to"
  mv "$from" "$to"
fi
if [ "$3" != true ]; then
  [ ! -e "$from" ] || rmdir "$from"
elif [ ! -e "$from" ]; then
  mkdir -p "$from.new"
  chown "$(stat -c %u:%g "$to")" "$from.new"
  chmod "$(stat -c %a "$to")" "$from.new"
  mv "$from.new" "$from"
fi
sync`

// copyScript copies /from to /to, from the beginning, and compares every file,
// owner and right. No command that could fail stands in a pipe, where a shell
// would pass over that.
const copyScript = `need=$(du -sk /from | cut -f1)
rm -rf -- /to/* /to/.[!.]* /to/..?*
free=$(df -Pk /to | awk 'NR == 2 {print $4}')
if [ "$free" -lt $((need + need / 20 + 1024)) ]; then
  echo "the copy needs $need KiB, and $free KiB are free"
  exit 28
fi
chown "$(stat -c %u:%g /from)" /to
chmod "$(stat -c %a /from)" /to
cp -a /from/. /to/
sync
walk() (
  cd "$1"
  where=$2
  echo "$where"
  set --
  for entry in * .[!.]* ..?*; do
    if [ -e "$entry" ] || [ -L "$entry" ]; then set -- "$@" "$entry"; fi
  done
  if [ $# -eq 0 ]; then exit 0; fi
  stat -c '%n %F %a %u:%g' -- "$@"
  set --
  for entry in * .[!.]* ..?*; do
    if [ -L "$entry" ]; then readlink -- "$entry"
    elif [ -f "$entry" ]; then set -- "$@" "$entry"; fi
  done
  if [ $# -gt 0 ]; then sha256sum -- "$@"; fi
  for entry in * .[!.]* ..?*; do
    if [ -d "$entry" ] && [ ! -L "$entry" ]; then walk "$entry" "$where/$entry"; fi
  done
)
walk /from . >/tmp/from
walk /to . >/tmp/to
sha256sum </tmp/from >/tmp/from.sum
sha256sum </tmp/to >/tmp/to.sum
if [ ! -s /tmp/from.sum ] || [ "$(cat /tmp/from.sum)" != "$(cat /tmp/to.sum)" ]; then
  echo "the copy differs from what was copied"
  exit 1
fi`
