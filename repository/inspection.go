package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"

	"holdfast"
	"holdfast/stored"
)

// Inspection compares the index of a repository with its storage, and knows
// which files of which sets need which pieces. Only Mend and its like change
// anything. Its methods may be called from several goroutines.
type Inspection struct {
	Copy *Repository // another copy of the same repository, for Mend; may be nil

	r     *Repository
	dr    repo.DirectRepository
	stock stored.Stock
	packs map[blob.ID]int64 // blobs that hold data, and how many bytes of it

	mu      sync.Mutex
	bad     map[content.ID]stored.Damage
	objects map[object.ID]*objectState
	listing map[content.ID]bool // unreadable pieces of the list of sets
	read    map[uint64]bool     // pieces that were read whole
}

// objectState is what is known of one stored file or directory.
type objectState struct {
	stored  int64
	damages []stored.Damage
}

// Inspect compares the repository's index with its storage. It reads the index,
// the list of blobs and the list of sets. From then on everything is read from the
// place itself, and nothing from a cache.
func (r *Repository) Inspect(ctx context.Context) (*Inspection, error) {
	dr, ok := r.rep.(repo.DirectRepository)
	if !ok {
		return nil, fmt.Errorf("repository %s is not opened directly", r.location)
	}
	r.cache.off.Store(true)
	if err := r.refresh(ctx); err != nil {
		return nil, err
	}
	i := &Inspection{
		r:       r,
		dr:      dr,
		packs:   map[blob.ID]int64{},
		bad:     map[content.ID]stored.Damage{},
		objects: map[object.ID]*objectState{},
		listing: map[content.ID]bool{},
		read:    map[uint64]bool{},
	}
	if err := i.survey(ctx); err != nil {
		return nil, err
	}
	return i, i.surveyListing(ctx)
}

// survey reads the index before the storage's list: a concurrent writer stores
// a blob before the index that names it.
func (i *Inspection) survey(ctx context.Context) error {
	ends := map[blob.ID]int64{} // where the last piece in each blob ends
	err := i.dr.ContentReader().IterateContents(ctx, content.IterateOptions{}, func(c content.Info) error {
		i.stock.Pieces++
		i.packs[c.PackBlobID] += int64(c.PackedLength)
		ends[c.PackBlobID] = max(ends[c.PackBlobID], int64(c.PackOffset)+int64(c.PackedLength))
		return ctx.Err()
	})
	if err != nil {
		return i.r.location.explain("read", err)
	}
	lengths, err := i.blobs(ctx)
	if err != nil {
		return err
	}
	suspects := map[blob.ID]bool{}
	for id, end := range ends {
		if length, there := lengths[id]; !there || length < end {
			suspects[id] = true
		}
	}
	if len(suspects) == 0 {
		return nil
	}
	var pieces []content.Info
	err = i.dr.ContentReader().IterateContents(ctx, content.IterateOptions{}, func(c content.Info) error {
		if length := lengths[c.PackBlobID]; suspects[c.PackBlobID] &&
			length < int64(c.PackOffset)+int64(c.PackedLength) {
			pieces = append(pieces, c)
		}
		return nil
	})
	for _, c := range pieces {
		if err == nil {
			_, err = i.examine(ctx, c.ContentID)
		}
	}
	return i.r.location.explain("read", err)
}

