package compose

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"holdfast"
	"holdfast/step"
)

// A set says where its node's files were. It may come from elsewhere, so a
// restore writes only below the bundle's directory, with modest rights.

// elsewhere is the directory of the bundle for kept files that were not below it.
const elsewhere = "from-elsewhere"

// systemTrees are no place for a bundle: what is written there may be executed by
// the machine itself.
var systemTrees = []string{
	"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/spool",
}

// place is where a kept file is written: where it was, or below the bundle's
// directory if it was outside.
func (p *Programs) place(k holdfast.KeptFile) step.Step {
	s := step.Step{Act: step.Write, Kind: step.File, Name: k.Path}
	if !under(p.Node.Directory, k.Path) {
		s.As = filepath.Join(p.Node.Directory, elsewhere, filepath.Clean("/"+k.Path))
		s.Why = "it was outside of the bundle: compare it, and put it there yourself"
	}
	return s
}

// under reports whether a path is below a directory, as it is written.
func under(directory, path string) bool {
	if !filepath.IsAbs(directory) || filepath.Clean(path) != path {
		return false
	}
	relative, err := filepath.Rel(directory, path)
	return err == nil && relative != "." && filepath.IsLocal(relative)
}

// writable refuses a file that a set must not choose to write.
func (p *Programs) writable(path string) error {
	in := func(tree string) bool { // memory that is mounted as a file system is no device
		return (p.Node.Directory == tree || under(tree, p.Node.Directory)) && !under("/dev/shm", p.Node.Directory)
	}
	refused := func(what string) error {
		return &holdfast.Problem{
			Class: holdfast.Refused,
			What:  what,
			Why:   "A set from elsewhere says where its files were. It must not choose what this machine executes.",
			Do:    "Say where the bundle is to be: `directory:` below `compose:` in holdfast.yaml.",
		}
	}
	switch {
	case p.Node.Directory == "/" || slices.ContainsFunc(systemTrees, in):
		return refused(fmt.Sprintf("the set's bundle was in %s, a directory of the system", p.Node.Directory))
	case !under(p.Node.Directory, path):
		return refused(fmt.Sprintf("%s is not below the bundle's directory %s", path, p.Node.Directory))
	case strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return refused(fmt.Sprintf("the path %q has control characters", path))
	}
	return nil
}
