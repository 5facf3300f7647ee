package repository

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/kopia/kopia/fs"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"

	"holdfast"
	setmanifest "holdfast/manifest"
)

// The list of sets is stored in pieces of its own, as JSON. kopia lists nothing
// at all if one of them is unreadable; this code reads the others.

// listed is one manifest as kopia stores it (kopia v0.23.1, repo/manifest).
type listed struct {
	ID      manifest.ID       `json:"id"`
	Labels  map[string]string `json:"labels"`
	ModTime time.Time         `json:"modified"`
	Deleted bool              `json:"deleted,omitempty"`
	Content json.RawMessage   `json:"data"`
}

// entries lists the sets, oldest first. If a piece of the list is unreadable,
// the sets that only it names are missing.
func (i *Inspection) entries(ctx context.Context) ([]Entry, error) {
	if len(i.listing) == 0 {
		return i.r.Sets(ctx, "")
	}
	list, err := i.pieces(ctx, func(c content.Info) bool {
		return c.ContentID.Prefix() == manifest.ContentPrefix && !i.listing[c.ContentID]
	})
	if err != nil {
		return nil, err
	}
	newest := map[manifest.ID]listed{}
	for _, c := range list {
		records, err := i.records(ctx, c.ContentID)
		if err != nil {
			return nil, i.r.location.explain("read", err)
		}
		for _, e := range records {
			if old, ok := newest[e.ID]; !ok || e.ModTime.After(old.ModTime) {
				newest[e.ID] = e
			}
		}
	}
	var out []Entry
	for _, e := range newest {
		var m snapshot.Manifest
		if e.Deleted || e.Labels[manifest.TypeLabelKey] != snapshot.ManifestType ||
			json.Unmarshal(e.Content, &m) != nil {
			continue
		}
		if entry, ok := entryOf(&m); ok {
			out = append(out, entry)
		}
	}
	sortEntries(out)
	return out, nil
}

// records reads one piece of the list.
func (i *Inspection) records(ctx context.Context, id content.ID) ([]listed, error) {
	text, err := i.dr.ContentReader().GetContent(ctx, id)
	if err != nil {
		return nil, err
	}
	in, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var list struct {
		Entries []listed `json:"entries"`
	}
	return list.Entries, json.NewDecoder(in).Decode(&list)
}

// ListDamaged reports whether a piece of the list of sets is unreadable.
// Nothing else works on the repository until that is repaired.
func (i *Inspection) ListDamaged() bool { return len(i.listing) > 0 }

// RecoverSets finds the sets whose entry in the list was lost, and lists them
// again: their trees are still stored, with the manifest at the root of each.
// It is for a damaged list; sets that were dropped since the last maintenance
// come back as well.
func (i *Inspection) RecoverSets(ctx context.Context) ([]holdfast.SetID, error) {
	known, err := i.r.Sets(ctx, "")
	if err != nil {
		return nil, err
	}
	clear(i.listing)
	trees, err := i.pieces(ctx, func(c content.Info) bool { return c.ContentID.Prefix() == objectIDPrefixDirectory })
	if err != nil {
		return nil, err
	}
	var found []holdfast.SetID
	err = i.r.write(ctx, "recover sets", func(ctx context.Context, s *Session) error {
		for _, c := range trees {
			set, root, files := i.rootAt(ctx, c.ContentID)
			if set == nil || slices.ContainsFunc(known, func(e Entry) bool { return e.ID == set.ID }) {
				continue
			}
			if err := s.publish(ctx, set, root, files); err != nil {
				return err
			}
			found = append(found, set.ID)
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}

// objectIDPrefixDirectory is the prefix of the pieces that hold directories.
const objectIDPrefixDirectory = "k"

// rootAt reads a directory and returns the set whose root it is, or nil.
func (i *Inspection) rootAt(ctx context.Context, id content.ID) (*holdfast.Set, *snapshot.DirEntry, int) {
	text, err := i.dr.ContentReader().GetContent(ctx, id)
	var dir snapshot.DirManifest
	if err != nil || json.Unmarshal(text, &dir) != nil || dir.Summary == nil {
		return nil, nil, 0
	}
	k := slices.IndexFunc(dir.Entries, func(e *snapshot.DirEntry) bool { return e.Name == holdfast.ManifestName })
	if k < 0 {
		return nil, nil, 0
	}
	in, err := i.r.rep.OpenObject(ctx, dir.Entries[k].ObjectID)
	if err != nil {
		return nil, nil, 0
	}
	defer func() { _ = in.Close() }()
	set, err := setmanifest.Read(in)
	if err != nil || !set.ID.Valid() {
		return nil, nil, 0
	}
	root, err := object.ParseID(id.String())
	if err != nil {
		return nil, nil, 0
	}
	return &set, &snapshot.DirEntry{
			Type:        snapshot.EntryTypeDirectory,
			Permissions: 0o700,
			ModTime:     fs.UTCTimestampFromTime(set.Ended.Wall),
			ObjectID:    root,
			DirSummary:  dir.Summary,
		},
		int(dir.Summary.TotalFileCount)
}

// patientReader reads pieces one by one: it implements kopia's prefetching as a
// no-op.
type patientReader struct{ content.Reader }

// PrefetchContents fetches none.
func (patientReader) PrefetchContents(context.Context, []content.ID, string) []content.ID { return nil }