// blobs lists the storage.
func (i *Inspection) blobs(ctx context.Context) (map[blob.ID]int64, error) {
	lengths := map[blob.ID]int64{}
	err := i.dr.BlobReader().ListBlobs(ctx, "", func(m blob.Metadata) error {
		lengths[m.BlobID] = m.Length
		i.stock.Blobs++
		i.stock.Bytes += m.Length
		if _, known := i.packs[m.BlobID]; !known && holdsData(m.BlobID) {
			i.stock.Orphans++
			i.stock.OrphanBytes += m.Length
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, i.r.location.explain("read", err)
	}
	index, err := i.dr.IndexBlobs(ctx, false)
	for _, b := range index {
		i.stock.Index += b.Length
	}
	return lengths, i.r.location.explain("read", err)
}

func holdsData(id blob.ID) bool {
	return slices.ContainsFunc(content.PackBlobIDPrefixes, func(p blob.ID) bool {
		return strings.HasPrefix(string(id), string(p))
	})
}

// surveyListing reads every piece of the list of sets: one unreadable piece
// would hide all sets.
func (i *Inspection) surveyListing(ctx context.Context) error {
	list, err := i.pieces(ctx, func(c content.Info) bool { return c.ContentID.Prefix() == manifest.ContentPrefix })
	for _, c := range list {
		if err != nil {
			break
		}
		var d *stored.Damage
		if d, err = i.examine(ctx, c.ContentID); d != nil && d.Lost() {
			i.listing[c.ContentID] = true
		}
	}
	return err
}

// pieces lists the wanted pieces of the index.
func (i *Inspection) pieces(ctx context.Context, wanted func(content.Info) bool) ([]content.Info, error) {
	var list []content.Info
	err := i.dr.ContentReader().IterateContents(ctx, content.IterateOptions{}, func(c content.Info) error {
		if wanted(c) {
			list = append(list, c)
		}
		return ctx.Err()
	})
	return list, i.r.location.explain("read", err)
}

// Stock returns how much is stored.
func (i *Inspection) Stock() stored.Stock { return i.stock }

// Blobs lists the blobs that hold data, by name, with how much they hold.
func (i *Inspection) Blobs() []stored.Blob {
	var out []stored.Blob
	for id, n := range i.packs {
		out = append(out, stored.Blob{Name: string(id), Bytes: n})
	}
	slices.SortFunc(out, func(a, b stored.Blob) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
	return out
}

// Damages lists all damages found so far.
func (i *Inspection) Damages() []stored.Damage {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out []stored.Damage
	for _, d := range i.bad {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b stored.Damage) int {
		if a.Piece < b.Piece {
			return -1
		}
		return 1
	})
	return out
}

// Holdings returns what every set needs, and its damages as far as they are
// known. It reads only directories, lists of pieces and manifests.
func (i *Inspection) Holdings(ctx context.Context) ([]stored.Set, error) {
	entries, err := i.entries(ctx)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	clear(i.objects) // damages were found since then
	i.mu.Unlock()
	var out []stored.Set
	for _, e := range entries {
		h := stored.Set{ID: e.ID, Node: e.Node, State: e.State}
		if err := i.directory(ctx, &h, "", e.root); err != nil {
			return nil, err
		}
		if err := i.manifest(ctx, &h, e); err != nil {
			return nil, err
		}
		slices.SortFunc(h.Files, func(a, b stored.File) int {
			if a.Name < b.Name {
				return -1
			}
			return 1
		})
		out = append(out, h)
	}
	return out, nil
}

// directory notes the files below one directory of a set.
func (i *Inspection) directory(ctx context.Context, h *stored.Set, prefix string, id object.ID) error {
	state, err := i.object(ctx, id)
	if err != nil {
		return err
	}
	h.Damages = append(h.Damages, state.damages...)
	if lost(state.damages) {
		h.Trouble = fmt.Sprintf("directory %q cannot be read", prefix)
		return nil
	}
	in, err := i.r.rep.OpenObject(ctx, id)
	var dir snapshot.DirManifest
	if err == nil {
		defer func() { _ = in.Close() }()
		err = json.NewDecoder(in).Decode(&dir)
	}
	if err != nil {
		return i.unlessAltered(ctx, h, id, fmt.Sprintf("directory %q", prefix), err)
	}
	for _, e := range dir.Entries {
		if e.Type == snapshot.EntryTypeDirectory {
			if err := i.directory(ctx, h, prefix+e.Name+"/", e.ObjectID); err != nil {
				return err
			}
			continue
		}
		state, err := i.object(ctx, e.ObjectID)
		if err != nil {
			return err
		}
		h.Files = append(h.Files, stored.File{
			Name:    prefix + e.Name,
			Object:  e.ObjectID.String(),
			Bytes:   e.FileSize,
			Stored:  state.stored,
			Damages: state.damages,
		})
	}
	return nil
}

// unlessAltered turns a failed read of a small object into its damages, and
// returns an error only if the storage does not answer.
func (i *Inspection) unlessAltered(ctx context.Context, h *stored.Set, id object.ID, what string, err error) error {
	found, failed := i.ReadObject(ctx, id.String())
	if failed != nil {
		return failed
	}
	h.Damages = append(h.Damages, found...)
	h.Trouble = fmt.Sprintf("%s cannot be read: %v", what, err)
	return nil
}

// manifest reads a set's manifest.
func (i *Inspection) manifest(ctx context.Context, h *stored.Set, e Entry) error {
	if h.Trouble != "" {
		return nil
	}
	k := slices.IndexFunc(h.Files, func(f stored.File) bool { return f.Name == holdfast.ManifestName })
	if k < 0 {
		h.Trouble = "it has no manifest"
		return nil
	}
	if lost(h.Files[k].Damages) {
		h.Trouble = "its manifest cannot be read"
		return nil
	}
	id, err := object.ParseID(h.Files[k].Object)
	if err != nil {
		return err
	}
	stored, err := i.r.Load(ctx, e)
	if err == nil {
		h.Manifest = &stored.Set
		return nil
	}
	if holdfast.ClassOf(err) == holdfast.Undetermined { // of a later version: nothing is wrong with it
		h.Trouble, h.Later = err.Error(), true
		return nil
	}
	return i.unlessAltered(ctx, h, id, "its manifest", err)
}

// object looks up every piece of a stored file or directory, once.
func (i *Inspection) object(ctx context.Context, id object.ID) (*objectState, error) {
	i.mu.Lock()
	state := i.objects[id]
	i.mu.Unlock()
	if state != nil {
		return state, nil
	}
	state = &objectState{}
	if err := i.walk(ctx, id, func(c content.ID) error {
		info, damage, err := i.look(ctx, c)
		state.stored += int64(info.PackedLength)
		if damage != nil {
			state.damages = append(state.damages, *damage)
		}
		return err
	}); err != nil {
		return nil, err
	}
	i.mu.Lock()
	i.objects[id] = state
	i.mu.Unlock()
	return state, nil
}

// walk calls fn for each piece of an object. An unreadable list of pieces ends
// the walk early: fn has received its own damage.
func (i *Inspection) walk(ctx context.Context, id object.ID, fn func(content.ID) error) error {
	if index, ok := id.IndexObjectID(); ok {
		if err := i.walk(ctx, index, fn); err != nil {
			return err
		}
		entries, err := object.LoadIndexObject(ctx, patientReader{i.dr.ContentReader()}, index)
		if err != nil {
			found, failed := i.ReadObject(ctx, index.String())
			if failed == nil && len(found) == 0 {
				failed = i.r.location.explain("read", err)
			}
			return failed
		}
		for _, e := range entries {
			if err := i.walk(ctx, e.Object, fn); err != nil {
				return err
			}
		}
		return nil
	}
	c, _, ok := id.ContentID()
	if !ok {
		return fmt.Errorf("object %s of repository %s is of no known type", id, i.r.location)
	}
	return fn(c)
}

// look returns what is known of a piece. It reads only a piece that an earlier
// verification has marked as lost.
func (i *Inspection) look(ctx context.Context, id content.ID) (content.Info, *stored.Damage, error) {
	info, err := i.dr.ContentReader().ContentInfo(ctx, id)
	if errors.Is(err, content.ErrContentNotFound) {
		return info, i.note(id, stored.Damage{Kind: stored.Unindexed}), nil
	}
	if err != nil {
		return info, nil, i.r.location.explain("read", err)
	}
	i.mu.Lock()
	known, ok := i.bad[id]
	i.mu.Unlock()
	if ok {
		return info, &known, nil
	}
	if info.Deleted {
		d, err := i.examine(ctx, id)
		return info, d, err
	}
	return info, nil, nil
}

// note remembers a damage.
func (i *Inspection) note(id content.ID, d stored.Damage) *stored.Damage {
	d.Piece = id.String()
	i.mu.Lock()
	i.bad[id] = d
	i.mu.Unlock()
	return &d
}

// Open opens a stored file by the name of its object.
func (i *Inspection) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	id, err := object.ParseID(name)
	if err != nil {
		return nil, err
	}
	in, err := openReadahead(ctx, i.r.rep, id)
	if err != nil {
		return nil, i.r.location.explain("read", err)
	}
	return in, nil
}

func lost(list []stored.Damage) bool { return slices.ContainsFunc(list, stored.Damage.Lost) }
