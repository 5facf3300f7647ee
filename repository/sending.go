package repository

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"
	"golang.org/x/sync/errgroup"

	"holdfast"
	"holdfast/record"
)

// copyLanes is how many pieces are sent at once.
const copyLanes = 8

// After this many bytes what was sent to a copy is written to its index, so that a
// run that is killed leaves at most so much to be sent again. Tests set it lower.
var copyCheckpoint int64 = 256 << 20

// sending sends the sets of one repository to another with the same key.
type sending struct {
	from, to *Repository
	leases   []*lease
	fresh    bool // the copy is new
	sent     Sent
}

func (c *sending) run(ctx context.Context) error {
	before, err := c.blobs(ctx)
	if err != nil {
		return err
	}
	missing, err := c.missing(ctx)
	if err != nil {
		return err
	}
	if err := c.restock(ctx, before); err != nil {
		return err
	}
	for _, e := range missing {
		if err := c.set(ctx, e); err != nil {
			return err
		}
	}
	if err := c.records(ctx); err != nil {
		return err
	}
	return c.extend(ctx, before)
}

// blobs lists what the copy has.
func (c *sending) blobs(ctx context.Context) (map[blob.ID]blob.Metadata, error) {
	out := map[blob.ID]blob.Metadata{}
	err := c.to.storage().ListBlobs(ctx, "", func(m blob.Metadata) error {
		out[m.BlobID] = m
		return ctx.Err()
	})
	return out, c.to.location.explain("read", err)
}

// missing are the sets that the copy does not list and is to have, oldest first.
// What was dropped there on purpose is not sent again.
func (c *sending) missing(ctx context.Context) ([]Entry, error) {
	ours, err := c.from.Sets(ctx, "")
	if err != nil {
		return nil, err
	}
	theirs, err := c.to.Sets(ctx, "")
	if err != nil {
		return nil, err
	}
	dropped, err := c.to.Dropped(ctx)
	if err != nil {
		return nil, err
	}
	c.sent.Has, c.sent.Left = record.NodeSets{}, record.NodeSets{}
	for _, e := range theirs {
		c.sent.Has.Add(e.Node, e.ID)
	}
	var missing []Entry
	named := record.NodeSets{}
	for _, e := range ours {
		switch {
		case c.sent.Has.Has(e.Node, e.ID):
			c.sent.Present++
		case slices.Contains(dropped, e.ID):
			c.sent.Left.Add(e.Node, e.ID)
		case !named.Has(e.Node, e.ID): // a repository that was merged from several may list it twice
			missing = append(missing, e)
			named.Add(e.Node, e.ID)
		}
	}
	choose := c.to.location.choose
	if choose == nil || len(missing) == 0 {
		return missing, nil
	}
	chosen, err := choose(ctx, c.to, slices.Clone(missing))
	for _, e := range missing {
		if !slices.ContainsFunc(chosen, func(one Entry) bool { return one.Node == e.Node && one.ID == e.ID }) {
			c.sent.Left.Add(e.Node, e.ID)
		}
	}
	return chosen, err
}

// lost returns an error if a lease may have expired.
func (c *sending) lost() error {
	for _, l := range c.leases {
		if err := l.lost(); err != nil {
			return err
		}
	}
	return nil
}

// set sends a set. It is listed there when all of it is stored.
func (c *sending) set(ctx context.Context, e Entry) error {
	pieces, err := c.from.piecesOfSet(ctx, e)
	if err != nil {
		return err
	}
	err = c.to.write(ctx, "copy set "+string(e.ID), func(ctx context.Context, s *Session) error {
		if err := c.pieces(ctx, s, e.ID, pieces); err != nil {
			return err
		}
		if err := c.lost(); err != nil {
			return err
		}
		m, err := snapshot.LoadSnapshot(ctx, c.from.rep, e.manifest)
		if err != nil {
			return c.from.location.explain("read", err)
		}
		_, err = snapshot.SaveSnapshot(ctx, s.w, m)
		return s.location.explain("write to", err)
	})
	if err == nil {
		c.sent.Sets++
		c.sent.Has.Add(e.Node, e.ID)
	}
	return err
}

