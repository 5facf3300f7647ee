package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"

	"holdfast"
	"holdfast/place"
)

// Rebuilt is the result of rebuilding an index.
type Rebuilt struct {
	Renamed       []string `json:"set_aside"` // unreadable index blobs, under their new names
	Blobs         int      `json:"blobs"`     // whose own index added pieces
	Pieces        int      `json:"pieces"`    // added to the index
	Unreadable    []string `json:"untold"`    // blobs whose own index is unreadable, too
	UnreadableWhy string   `json:"untold_why,omitempty"`
}

// badIndex finds, in an error of kopia, the index blob that it could not load.
var badIndex = regexp.MustCompile(`error loading index blob ([a-z][0-9a-zA-Z_-]+)`)

// damagedPrefix is the prefix of damaged blobs after their renaming; kopia
// ignores such names.
const damagedPrefix = "holdfast-damaged-"

// RebuildIndex repairs an index that is unreadable or incomplete. Every blob
// with data ends with an index of its own; pieces that are missing in the index
// are added from there. Unreadable index blobs are renamed. Deleted pieces that
// are still in their blobs come back as well; the next maintenance deletes them
// again.
func RebuildIndex(ctx context.Context, in place.Place, password holdfast.Secret, options ...Option) (Rebuilt, error) {
	done := Rebuilt{Renamed: []string{}, Unreadable: []string{}}
	at, err := locate(in, options)
	if err != nil {
		return done, err
	}
	at.cache = Cache{} // the place itself is repaired
	r, err := at.open(ctx, password)
	for err != nil {
		m := badIndex.FindStringSubmatch(err.Error())
		if m == nil {
			return done, err
		}
		to, moved := renameDamaged(ctx, at, blob.ID(m[1]))
		if moved != nil {
			return done, at.explain("write to", moved)
		}
		done.Renamed = append(done.Renamed, string(to))
		r, err = at.open(ctx, password)
	}
	defer func() { _ = r.Close(ctx) }()
	return done, r.write(ctx, "rebuild index", func(ctx context.Context, s *Session) error {
		w, ok := s.w.(repo.DirectRepositoryWriter)
		if !ok {
			return errors.New("the repository is not opened directly")
		}
		return at.explain("read", rebuild(ctx, w, &done))
	})
}

// rebuild adds the missing pieces of all blobs to the index.
func rebuild(ctx context.Context, w repo.DirectRepositoryWriter, done *Rebuilt) error {
	var list []blob.Metadata
	for _, prefix := range content.PackBlobIDPrefixes {
		more, err := blob.ListAllBlobs(ctx, w.BlobReader(), prefix)
		if err != nil {
			return err
		}
		list = append(list, more...)
	}
	for _, b := range list {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pieces, err := w.ContentManager().RecoverIndexFromPackBlob(ctx, b.BlobID, b.Length, false)
		if err != nil {
			done.Unreadable, done.UnreadableWhy = append(done.Unreadable, string(b.BlobID)), err.Error()
			continue
		}
		unknown := 0
		for _, p := range pieces {
			if _, err := w.ContentManager().ContentInfo(ctx,
				p.ContentID); errors.Is(err, content.ErrContentNotFound) {
				unknown++
			}
		}
		if unknown == 0 {
			continue
		}
		if _, err := w.ContentManager().RecoverIndexFromPackBlob(ctx, b.BlobID, b.Length, true); err != nil {
			return err
		}
		done.Blobs++
		done.Pieces += unknown
	}
	return nil
}

// renameDamaged renames a blob, so that nothing uses it and nothing is lost.
func renameDamaged(ctx context.Context, at location, id blob.ID) (blob.ID, error) {
	st, err := at.storage(ctx, false)
	if err != nil {
		return "", err
	}
	defer func() { _ = st.Close(ctx) }()
	var bytes raw
	if err := st.GetBlob(ctx, id, 0, -1, &bytes); err != nil {
		return "", err
	}
	to := blob.ID(fmt.Sprintf("%s%d-%s", damagedPrefix, time.Now().Unix(), id))
	if err := st.PutBlob(ctx, to, payload{bytes.Bytes()}, blob.PutOptions{}); err != nil {
		return "", err
	}
	return to, st.DeleteBlob(ctx, id)
}

// payload implements kopia's blob.Bytes.
type payload struct{ b []byte }

// Length implements blob.Bytes.
func (s payload) Length() int { return len(s.b) }

// WriteTo implements blob.Bytes.
func (s payload) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(s.b)
	return int64(n), err
}

// Reader implements blob.Bytes.
func (s payload) Reader() io.ReadSeekCloser { return nopCloser{bytes.NewReader(s.b)} }

type nopCloser struct{ *bytes.Reader }

// Close does nothing.
func (nopCloser) Close() error { return nil }
