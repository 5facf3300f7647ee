package compose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"holdfast"
)

// Link is a symbolic link in a directory that a container mounts.
type Link struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

// holdings is what a set keeps of the files that a node's containers are made
// from and mount, and what it does not.
type holdings struct {
	files       []string
	directories []Directory
	links       []Link
	notKept     []string // it is worth knowing
	notRemade   []string // a restore on an empty machine cannot make it again
}

// How much of a mounted directory is taken: what belongs to a node's set-up is
// little. A file that is mounted by itself may be larger, such as a library.
const (
	mostFiles = 50
	mostBytes = 1 << 20
	mostAlone = 16 << 20
)

// holdings looks at the bundle's files and at what is mounted: nothing of it
// is in a directory that a Postgres server keeps its data in.
func (n *Node) holdings(ctx context.Context) (*holdings, error) {
	live, err := n.liveDirectories(ctx)
	if err != nil {
		return nil, err
	}
	h := &holdings{directories: live}
	if !n.Engine.Local() || n.Directory == "" {
		return h, nil
	}
	h.files = append(h.files, filepath.Join(n.Directory, ".env"))
	h.files = append(h.files, n.Files...)
	for _, c := range n.All {
		for _, m := range c.mounts {
			if m.Path != "" && !m.memory {
				h.bind(c, m, n.roleOf(c.ID) != "")
			}
		}
	}
	slices.Sort(h.files)
	h.files = slices.Compact(h.files)
	return h, nil
}

// machines are what every machine has of its own: a node's containers see that
// of the machine they run on. It is not kept, and it has to be there.
var machines = []string{
	"/proc", "/sys", "/dev", "/run", "/var/run", "/var/log", "/var/lib/docker", "/lib", "/lib64", "/usr", "/bin", "/sbin",
	"/boot", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/hosts", "/etc/hostname",
	"/etc/resolv.conf", "/etc/machine-id", "/etc/ssl", "/etc/pki", "/etc/ca-certificates",
}

func ofEveryMachine(name string) bool {
	if name == "/" || name == "/tmp" {
		return true
	}
	return !isIn(name, "/dev/shm") && slices.ContainsFunc(machines, func(dir string) bool { return isIn(name, dir) })
}

// isLive reports whether a path is in a directory that holds a server's data.
func (h *holdings) isLive(name string) bool { return Specs{Directories: h.directories}.isLive(name) }

// bind takes what is mounted from the daemon's machine. Role says that the
// container is one that the node cannot be without.
func (h *holdings) bind(c Container, m mounted, role bool) {
	source := m.Path
	if h.isLive(source) || ofEveryMachine(source) || slices.Contains(h.files, source) {
		return
	}
	info, err := os.Stat(source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		h.notKept = append(h.notKept, fmt.Sprintf("%s, which container %s mounts, is not on this machine", source, c.Name))
	case err != nil:
		h.notKept = append(h.notKept, err.Error())
	case info.IsDir():
		h.directory(c, m, role)
	case info.Mode().IsRegular() && info.Size() <= mostAlone:
		h.files = append(h.files, source)
	case info.Mode().IsRegular():
		h.short(role, "%s, which container %s mounts, has %d bytes, more than is kept", source, c.Name, info.Size())
	}
}

// short notes what is not kept. Of a container that the node cannot be without
// that leaves the set unproven.
func (h *holdings) short(role bool, format string, args ...any) {
	list := &h.notKept
	if role {
		list = &h.notRemade
	}
	if what := fmt.Sprintf(format, args...); !slices.Contains(*list, what) {
		*list = append(*list, what)
	}
}

// directory takes a directory that is mounted, with what is below it.
func (h *holdings) directory(c Container, m mounted, role bool) {
	root, err := filepath.EvalSymlinks(m.Path)
	if err != nil {
		h.notKept = append(h.notKept, err.Error())
		return
	}
	w := walk{holdings: h, root: root, as: m.Path}
	err = filepath.WalkDir(root, w.visit)
	if err != nil && !errors.Is(err, filepath.SkipAll) {
		h.notKept = append(h.notKept, err.Error())
	}
	h.files = append(h.files, w.files...)
	if w.more > 0 {
		w.short = append(w.short, fmt.Sprintf("%d more files in %s: of a mounted directory, %d are kept", w.more, m.Path, mostFiles))
	}
	for _, what := range w.short {
		// What a program may write there is its own; what it may only read was put
		// there for it.
		h.short(role && !m.writable, "%s (container %s mounts it)", what, c.Name)
	}
}

// walk is a walk through a directory that is mounted.
type walk struct {
	*holdings
	root, as string // what is walked, and what it is called
	files    []string
	entries  int
	more     int      // than are taken
	short    []string // what else is not taken
}

// tablespace is the name of the directory that a server has in a tablespace.
var tablespace = regexp.MustCompile(`^PG_[0-9.]+_[0-9]+$`)

func (w *walk) visit(name string, e fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	known := path.Join(w.as, strings.TrimPrefix(name, w.root))
	if w.entries++; w.entries > 20*mostFiles {
		w.more++
		return filepath.SkipAll
	}
	info, err := e.Info()
	if err != nil {
		return nil //nolint:nilerr // it was removed meanwhile
	}
	switch {
	case e.IsDir():
		d := Directory{Path: known, Owner: ownerOf(info), Mode: octal(info.Mode()), Data: holdsData(name, e)}
		if w.isLive(known) {
			return filepath.SkipDir
		}
		w.directories = append(w.directories, d)
		if d.Data {
			return filepath.SkipDir
		}
	case e.Type().IsRegular() && info.Size() > mostBytes:
		w.short = append(w.short, fmt.Sprintf("%s has %d bytes: files of a bundle of at most %d are kept", known, info.Size(), mostBytes))
	case e.Type().IsRegular() && len(w.files) == mostFiles:
		w.more++
	case e.Type().IsRegular():
		w.files = append(w.files, known)
	case e.Type() == fs.ModeSymlink:
		if target, err := os.Readlink(name); err == nil {
			w.links = append(w.links, Link{known, target})
		}
	}
	return nil
}

// holdsData reports whether a directory is one that a Postgres server keeps data
// in, whoever runs it.
func holdsData(name string, e fs.DirEntry) bool {
	if tablespace.MatchString(e.Name()) {
		return true
	}
	_, err := os.Lstat(filepath.Join(name, "PG_VERSION"))
	return err == nil
}

// ownerOf is who owns a file, by numbers; "" where the system has none.
func ownerOf(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d:%d", s.Uid, s.Gid)
	}
	return ""
}

// take reads a file of the node's set-up into a set; nil for one that is not
// there or that cannot be read.
func (h *holdings) take(ctx context.Context, out holdfast.Sink, name, as string) (*holdfast.KeptFile, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(name, ".env") {
			h.notKept = append(h.notKept, err.Error())
		}
		return nil, nil
	}
	kept := holdfast.KeptFile{Path: name, File: as}
	if info, err := os.Stat(name); err == nil {
		kept.Mode, kept.Owner = octal(info.Mode()), ownerOf(info)
	}
	return &kept, put(ctx, out, kept.File, text)
}
