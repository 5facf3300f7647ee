package repository

import (
	"context"
	"errors"
	"fmt"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/object"

	"holdfast/stored"
)

// Mend repairs damages as far as possible, and returns what it did. It rewrites
// pieces that error correction has corrected, copies those that Copy has, and
// marks the rest.
//
// A marked piece has a tombstone in the index. For kopia it is then a deleted
// content: still listed and readable, but stored again, under the same name,
// when the same bytes are written. Without the mark the next backup would reuse
// the piece, and its new set would be as damaged as the old ones. Marking an
// intact piece only means to store it a second time.
func (i *Inspection) Mend(ctx context.Context, damages []stored.Damage) ([]stored.Remedy, error) {
	var done []stored.Remedy
	err := i.r.write(ctx, "mend", func(ctx context.Context, s *Session) error {
		w, ok := s.w.(repo.DirectRepositoryWriter)
		if !ok {
			return errors.New("the repository is not opened directly")
		}
		done = nil
		for _, d := range damages {
			how, err := mend(ctx, w, d, i.Copy)
			if err != nil {
				return i.r.location.explain("write to", err)
			}
			done = append(done, stored.Remedy{Damage: d, How: how})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	for _, m := range done {
		if id, err := content.ParseID(m.Piece); err == nil && (m.How == stored.Rewritten || m.How == stored.Copied) {
			delete(i.bad, id)
		}
	}
	i.mu.Unlock()
	return done, i.r.refresh(ctx)
}

func mend(
	ctx context.Context, w repo.DirectRepositoryWriter, d stored.Damage, other *Repository,
) (stored.RemedyKind, error) {
	id, err := content.ParseID(d.Piece)
	if err != nil {
		return "", err
	}
	cm := w.ContentManager()
	if d.Kind == stored.Corrected {
		return stored.Rewritten, cm.RewriteContent(ctx, id)
	}
	bytes, found := other.piece(ctx, id)
	if d.Kind != stored.Unindexed {
		if err := cm.DeleteContent(ctx, id); err != nil {
			return "", err
		}
	} else if !found {
		return stored.Helpless, nil
	}
	if !found {
		return stored.Marked, nil
	}
	return stored.Copied, writePiece(ctx, w, id, bytes)
}

// piece reads a piece from another copy of the repository.
func (r *Repository) piece(ctx context.Context, id content.ID) ([]byte, bool) {
	if r == nil {
		return nil, false
	}
	dr, ok := r.rep.(repo.DirectRepository)
	if !ok {
		return nil, false
	}
	b, err := dr.ContentReader().GetContent(ctx, id)
	return b, err == nil
}

// writePiece stores bytes as one piece, which must get the same name.
func writePiece(ctx context.Context, w repo.RepositoryWriter, id content.ID, bytes []byte) error {
	out := w.NewObjectWriter(ctx, object.WriterOptions{
		Description:        "mended",
		Prefix:             id.Prefix(),
		Compressor:         otherCompressor,
		MetadataCompressor: otherCompressor,
		Splitter:           pieceWhole,
	})
	defer func() { _ = out.Close() }()
	if _, err := out.Write(bytes); err != nil {
		return err
	}
	got, err := out.Result()
	if err != nil {
		return err
	}
	if c, _, ok := got.ContentID(); !ok || c != id {
		return fmt.Errorf("piece %s from the copy became %s: the copy belongs to another repository", id, got)
	}
	return nil
}
