package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kopia/kopia/snapshot"
	"golang.org/x/sync/errgroup"

	"holdfast"
)

// Read is a listed set with its manifest, or the error of reading that.
type Read struct {
	Entry
	Set holdfast.Set
	Err error
}

// How many manifests are read at a time: on a remote storage latency dominates.
const readers = 8

// Manifests reads the manifests of a node's sets, or of every node's, oldest
// first. It reads nothing else, so it is quick for hundreds of sets.
func (r *Repository) Manifests(ctx context.Context, node holdfast.NodeName) ([]Read, error) {
	entries, err := r.Sets(ctx, node)
	if err != nil {
		return nil, err
	}
	return r.ManifestsOf(ctx, entries)
}

// ManifestsOf reads the manifests of listed sets.
func (r *Repository) ManifestsOf(ctx context.Context, entries []Entry) ([]Read, error) {
	out := make([]Read, len(entries))
	var group errgroup.Group
	group.SetLimit(readers)
	for i, e := range entries {
		group.Go(func() error {
			out[i] = Read{Entry: e}
			out[i].Set, out[i].Err = r.manifest(ctx, e)
			return nil
		})
	}
	return out, errors.Join(group.Wait(), ctx.Err())
}

func (r *Repository) manifest(ctx context.Context, e Entry) (set holdfast.Set, err error) {
	in, err := r.rep.OpenObject(ctx, e.root)
	if err != nil {
		return set, r.location.explain("read", err)
	}
	defer func() { _ = in.Close() }()
	var root snapshot.DirManifest
	if err := json.NewDecoder(in).Decode(&root); err != nil {
		return set, r.location.explain("read", fmt.Errorf("the directory of set %s: %w", e.ID, err))
	}
	for _, f := range root.Entries {
		if f.Name != holdfast.ManifestName {
			continue
		}
		in, err := r.rep.OpenObject(ctx, f.ObjectID)
		if err != nil {
			return set, r.location.explain("read", err)
		}
		defer func() { _ = in.Close() }()
		return decode(e.ID, in)
	}
	return set, &holdfast.Problem{
		Class: holdfast.Failed,
		What:  fmt.Sprintf("set %s has no file %s", e.ID, holdfast.ManifestName),
	}
}
