package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"holdfast/place"
	"io"
	"regexp"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"

	"holdfast"
)

// Rebuilt is what rebuilding an index did.
type Rebuilt struct {
	Aside     []string `json:"set_aside"` // index blobs that could not be read, under their new names
	Blobs     int      `json:"blobs"`     // whose own index named pieces that no other did
	Pieces    int      `json:"pieces"`    // known again
	Untold    []string `json:"untold"`    // blobs whose own index cannot be read either
	UntoldWhy string   `json:"untold_why,omitempty"`
}

// badIndex finds the index blob that kopia could not load in what it says.
var badIndex = regexp.MustCompile(`error loading index blob ([a-z][0-9a-zA-Z_-]+)`)

// setAside is the prefix of blobs that were taken out of use; kopia knows
// nothing of names that begin so.
const setAside = "holdfast-damaged-"

// RebuildIndex makes an index that cannot be read, or that lost a part, whole
// again. Every blob with data ends with an index of its own; what no other
// index knows is taken from there. Index blobs that cannot be read are set
// aside under another name. Pieces that were deleted, and still lie in their
// blobs, come back as well; the next maintenance deletes them again.
func RebuildIndex(ctx context.Context, in place.Place, password holdfast.Secret, options ...Option) (Rebuilt, error) {
	done := Rebuilt{Aside: []string{}, Untold: []string{}}
	at, err := locate(in, options)
	if err != nil {
		return done, err
	}
	r, err := at.open(ctx, password)
	for err != nil {
		m := badIndex.FindStringSubmatch(err.Error())
		if m == nil {
			return done, err
		}
		to, moved := moveAside(ctx, at, blob.ID(m[1]))
		if moved != nil {
			return done, at.explain("write to", moved)
		}
		done.Aside = append(done.Aside, string(to))
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

// rebuild adds to the index what only the blobs themselves know.
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
			done.Untold, done.UntoldWhy = append(done.Untold, string(b.BlobID)), err.Error()
			continue
		}
		unknown := 0
		for _, p := range pieces {
			if _, err := w.ContentManager().ContentInfo(ctx, p.ContentID); errors.Is(err, content.ErrContentNotFound) {
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

// moveAside renames a blob, so that nothing uses it and nothing is lost.
func moveAside(ctx context.Context, at location, id blob.ID) (blob.ID, error) {
	st, err := at.storage(ctx, false)
	if err != nil {
		return "", err
	}
	defer func() { _ = st.Close(ctx) }()
	var bytes raw
	if err := st.GetBlob(ctx, id, 0, -1, &bytes); err != nil {
		return "", err
	}
	to := blob.ID(fmt.Sprintf("%s%d-%s", setAside, time.Now().Unix(), id))
	if err := st.PutBlob(ctx, to, payload{bytes.Bytes()}, blob.PutOptions{}); err != nil {
		return "", err
	}
	return to, st.DeleteBlob(ctx, id)
}

// payload is bytes as kopia takes them.
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
