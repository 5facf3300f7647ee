package repository

import (
	"context"
	"sort"
	"strings"

	"github.com/kopia/kopia/fs"
	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/snapshot"
	"github.com/kopia/kopia/snapshot/snapshotfs"
)

// directory is a directory of a set while its tree is being written.
type directory struct {
	dirs  map[string]*directory
	files []file
}

func (d *directory) add(parts []string, f file) {
	if len(parts) == 1 {
		f.name = parts[0]
		d.files = append(d.files, f)
		return
	}
	if d.dirs == nil {
		d.dirs = map[string]*directory{}
	}
	sub := d.dirs[parts[0]]
	if sub == nil {
		sub = &directory{}
		d.dirs[parts[0]] = sub
	}
	sub.add(parts[1:], f)
}

// writeTree stores the directories above files and returns the root's entry.
func writeTree(
	ctx context.Context, w repo.RepositoryWriter, files []file, at fs.UTCTimestamp,
) (*snapshot.DirEntry, error) {
	root := &directory{}
	for _, f := range files {
		root.add(strings.Split(f.name, "/"), f)
	}
	return root.write(ctx, w, "", at)
}

func (d *directory) write(
	ctx context.Context, w repo.RepositoryWriter, name string, at fs.UTCTimestamp,
) (*snapshot.DirEntry, error) {
	var b snapshotfs.DirManifestBuilder
	names := make([]string, 0, len(d.dirs))
	for n := range d.dirs {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		e, err := d.dirs[n].write(ctx, w, n, at)
		if err != nil {
			return nil, err
		}
		b.AddEntry(e)
	}
	for _, f := range d.files {
		b.AddEntry(&snapshot.DirEntry{
			Name:        f.name,
			Type:        snapshot.EntryTypeFile,
			Permissions: 0o600,
			FileSize:    f.bytes,
			ModTime:     at,
			ObjectID:    f.id,
		})
	}
	manifest := b.Build(at, "")
	id, err := snapshotfs.WriteDirManifest(ctx, w, name, manifest, "zstd-fastest")
	if err != nil {
		return nil, err
	}
	return &snapshot.DirEntry{
		Name:        name,
		Type:        snapshot.EntryTypeDirectory,
		Permissions: 0o700,
		ModTime:     at,
		ObjectID:    id,
		DirSummary:  manifest.Summary,
	}, nil
}
