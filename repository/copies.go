package repository

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"

	"holdfast"
)

// Two small blobs open a repository. kopia.repository holds the key of all
// data, encrypted under the password: without it everything is lost.
// kopia.blobcfg holds the settings of the storage, under the same password:
// when it is damaged the repository does not open. kopia's packs can carry
// replicas of the first, but not where the password can be changed, as in ours
// (kopia v0.23.1: repo/format/format_provider.go, RepositoryFormatBytes), and
// there are no replicas of the second.
//
// So Holdfast keeps a byte-for-byte copy of each in the same storage, under a
// name with the hash of the bytes, and another of kopia.repository in the
// places where the operator keeps sealed identities. kopia does not touch
// unknown blobs: its commands and its maintenance select by the first letters
// of names (repo/content/content_manager.go, repo/maintenance/pack_gc.go), none
// of which is an h. Creating a repository makes the copies; after a change of
// the password the next run replaces them.
var vital = []blob.ID{format.KopiaRepositoryBlobID, format.KopiaBlobCfgBlobID}

const copyPrefix = "holdfast-copy-"

// copyName is the name of a copy of those bytes.
func copyName(of blob.ID, b []byte) string {
	sum := sha256.Sum256(b)
	return copyPrefix + hex.EncodeToString(sum[:16]) + "-" + string(of)
}

// duplicate is one copy of a vital blob.
type duplicate struct {
	of        blob.ID
	bytes     []byte
	name      string
	copyStore copyStore // the place outside of the repository; nil for one in it
}

func (d duplicate) String() string {
	if d.copyStore != nil {
		return d.copyStore.where(d.name)
	}
	return d.name
}

// intact reports whether the bytes have the hash in the name.
func (d duplicate) intact() bool {
	return copyName(d.of, d.bytes) == d.name
}

// copyOf returns which blob the copy of that name duplicates.
func copyOf(name string) (of blob.ID, ok bool) {
	_, rest, _ := strings.Cut(strings.TrimPrefix(name, copyPrefix), "-")
	for _, id := range vital {
		if strings.HasPrefix(name, copyPrefix) && rest == string(id) {
			return id, true
		}
	}
	return "", false
}

// readBlob reads a small blob; nil where there is none.
func readBlob(ctx context.Context, st blob.Reader, id blob.ID) ([]byte, error) {
	var b raw
	err := st.GetBlob(ctx, id, 0, -1, &b)
	if errors.Is(err, blob.ErrBlobNotFound) {
		return nil, nil
	}
	return append([]byte{}, b.Bytes()...), err
}

// duplicates lists the copies in the storage and outside of it. Places outside
// that cannot be read are skipped: one may be a disk in a safe.
func duplicates(ctx context.Context, st blob.Reader, outside []copyStore) (list []duplicate, err error) {
	var names []blob.ID
	err = st.ListBlobs(ctx, copyPrefix, func(m blob.Metadata) error {
		names = append(names, m.BlobID)
		return ctx.Err()
	})
	for _, name := range names {
		of, ok := copyOf(string(name))
		if !ok || err != nil {
			continue
		}
		var b []byte
		if b, err = readBlob(ctx, st, name); b != nil { // nil: replaced since the listing
			list = append(list, duplicate{of: of, bytes: b, name: string(name)})
		}
	}
	for _, s := range outside {
		list = append(list, copiesIn(s)...)
	}
	return list, err
}

// copiesIn lists the copies in one place outside of the repository.
func copiesIn(s copyStore) (list []duplicate) {
	names, _ := s.names()
	for _, name := range names {
		of, ok := copyOf(name)
		if !ok {
			continue
		}
		if b, err := s.read(name); err == nil {
			list = append(list, duplicate{of: of, bytes: b, name: name, copyStore: s})
		}
	}
	return list
}

