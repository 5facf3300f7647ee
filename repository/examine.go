package repository

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/format"
	"github.com/kopia/kopia/repo/object"

	"holdfast"
	"holdfast/record"
	"holdfast/stored"
)

// ReadObject reads every piece of a stored file and returns the damaged ones.
// Its error means that the storage does not answer.
func (i *Inspection) ReadObject(ctx context.Context, name string) ([]stored.Damage, error) {
	id, err := object.ParseID(name)
	if err != nil {
		return nil, err
	}
	if index, ok := id.IndexObjectID(); ok {
		// Its list of pieces comes first: without it the pieces are unknown.
		if found, err := i.ReadObject(ctx, index.String()); err != nil || lost(found) {
			return found, err
		}
	}
	var found []stored.Damage
	err = i.walk(ctx, id, func(c content.ID) error {
		d, err := i.examine(ctx, c)
		if d != nil {
			found = append(found, *d)
		}
		return err
	})
	return found, err
}

// ReadBlobs reads every piece in the blobs of those names, in the order of
// their positions, and calls fn with the bytes and the damage of each. It ends
// when fn returns an error, or when the storage does not answer.
func (i *Inspection) ReadBlobs(
	ctx context.Context, names []string, fn func(stored int64, d *stored.Damage) error,
) error {
	wanted := make(map[blob.ID]bool, len(names))
	for _, n := range names {
		wanted[blob.ID(n)] = true
	}
	return i.readPieces(ctx, func(c content.Info) bool { return wanted[c.PackBlobID] }, fn)
}

// ReadRest reads every piece that Done did not note: pieces that no set needs
// any more, or not yet. A backup may reuse them.
func (i *Inspection) ReadRest(ctx context.Context, fn func(stored int64, d *stored.Damage) error) error {
	return i.readPieces(ctx, func(c content.Info) bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		return !i.read[keyOf(c.ContentID)]
	}, fn)
}

// Done notes that a stored file was read whole.
func (i *Inspection) Done(ctx context.Context, name string) error {
	id, err := object.ParseID(name)
	if err != nil {
		return err
	}
	return i.walk(ctx, id, func(c content.ID) error {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.read[keyOf(c)] = true
		return nil
	})
}

// keyOf is a short key of a piece: part of its name, which is a hash.
func keyOf(id content.ID) uint64 {
	h := id.Hash()
	if len(h) < 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(h) ^ uint64(len(id.Prefix()))
}

func (i *Inspection) readPieces(
	ctx context.Context, wanted func(content.Info) bool, fn func(stored int64, d *stored.Damage) error,
) error {
	list, err := i.pieces(ctx, wanted)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b content.Info) int {
		return cmp.Or(cmp.Compare(a.PackBlobID, b.PackBlobID), cmp.Compare(a.PackOffset, b.PackOffset))
	})
	for _, c := range list {
		d, err := i.examine(ctx, c.ContentID)
		if err != nil {
			return err
		}
		if err := fn(int64(c.PackedLength), d); err != nil {
			return err
		}
	}
	return nil
}

// CorrectsErrors returns how much redundancy the repository stores, in percent
// of the data; 0 for none.
func (i *Inspection) CorrectsErrors() int {
	f := i.dr.ContentReader().ContentFormat()
	p, ok := f.(interface {
		GetECCAlgorithm() string
		GetECCOverheadPercent() int
	})
	if !ok || p.GetECCAlgorithm() == "" {
		return 0
	}
	return p.GetECCOverheadPercent()
}

