package repository

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"

	"holdfast"
	setmanifest "holdfast/manifest"
	"holdfast/record"
)

// The tags of a set's snapshot; kopia's command shows what follows "tag:".
const (
	tagNode  = "tag:node"
	tagSet   = "tag:set"
	tagState = "tag:state"
	tagFacts = "tag:summary" // record.Summary, as JSON
)

func sourceOf(node holdfast.NodeName) snapshot.SourceInfo {
	return snapshot.SourceInfo{UserName: string(node), Host: hostName, Path: "/" + string(node)}
}

// Entry is a stored set as a listing knows it, without reading its manifest. The
// repository leaves its decision and its copies empty: the caller knows them.
type Entry struct {
	record.Set

	// Summary is what lists need of the manifest; nil where the entry has none, as
	// those of older sets.
	Summary *record.Summary `json:"-"`

	Stored time.Time `json:"-"` // by the clock of who stored it here

	root     object.ID
	manifest manifest.ID // of the snapshot
}

// Sets lists the stored sets of a node, or of every node when it is empty,
// oldest first. Snapshots in the repository that are not sets are skipped.
func (r *Repository) Sets(ctx context.Context, node holdfast.NodeName) ([]Entry, error) {
	if err := r.refresh(ctx); err != nil {
		return nil, err
	}
	manifests, err := r.snapshots(ctx, node)
	if err != nil {
		return nil, err
	}
	stored, err := r.rep.FindManifests(ctx, map[string]string{manifest.TypeLabelKey: snapshot.ManifestType})
	if err != nil {
		return nil, r.location.explain("read", err)
	}
	when := make(map[manifest.ID]time.Time, len(stored))
	for _, m := range stored {
		when[m.ID] = m.ModTime
	}
	var out []Entry
	for _, m := range manifests {
		if e, ok := entryOf(m); ok {
			e.Stored = when[m.ID]
			out = append(out, e)
		}
	}
	sortEntries(out)
	return out, nil
}

// entryOf makes the entry of a snapshot, if that is a set.
func entryOf(m *snapshot.Manifest) (Entry, bool) {
	if m == nil || !holdfast.SetID(m.Tags[tagSet]).Valid() || m.IncompleteReason != "" || m.RootEntry == nil {
		return Entry{}, false
	}
	e := Entry{root: m.RootEntry.ObjectID, manifest: m.ID, Set: record.Set{
		ID:    holdfast.SetID(m.Tags[tagSet]),
		Node:  holdfast.NodeName(m.Tags[tagNode]),
		State: holdfast.State(m.Tags[tagState]),
		Began: m.StartTime.ToTime(),
		Ended: m.EndTime.ToTime(),
	}}
	if sum := m.RootEntry.DirSummary; sum != nil {
		e.Bytes, e.Files = sum.TotalFileSize, sum.TotalFileCount
	}
	var known record.Summary
	if json.Unmarshal([]byte(m.Tags[tagFacts]), &known) == nil {
		e.Summary = &known
	}
	return e, true
}

