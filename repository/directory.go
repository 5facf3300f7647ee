package repository

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/blob/filesystem"
	"github.com/kopia/kopia/repo/blob/sharded"

	"holdfast"
)

// localDirectory is a directory of this machine, as the place of a repository,
// and as a place for copies of its vital blobs. Files are created with mode
// 0600 and directories with 0700.
type localDirectory string

const (
	fileMode      = 0o600
	directoryMode = 0o700
)

// spread is how new repositories spread blobs over directories, which stands in their
// file .shards. kopia takes another way to read one whose .shards was lost, as in a copy
// without hidden files, finds nothing there, and writes that down.
var spread = sharded.Options{DirectoryShards: []int{1, 3}}

// storage creates the directory itself if requested. Kopia would do so as well,
// but without saying why it failed.
func (d localDirectory) storage(ctx context.Context, create bool) (blob.Storage, error) {
	if create {
		if err := os.MkdirAll(string(d), directoryMode); err != nil {
			return nil, err
		}
	}
	o := &filesystem.Options{Path: string(d), FileMode: fileMode, DirectoryMode: directoryMode, Options: spread}
	st, err := filesystem.New(ctx, o, create)
	if err != nil || create {
		return st, err
	}
	if err := untouched(ctx, st); err != nil {
		return nil, errors.Join(err, st.Close(ctx))
	}
	return st, nil
}

// untouched is fs.ErrNotExist for a directory without blobs of a repository. To read
// one there kopia would first write a file: on the machine's own disk, where the disk
// of the repository is not mounted. What else is wrong is said when it is read.
func untouched(ctx context.Context, st blob.Reader) error {
	seen := errors.New("seen")
	if err := st.ListBlobs(ctx, opensBy, func(blob.Metadata) error { return seen }); err != nil {
		return nil
	}
	if there, err := holdsAnything(ctx, st); there || err != nil {
		return nil
	}
	return fs.ErrNotExist
}

// opensBy begins the names of the blobs that open a repository.
const opensBy = "kopia."

func (d localDirectory) vacant(context.Context) (bool, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if len(entries) == 1 && entries[0].Name() == "lost+found" {
		return false, &holdfast.Problem{
			Class: holdfast.Refused,
			What:  string(d) + " is the root of a disk",
			Why:   "Its lost+found belongs to root, and a repository reads every directory in it.",
			Do:    "Name a directory of its own on that disk: " + filepath.Join(string(d), "holdfast") + ".",
		}
	}
	return err == nil && len(entries) == 0, err
}

// lock is a file in the repository's directory that a process holds with flock,
// so it is released however the process ends. It works between the processes of
// one machine and, on a network file system, as far as that system supports
// flock.
func (d localDirectory) lock(_ context.Context, name string) (lock, error) {
	file, err := os.OpenFile(filepath.Join(string(d), "holdfast."+name+".lock"), os.O_CREATE|os.O_RDWR, fileMode)
	return flock{file}, err
}

func (d localDirectory) lockFile() (string, func(), error) {
	return filepath.Join(string(d), "holdfast.kopia"), func() {}, nil
}

type flock struct{ file *os.File }

func (l flock) try(context.Context) (bool, error) {
	err := syscall.Flock(int(l.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	return err == nil, err
}

func (l flock) release() { _ = l.file.Close() }

func (d localDirectory) names() (list []string, err error) {
	entries, err := os.ReadDir(string(d))
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list, err
}

func (d localDirectory) where(name string) string { return filepath.Join(string(d), name) }

func (d localDirectory) read(name string) ([]byte, error) { return os.ReadFile(d.where(name)) }

func (d localDirectory) remove(name string) error { return os.Remove(d.where(name)) }

// write writes a file atomically: nobody ever sees half of it.
func (d localDirectory) write(name string, b []byte) error {
	if err := os.MkdirAll(string(d), directoryMode); err != nil {
		return err
	}
	f, err := os.CreateTemp(string(d), ".holdfast-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), d.where(name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