// examine reads one piece. That it decrypts proves that it is this piece, since
// each is encrypted under its own name. The error means that the storage does
// not answer.
func (i *Inspection) examine(ctx context.Context, id content.ID) (*stored.Damage, error) {
	var last stored.Damage
	for attempt := range 2 {
		info, err := i.dr.ContentReader().ContentInfo(ctx, id)
		if errors.Is(err, content.ErrContentNotFound) {
			return i.note(id, stored.Damage{Kind: stored.Unindexed}), nil
		}
		if err == nil {
			last = stored.Damage{Blob: string(info.PackBlobID), Bytes: int64(info.PackedLength)}
			if _, err = i.dr.ContentReader().GetContent(ctx, id); err == nil {
				return i.corrected(ctx, info)
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		last.Kind, last.Detail = kindOf(err), err.Error()
		if last.Kind == stored.Unreadable {
			if err := i.answers(ctx); err != nil {
				return nil, err
			}
		}
		if attempt == 0 {
			// Maintenance may have moved the piece since the index was read.
			if err := i.r.refresh(ctx); err != nil {
				return nil, err
			}
		}
	}
	return i.note(id, last), nil
}

func kindOf(err error) stored.DamageKind {
	text := err.Error()
	switch {
	case errors.Is(err, blob.ErrBlobNotFound):
		return stored.Missing
	case errors.Is(err, blob.ErrInvalidRange), strings.Contains(text, "invalid length"):
		return stored.Truncated
	case strings.Contains(text, "invalid checksum"), strings.Contains(text, "error decompressing"):
		return stored.Altered
	}
	return stored.Unreadable
}

// answers checks that the storage still answers, to distinguish one bad blob
// from a storage that went away.
func (i *Inspection) answers(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, i.r.location.patience())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := i.dr.BlobReader().GetMetadata(limited, format.KopiaRepositoryBlobID)
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case <-limited.Done():
		err = limited.Err()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Undetermined,
		What:  fmt.Sprintf("the storage of repository %s no longer answers", i.r.location),
		Err:   err,
		Why:   "The state of the data that was not read by then is unknown.",
		Do:    "Check the disk or the network of the storage, then run `holdfast verify` again.",
	}
}

// corrected returns the damage of a piece that is readable only thanks to error
// correction: what is stored is altered, and should be rewritten before more of
// it is.
func (i *Inspection) corrected(ctx context.Context, info content.Info) (*stored.Damage, error) {
	i.mu.Lock()
	delete(i.bad, info.ContentID)
	i.mu.Unlock()
	overhead := i.CorrectsErrors()
	if overhead == 0 {
		return nil, nil
	}
	var raw raw
	if err := i.dr.BlobReader().GetBlob(ctx, info.PackBlobID, int64(info.PackOffset), int64(info.PackedLength),
		&raw); err != nil {
		return nil, i.r.location.explain("read", err)
	}
	if n := alteredShards(raw.Bytes(), overhead); n > 0 {
		return i.note(info.ContentID, stored.Damage{
			Kind:   stored.Corrected,
			Blob:   string(info.PackBlobID),
			Bytes:  int64(info.PackedLength),
			Detail: fmt.Sprintf("%d shards were corrected", n),
		}), nil
	}
	return nil, nil
}

// raw is what kopia reads the bytes of a blob into.
type raw struct{ bytes.Buffer }

// Length implements blob.OutputBuffer.
func (r *raw) Length() int { return r.Len() }

// verificationRecord is the type of the one record of past verifications.
const verificationRecord = "holdfast-verification"

// Verification is what the repository remembers of its last verification; the
// zero value when there was none.
func (r *Repository) Verification(ctx context.Context) (record.Verification, error) {
	var last record.Verification
	list, err := records[record.Verification](ctx, r, map[string]string{"type": verificationRecord})
	for _, v := range list {
		if !v.At.Before(last.At) {
			last = v
		}
	}
	return last, err
}

// Recall is Verification for an inspection, which must not fail because of it:
// without the record, data is only read again.
func (i *Inspection) Recall(ctx context.Context) record.Verification {
	v, err := i.r.Verification(ctx)
	if err != nil {
		return record.Verification{}
	}
	v.Round, v.Since = v.Round.UTC().Truncate(time.Second), v.Since.UTC().Truncate(time.Second)
	return v
}

// Remember replaces what the repository remembers of its last verification.
func (i *Inspection) Remember(ctx context.Context, v record.Verification) error {
	return i.r.put(ctx, map[string]string{"type": verificationRecord}, v, true)
}