// piecesOfSet are the names of all that a set is stored in.
func (r *Repository) piecesOfSet(ctx context.Context, e Entry) ([]content.ID, error) {
	s := &Stored{r: r, root: e.root, files: map[string]object.ID{}, dirs: map[object.ID]bool{}}
	if err := s.index(ctx, "", e.root); err != nil {
		return nil, r.location.explain("read", err)
	}
	objects := slices.AppendSeq(slices.Collect(maps.Keys(s.dirs)), maps.Values(s.files))
	seen := map[content.ID]bool{}
	for _, id := range objects {
		found, err := r.rep.VerifyObject(ctx, id)
		if err != nil {
			return nil, r.location.explain("read set "+string(e.ID)+" in", err)
		}
		for _, piece := range found {
			seen[piece] = true
		}
	}
	return slices.Collect(maps.Keys(seen)), nil
}

// located is a piece, and where it rests.
type located struct {
	id     content.ID
	pack   blob.ID
	offset uint32
	bytes  int64
}

// lacking are the pieces that the copy does not have, as they rest here: those of
// one blob one after the other.
func (c *sending) lacking(ctx context.Context, s *Session, pieces []content.ID) ([]located, int64, error) {
	var list []located
	var bytes int64
	for _, id := range pieces {
		if info, err := s.w.ContentInfo(ctx, id); err == nil && !info.Deleted {
			continue
		} else if err != nil && !errors.Is(err, content.ErrContentNotFound) {
			return nil, 0, c.to.location.explain("read", err)
		}
		info, err := c.from.rep.ContentInfo(ctx, id)
		if err != nil {
			return nil, 0, c.from.location.explain("read", err)
		}
		list = append(list, located{id, info.PackBlobID, info.PackOffset, int64(info.OriginalLength)})
		bytes += int64(info.OriginalLength)
	}
	slices.SortFunc(list, func(a, b located) int {
		return cmp.Or(cmp.Compare(a.pack, b.pack), cmp.Compare(a.offset, b.offset))
	})
	return list, bytes, nil
}

// pieces sends the pieces of a set that the copy lacks.
func (c *sending) pieces(ctx context.Context, s *Session, set holdfast.SetID, pieces []content.ID) error {
	lacking, total, err := c.lacking(ctx, s, pieces)
	if err != nil {
		return err
	}
	c.from.Events.Report(CopyBegan{c.sent.To, set, len(lacking), total})
	var done int64
	for len(lacking) > 0 {
		batch, bytes := 0, int64(0)
		for batch < len(lacking) && bytes < copyCheckpoint {
			bytes += lacking[batch].bytes
			batch++
		}
		if err := c.send(ctx, s, lacking[:batch]); err != nil {
			return err
		}
		if err := s.w.Flush(ctx); err != nil {
			return s.location.explain("write to", err)
		}
		lacking = lacking[batch:]
		done += bytes
		c.sent.Pieces, c.sent.Bytes = c.sent.Pieces+batch, c.sent.Bytes+bytes
		c.from.Events.Report(PiecesCopied{c.sent.To, set, done, total})
	}
	return nil
}

// send sends some pieces.
func (c *sending) send(ctx context.Context, s *Session, list []located) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(copyLanes)
	for _, p := range list {
		g.Go(func() error {
			b, err := c.from.direct().ContentReader().GetContent(ctx, p.id)
			if err != nil {
				return c.from.location.explain("read", err)
			}
			return s.location.explain("write to", writePiece(ctx, s.w, p.id, b))
		})
	}
	return g.Wait()
}

