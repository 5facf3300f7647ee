package repository

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/kopia/kopia/repo/blob"
)

// cacheFiles are the files of a cache for one place: each a blob with its digest
// behind it, named by the blob and by when that was stored. Processes share them.
type cacheFiles struct {
	root  string // of all places
	dir   string // of this one
	limit int64

	mu     sync.Mutex
	sound  map[string]bool // read whole by this process, and equal to their digest
	bytes  int64           // of all files, as far as this process knows
	broken bool            // nothing can be written: it is not tried again
}

// Only files with these names are ever removed, whatever the directory is.
var (
	cacheFile = regexp.MustCompile("^" + cachedName + `\.[0-9]+$`)
	cachePart = regexp.MustCompile("^" + cachedName + `\.[0-9]+\.part[0-9]+$`)
)

const (
	cacheRoot   = "blobs"
	largestPart = 4         // of the limit that one blob may take: a quarter
	partLasts   = time.Hour // a half-written file of a process that was killed
)

// cacheIn are the files of the place of that name.
func cacheIn(c Cache, name string) *cacheFiles {
	sum := sha256.Sum256([]byte(name))
	root := filepath.Join(c.Directory, cacheRoot)
	f := &cacheFiles{
		root:  root,
		dir:   filepath.Join(root, hex.EncodeToString(sum[:8])),
		limit: c.Limit,
		sound: map[string]bool{},
	}
	f.makeRoom(0) // the limit may have become less
	return f
}

// takes reports whether a blob of that many bytes is kept.
func (f *cacheFiles) takes(bytes int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.broken && bytes+sha256.Size <= f.limit/largestPart
}

// path names seconds: some servers list more, and answer about one blob with less.
func (f *cacheFiles) path(m blob.Metadata) string {
	return filepath.Join(f.dir, fmt.Sprintf("%s.%d", m.BlobID, m.Timestamp.Unix()))
}

// read reads a part of a blob, if its file is whole.
func (f *cacheFiles) read(m blob.Metadata, offset, length int64, out blob.OutputBuffer) bool {
	path := f.path(m)
	in, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = in.Close() }()
	if !f.isSound(path, in, m.Length) {
		_ = os.Remove(path)
		return false
	}
	out.Reset()
	n, err := io.Copy(out, io.NewSectionReader(in, offset, length))
	return err == nil && n == length
}

// isSound compares a file with its digest, once, and marks it as used.
func (f *cacheFiles) isSound(path string, in *os.File, length int64) bool {
	f.mu.Lock()
	sound := f.sound[path]
	f.mu.Unlock()
	info, err := in.Stat()
	if err != nil || info.Size() != length+sha256.Size {
		return false
	}
	if sound {
		return true
	}
	digest, said := sha256.New(), make([]byte, sha256.Size)
	_, err = io.Copy(digest, io.NewSectionReader(in, 0, length))
	if err == nil {
		_, err = in.ReadAt(said, length)
	}
	if err != nil || !bytes.Equal(digest.Sum(nil), said) {
		return false
	}
	_ = os.Chtimes(path, time.Time{}, time.Now())
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sound[path] = true
	return true
}

// write makes the file of a blob. It syncs nothing: a file that a loss of power
// leaves empty does not match its digest.
func (f *cacheFiles) write(m blob.Metadata, text []byte) error {
	if int64(len(text)) != m.Length {
		return fmt.Errorf("%s has %d bytes, and was listed with %d", m.BlobID, len(text), m.Length)
	}
	f.makeRoom(m.Length + sha256.Size)
	err := f.put(f.path(m), text)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err != nil
	return err
}

func (f *cacheFiles) put(path string, text []byte) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	out, err := os.CreateTemp(f.dir, filepath.Base(path)+".part*")
	if err != nil {
		return err
	}
	digest := sha256.Sum256(text)
	_, err = out.Write(text)
	if err == nil {
		_, err = out.Write(digest[:])
	}
	err = errors.Join(err, out.Close())
	if err == nil {
		err = os.Rename(out.Name(), path)
	}
	if err != nil {
		_ = os.Remove(out.Name())
	}
	return err
}

// makeRoom removes what was not used for longest, until so many bytes fit. With
// none it looks what there is.
func (f *cacheFiles) makeRoom(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes += bytes
	if bytes > 0 && f.bytes <= f.limit {
		return
	}
	files := f.list()
	f.bytes = bytes
	for _, file := range files {
		f.bytes += file.Size()
	}
	if f.bytes <= f.limit {
		return
	}
	slices.SortFunc(files, func(a, b cachedFile) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), cmp.Compare(a.path, b.path))
	})
	for _, file := range files {
		if f.bytes <= f.limit/2 { // a sweep looks at all files: it makes room for many
			return
		}
		if os.Remove(file.path) == nil {
			f.bytes -= file.Size()
		}
	}
}

type cachedFile struct {
	fs.FileInfo

	path string
}

// list lists the files of all places, and removes what killed processes left.
func (f *cacheFiles) list() (list []cachedFile) {
	paths, _ := filepath.Glob(filepath.Join(f.root, "*", "[qx]*"))
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		switch name := filepath.Base(path); {
		case cacheFile.MatchString(name):
			list = append(list, cachedFile{info, path})
		case cachePart.MatchString(name) && time.Since(info.ModTime()) > partLasts:
			_ = os.Remove(path)
		}
	}
	return list
}
