package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// privateRoot is the file system that a server sees instead of the machine's: its
// own directories, and the programs and libraries of the machine, read-only.
// There is no /proc, /sys, /run or /tmp, so no socket, no process and no file of
// anybody else has a path.
type privateRoot struct {
	At       string   `json:"at"`       // an empty directory to mount it at
	ReadOnly []string `json:"readonly"` // what it shows of the machine
	Own      []string `json:"own"`      // the server's own directories, at their own paths
}

// programTrees are where programs and libraries are, on any distribution.
var programTrees = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store",
	"/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime", "/var/cache/postgresql",
}

// devices are the only ones of a private root.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// enter makes it the root of this process, which needs a mount namespace of its
// own. Nothing of the old root stays reachable.
func (r privateRoot) enter(who *account) error {
	// Nothing that is mounted here reaches the machine.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("separate the mounts: %w", err)
	}
	if err := unix.Mount("tmpfs", r.At, "tmpfs", unix.MS_NOSUID, "mode=0755,size=16m"); err != nil {
		return fmt.Errorf("mount a private root: %w", err)
	}
	if err := r.fill(who); err != nil {
		return err
	}
	if err := os.Chdir(r.At); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change to the private root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the machine's root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return remount("/", unix.MS_RDONLY|unix.MS_NOSUID)
}

func (r privateRoot) fill(who *account) error {
	// Shared memory of parallel workers. The limit is of pages that are used. It
	// comes first: the directory of a drill may be in that of the machine.
	shm := filepath.Join(r.At, "/dev/shm")
	if err := os.MkdirAll(shm, 0o755); err != nil { //nolint:gosec // everybody in it is the server
		return err
	}
	if err := unix.Mount("tmpfs", shm, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=25%"); err != nil {
		return fmt.Errorf("mount %s: %w", shm, err)
	}
	for _, path := range r.ReadOnly {
		if err := r.show(path, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV); err != nil {
			return err
		}
	}
	for _, path := range r.Own {
		if err := r.show(path, unix.MS_NOSUID|unix.MS_NODEV); err != nil {
			return err
		}
	}
	for _, path := range devices {
		if err := r.show(path, unix.MS_NOSUID|unix.MS_NOEXEC); err != nil {
			return err
		}
	}
	return r.names(who)
}

// names writes the account list. The server's programs insist on a name.
func (r privateRoot) names(who *account) error {
	uid, gid := os.Getuid(), os.Getgid()
	if who != nil {
		uid, gid = int(who.UID), int(who.GID)
	}
	for name, text := range map[string]string{
		"passwd": fmt.Sprintf("root:x:0:0::/:/bin/false\nholdfast:x:%d:%d::/:/bin/false\n", uid, gid),
		"group":  fmt.Sprintf("root:x:0:\nholdfast:x:%d:\n", gid),
	} {
		at := filepath.Join(r.At, "etc", name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil { //nolint:gosec // nothing secret
			return err
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil { //nolint:gosec // nothing secret
			return err
		}
	}
	return nil
}

// show makes a path of the machine appear at the same path. What the machine
// does not have is left out, and a link stays a link.
func (r privateRoot) show(path string, flags uintptr) error {
	info, err := os.Lstat(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	at := filepath.Join(r.At, path)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil { //nolint:gosec // everybody in it is the server
		return err
	}
	switch {
	case info.Mode()&os.ModeSymlink != 0:
		to, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return os.Symlink(to, at)
	case info.IsDir():
		err = os.MkdirAll(at, 0o755) //nolint:gosec // it is covered by the mount
	default:
		err = os.WriteFile(at, nil, 0o600)
	}
	if err != nil {
		return err
	}
	// Recursively: an unprivileged namespace may not uncover what a mount hides.
	if err := unix.Mount(path, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("show %s: %w", path, err)
	}
	return remount(at, flags)
}

// remount adds flags to a mount. Those that it has already have to be repeated:
// an unprivileged namespace may not clear them.
func remount(path string, flags uintptr) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return err
	}
	had := uintptr(fs.Flags) //nolint:gosec // a set of flags
	flags |= had & (unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
	if had&unix.ST_RELATIME != 0 {
		flags |= unix.MS_RELATIME
	}
	if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
		return fmt.Errorf("protect %s: %w", path, err)
	}
	return nil
}

// around are the trees that a private root shows for programs in that directory.
func around(programs string) []string {
	trees := programTrees
	for _, tree := range trees {
		if strings.HasPrefix(programs, tree+"/") {
			return trees
		}
	}
	return append([]string{filepath.Dir(programs)}, trees...) // with their libraries
}