// restock sends pieces again that the copy names and does not have: their blob is
// gone from its place, or shorter than it was.
func (c *sending) restock(ctx context.Context, blobs map[blob.ID]blob.Metadata) error {
	var lost []content.ID
	err := c.to.direct().ContentReader().IterateContents(ctx, content.IterateOptions{}, func(i content.Info) error {
		m, there := blobs[i.PackBlobID]
		if !there || m.Length < int64(i.PackOffset)+int64(i.PackedLength) {
			lost = append(lost, i.ContentID)
		}
		return nil
	})
	if err != nil || len(lost) == 0 {
		return c.to.location.explain("read", err)
	}
	return c.to.write(ctx, "send lost pieces again", func(ctx context.Context, s *Session) error {
		w, ok := s.w.(repo.DirectRepositoryWriter)
		if !ok {
			return errors.New("the copy is not opened directly")
		}
		for _, id := range lost {
			b, found := c.from.piece(ctx, id)
			if !found {
				continue // of a set that is dropped here: `verify` of the copy names it
			}
			if err := w.ContentManager().DeleteContent(ctx, id); err != nil {
				return s.location.explain("write to", err)
			}
			if err := writePiece(ctx, w, id, b); err != nil {
				return s.location.explain("write to", err)
			}
			c.sent.Pieces, c.sent.Bytes = c.sent.Pieces+1, c.sent.Bytes+int64(len(b))
		}
		return nil
	})
}

// sentRecords are the records that belong to sets and nodes, and not to a place: what
// was read, dropped and attacked in one place says nothing of another.
func sentRecords() []string {
	return []string{drillRecord, disproofRecord, deedRecord, keyTestRecord, pinRecord, signingRecord}
}

// records sends the records that the copy lacks. None is removed there.
func (c *sending) records(ctx context.Context) error {
	var list []storedRecord
	for _, kind := range sentRecords() {
		ours, err := c.from.storedRecords(ctx, kind)
		if err != nil {
			return err
		}
		theirs, err := c.to.storedRecords(ctx, kind)
		if err != nil {
			return err
		}
		list = append(list, lackingRecords(kind, ours, theirs)...)
	}
	if len(list) == 0 {
		return nil
	}
	c.sent.Records = len(list)
	return c.to.write(ctx, "copy records", func(ctx context.Context, s *Session) error {
		for _, one := range list {
			if _, err := s.w.PutManifest(ctx, one.labels, one.text); err != nil {
				return s.location.explain("write to", err)
			}
		}
		return nil
	})
}

// storedRecord is a record as it is stored.
type storedRecord struct {
	labels map[string]string
	text   json.RawMessage
}

func (s storedRecord) is(other storedRecord) bool {
	return maps.Equal(s.labels, other.labels) && bytes.Equal(s.text, other.text)
}

// lackingRecords are those of ours that the copy is to get. It keeps the key that it
// has: with another one, nobody could say whose reports were signed.
func lackingRecords(kind string, ours, theirs []storedRecord) []storedRecord {
	if kind == signingRecord && len(theirs) > 0 {
		return nil
	}
	return slices.DeleteFunc(ours, func(one storedRecord) bool { return slices.ContainsFunc(theirs, one.is) })
}

// storedRecords reads the records of a kind.
func (r *Repository) storedRecords(ctx context.Context, kind string) ([]storedRecord, error) {
	found, err := r.rep.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: kind})
	if err != nil {
		return nil, r.location.explain("read", err)
	}
	out := make([]storedRecord, len(found))
	for i, m := range found {
		out[i].labels = m.Labels
		var text json.RawMessage
		if _, err := r.rep.GetManifest(ctx, m.ID, &text); err != nil {
			return nil, r.location.explain("read", err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, text); err != nil {
			return nil, fmt.Errorf("read %s: record %s: %w", r.location, m.ID, err)
		}
		out[i].text = compact.Bytes()
	}
	return out, nil
}

// extend extends the locks of what the copy had before, when that is due.
func (c *sending) extend(ctx context.Context, before map[blob.ID]blob.Metadata) error {
	rule := c.to.location.rule.Load()
	if c.fresh || !c.to.location.extend || !rule.locks() {
		return nil
	}
	var list []blob.Metadata
	for id, m := range before {
		if !passing(id) {
			list = append(list, m)
		}
	}
	c.sent.Extended = len(list)
	return c.to.location.explain("write to", extendAll(ctx, c.to.storage(), rule, list))
}