// sortEntries puts the oldest first.
func sortEntries(list []Entry) {
	slices.SortFunc(list, func(a, b Entry) int {
		if c := a.Began.Compare(b.Began); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
}

// snapshots are the snapshots of the node's sets, or of every node's.
func (r *Repository) snapshots(ctx context.Context, node holdfast.NodeName) ([]*snapshot.Manifest, error) {
	var source *snapshot.SourceInfo
	if node != "" {
		s := sourceOf(node)
		source = &s
	}
	ids, err := snapshot.ListSnapshotManifests(ctx, r.rep, source, nil)
	if err != nil {
		return nil, r.location.explain("read", err)
	}
	manifests, err := snapshot.LoadSnapshots(ctx, r.rep, ids)
	if err != nil {
		return nil, r.location.explain("read", err)
	}
	return slices.DeleteFunc(manifests, func(m *snapshot.Manifest) bool {
		return m == nil || m.Tags[tagSet] == ""
	}), nil
}

// patience is how long requests to a failing storage are repeated. Tests set it
// lower.
var patience = time.Minute

// patience is how long they are repeated here.
func (l location) patience() time.Duration { return l.access.within(patience) }

// refresh makes visible what other processes have written. While the storage
// fails, kopia retries for ever and ignores a cancelled context. So refresh
// returns when patience or the context ends, and leaves kopia to end at its
// next try.
func (r *Repository) refresh(ctx context.Context) error {
	if r.still {
		return ctx.Err()
	}
	patience := r.location.patience()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.rep.Refresh(limited) }()
	select {
	case err := <-done:
		if err == nil || limited.Err() == nil {
			return r.location.explain("read", err)
		}
	case <-limited.Done():
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &holdfast.Problem{
		Class: holdfast.Unreachable,
		What:  fmt.Sprintf("read repository %s: its storage has failed for %v", r.location, patience),
		Why:   "Sets can be neither read nor written.",
		Do:    "Check the disk or the network of the storage: is it mounted, can you list its directory?",
	}
}

// Latest reads the newest set of a node that is in one of the states, or in any
// state if none is given. The set's ID is empty when there is none.
func (r *Repository) Latest(
	ctx context.Context, node holdfast.NodeName, states ...holdfast.State,
) (holdfast.Set, holdfast.Files, error) {
	entries, err := r.Sets(ctx, node)
	if err != nil {
		return holdfast.Set{}, nil, err
	}
	for _, e := range slices.Backward(entries) {
		if len(states) > 0 && !slices.Contains(states, e.State) {
			continue
		}
		s, err := r.Load(ctx, e)
		if err != nil {
			return holdfast.Set{}, nil, err
		}
		return s.Set, s, nil
	}
	return holdfast.Set{}, nil, nil
}

// Find reads the set whose ID begins with id, of any node when node is empty.
func (r *Repository) Find(
	ctx context.Context, node holdfast.NodeName, id string,
) (holdfast.Set, holdfast.Files, error) {
	e, err := r.Match(ctx, node, id)
	if err != nil {
		return holdfast.Set{}, nil, err
	}
	s, err := r.Load(ctx, e)
	if err != nil {
		return holdfast.Set{}, nil, err
	}
	return s.Set, s, nil
}

// Match finds the set whose ID begins with id, of any node when node is empty,
// without reading it.
func (r *Repository) Match(ctx context.Context, node holdfast.NodeName, id string) (Entry, error) {
	entries, err := r.Sets(ctx, node)
	if err != nil {
		return Entry{}, err
	}
	var found []Entry
	for _, e := range entries {
		if string(e.ID) == id {
			return e, nil
		}
		if id != "" && (strings.HasPrefix(string(e.ID), id) || strings.HasSuffix(string(e.ID), "-"+id)) {
			found = append(found, e)
		}
	}
	const advice = "`holdfast list` shows the sets; give the whole ID, its beginning or its last eight digits."
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Entry{}, &holdfast.Problem{
			Class: holdfast.Usage,
			What:  fmt.Sprintf("there is no set %q in %s", id, r.location),
			Do:    advice,
		}
	}
	return Entry{}, &holdfast.Problem{
		Class: holdfast.Usage,
		What:  fmt.Sprintf("%d sets begin with %q", len(found), id),
		Do:    advice,
	}
}

// Stored is an open set: its manifest, and its files by name.
type Stored struct {
	Set holdfast.Set

	r     *Repository
	root  object.ID
	files map[string]object.ID
	dirs  map[object.ID]bool
}

// Load reads the manifest of a listed set.
func (r *Repository) Load(ctx context.Context, e Entry) (*Stored, error) {
	s := &Stored{r: r, root: e.root, files: map[string]object.ID{}, dirs: map[object.ID]bool{}}
	if err := s.index(ctx, "", e.root); err != nil {
		return nil, r.location.explain("read", err)
	}
	in, err := s.Open(ctx, holdfast.ManifestName)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	s.Set, err = decode(e.ID, in)
	return s, err
}

func decode(id holdfast.SetID, in io.Reader) (set holdfast.Set, err error) {
	set, err = setmanifest.Read(in)
	if err == nil && set.ID != id {
		err = fmt.Errorf("it is of set %q", set.ID)
	}
	switch {
	case err == nil:
		return set, nil
	case holdfast.ClassOf(err) == holdfast.Undetermined:
		return set, fmt.Errorf("set %s: %w", id, err)
	}
	return set, &holdfast.Problem{
		Class: holdfast.Failed,
		What:  fmt.Sprintf("read the manifest of set %s", id),
		Err:   err,
		Why:   "Without its manifest the set cannot be proven.",
		Do:    "Choose another set: `holdfast list`. The kopia command can still read the files of this one.",
	}
}

// index lists every file below one directory.
func (s *Stored) index(ctx context.Context, prefix string, id object.ID) error {
	s.dirs[id] = true
	in, err := s.r.rep.OpenObject(ctx, id)
	if err != nil {
		return fmt.Errorf("directory %q of the set: %w", prefix, err)
	}
	defer func() { _ = in.Close() }()
	var dir snapshot.DirManifest
	if err := json.NewDecoder(in).Decode(&dir); err != nil {
		return fmt.Errorf("directory %q of the set: %w", prefix, err)
	}
	for _, e := range dir.Entries {
		if e.Type == snapshot.EntryTypeDirectory {
			if err := s.index(ctx, prefix+e.Name+"/", e.ObjectID); err != nil {
				return err
			}
			continue
		}
		s.files[prefix+e.Name] = e.ObjectID
	}
	return nil
}

// Names lists the set's files, sorted.
func (s *Stored) Names() []string {
	names := make([]string, 0, len(s.files))
	for n := range s.files {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Open opens one file of the set. It may be called from several goroutines.
func (s *Stored) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	id, ok := s.files[name]
	if !ok {
		return nil, &holdfast.Problem{
			Class: holdfast.Failed,
			What:  fmt.Sprintf("set %s has no file %s", s.Set.ID, name),
		}
	}
	doing := "read " + name + " from"
	in, err := openReadahead(ctx, s.r.rep, id)
	if err != nil {
		return nil, s.r.location.explain(doing, err)
	}
	return explained{in, func(err error) error { return s.r.location.explain(doing, err) }}, nil
}
