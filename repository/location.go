package repository

import (
	"os"
	"path/filepath"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/blob/filesystem"
)

// Location says where a repository is, as kopia's storage layer understands
// it: a type and that type's options. Constructors make the ones in use.
type Location struct {
	Storage blob.ConnectionInfo
	Name    string // for people: "/var/backups/holdfast"
	// ErrorCorrection is how much redundancy a new repository stores beside the
	// data, in percent of it; only Create looks at it.
	ErrorCorrection int
	// Locks is a directory where processes keep each other from changing the
	// history at the same time. Without one it is on whoever runs them.
	Locks string
	// Copies are directories outside of the repository that get a copy of
	// kopia.repository each, without which nothing in it can be read.
	Copies []string
}

// Filesystem is a repository in a directory. Files are created with mode 0600
// and directories with 0700.
func Filesystem(path string) Location {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return Location{
		Name: path, Locks: path,
		Storage: blob.ConnectionInfo{Type: "filesystem", Config: &filesystem.Options{
			Path: path, FileMode: 0o600, DirectoryMode: 0o700,
		}},
	}
}

// makeDirectory makes the directory of a repository in one. Kopia would do so
// as well, but not say why it could not.
func (l Location) makeDirectory() error {
	if o, ok := l.Storage.Config.(*filesystem.Options); ok {
		return os.MkdirAll(o.Path, o.DirectoryMode)
	}
	return nil
}