// keepCopies makes sure that there is exactly one good copy of each vital blob.
// It copies only blobs that have proved to open the repository.
func (r *Repository) keepCopies(ctx context.Context) error {
	st := r.storage()
	list, err := duplicates(ctx, st, nil)
	if err != nil {
		return r.location.explain("read", err)
	}
	live, proven := map[blob.ID][]byte{}, false
	for _, id := range vital {
		if live[id], err = readBlob(ctx, st, id); err != nil {
			return r.location.explain("read", err)
		}
	}
	for _, id := range vital {
		name := copyName(id, live[id])
		there := false
		for _, d := range list {
			there = there || d.name == name && d.intact()
		}
		if live[id] == nil || there {
			continue // verify reports a blob that is missing while its copy exists
		}
		if !proven && r.opens(ctx, live) != nil {
			return r.location.unopened(ctx, r.password, errors.New("it has changed since it was opened"))
		}
		proven = true
		if err := st.PutBlob(ctx, blob.ID(name), payload{live[id]}, blob.PutOptions{}); err != nil {
			return r.location.explain("write to", err)
		}
		if err := dropFormer(ctx, st, list, id, name); err != nil && !refused(err) {
			return r.location.explain("write to", err)
		}
	}
	if key := live[format.KopiaRepositoryBlobID]; key != nil {
		r.location.keepOutside(key)
	}
	return nil
}

// dropFormer deletes the copies of a vital blob as it was before. A node may not be
// allowed to: then they stay until a keeper maintains the repository.
func dropFormer(ctx context.Context, st blob.Storage, list []duplicate, of blob.ID, name string) error {
	for _, d := range list {
		if d.of != of || d.name == name {
			continue
		}
		if err := st.DeleteBlob(ctx, blob.ID(d.name)); err != nil {
			return err
		}
	}
	return nil
}

// dropFormerCopies deletes what a node could not.
func (r *Repository) dropFormerCopies(ctx context.Context) error {
	st := r.storage()
	list, err := duplicates(ctx, st, nil)
	for _, id := range vital {
		var live []byte
		if err == nil {
			live, err = readBlob(ctx, st, id)
		}
		name := copyName(id, live)
		kept := slices.ContainsFunc(list, func(d duplicate) bool { return d.name == name && d.intact() })
		if err == nil && live != nil && kept {
			err = dropFormer(ctx, st, list, id, name)
		}
	}
	return err
}

// keepOutside copies kopia.repository to the places outside of the repository,
// and removes its previous copies there. A place that cannot be written does
// not stop a backup: the keeper of sealed identities reports it.
func (l location) keepOutside(key []byte) {
	name := copyName(format.KopiaRepositoryBlobID, key)
	for _, s := range l.outside() {
		if b, err := s.read(name); err == nil && bytes.Equal(b, key) {
			continue
		}
		former := copiesIn(s)
		if s.write(name, key) != nil {
			continue
		}
		for _, d := range former {
			if d.name != name && sameRepository(d.bytes, key) {
				_ = s.remove(d.name)
			}
		}
	}
}

// sameRepository reports whether two kopia.repository blobs are of one
// repository, whose password may have changed between them.
func sameRepository(a, b []byte) bool {
	x, errX := format.ParseKopiaRepositoryJSON(a)
	y, errY := format.ParseKopiaRepositoryJSON(b)
	return errX == nil && errY == nil && len(x.UniqueID) > 0 && bytes.Equal(x.UniqueID, y.UniqueID)
}

// replaced is a storage with these vital blobs; a nil one does not exist.
type replaced struct {
	blob.Storage
	vital map[blob.ID][]byte
}

// GetBlob implements blob.Reader.
func (s replaced) GetBlob(_ context.Context, id blob.ID, _, _ int64, out blob.OutputBuffer) error {
	b := s.vital[id]
	if b == nil {
		return blob.ErrBlobNotFound
	}
	out.Reset()
	_, err := io.Copy(out, bytes.NewReader(b))
	return err
}

// opens returns why those blobs do not open the repository with its password.
func (r *Repository) opens(ctx context.Context, with map[blob.ID][]byte) error {
	return opens(ctx, with, r.password)
}

func opens(ctx context.Context, with map[blob.ID][]byte, password holdfast.Secret) error {
	_, err := format.NewManager(ctx, replaced{vital: with}, "", 0, password.Reveal(), now)
	return err
}
