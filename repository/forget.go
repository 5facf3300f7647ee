package repository

import (
	"context"
	"errors"
	"fmt"
	"holdfast/record"
	"slices"
	"strings"

	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"

	"holdfast"
)

const pinRecord = "holdfast-pin"

// Pins lists the pins on a node's sets, those that have ended among them, or of
// every node's when it is empty. They are sorted by set.
func (r *Repository) Pins(ctx context.Context, node holdfast.NodeName) ([]record.Pin, error) {
	labels := map[string]string{manifest.TypeLabelKey: pinRecord}
	if node != "" {
		labels["node"] = string(node)
	}
	pins, err := records[record.Pin](ctx, r, labels)
	slices.SortFunc(pins, func(a, b record.Pin) int { return strings.Compare(string(a.Set), string(b.Set)) })
	return pins, err
}

func pinLabels(node holdfast.NodeName, set holdfast.SetID) map[string]string {
	return map[string]string{manifest.TypeLabelKey: pinRecord, "node": string(node), "set": string(set)}
}

// Pin sets a pin on a stored set, in place of the one it may have.
func (r *Repository) Pin(ctx context.Context, p record.Pin) error {
	return r.alone(ctx, func() error {
		// It may have been dropped while this waited.
		if _, err := r.Match(ctx, p.Node, string(p.Set)); err != nil {
			return err
		}
		return r.put(ctx, pinLabels(p.Node, p.Set), p, true)
	})
}

// Unpin takes the pin off a set. That it had none is an error.
func (r *Repository) Unpin(ctx context.Context, node holdfast.NodeName, set holdfast.SetID) error {
	return r.alone(ctx, func() error {
		if err := r.refresh(ctx); err != nil {
			return err
		}
		return r.write(ctx, "unpin", func(ctx context.Context, s *Session) error {
			n, err := s.remove(ctx, pinLabels(node, set))
			if err == nil && n == 0 {
				return &holdfast.Problem{Class: holdfast.Usage, What: fmt.Sprintf("set %s is not pinned", set), Do: "`holdfast retention pins` lists the pins."}
			}
			return err
		})
	})
}

// Drop drops the node's sets that choose names: all of them, or none if it
// fails. Nobody else drops or pins while it runs, so choose can look at what
// there is and rely on it. What only these sets needed stays stored until
// maintenance gives it back. A set can be dropped whatever state its files are
// in, and it is gone at once and as a whole: what is deleted is its snapshot,
// the only thing that makes its files a set.
func (r *Repository) Drop(ctx context.Context, node holdfast.NodeName, choose func(context.Context) ([]holdfast.SetID, error)) error {
	return r.alone(ctx, func() error {
		if err := r.refresh(ctx); err != nil {
			return err
		}
		ids, err := choose(ctx)
		if err != nil || len(ids) == 0 {
			return err
		}
		manifests, err := r.snapshots(ctx, node)
		if err != nil {
			return err
		}
		verified, err := r.Verification(ctx)
		if err != nil {
			return err
		}
		return r.reworded(r.write(ctx, fmt.Sprintf("drop %d sets", len(ids)), func(ctx context.Context, s *Session) error {
			for _, id := range ids {
				if err := s.drop(ctx, node, id, manifests); err != nil {
					return err
				}
			}
			return s.noteDropped(ctx, verified, ids)
		}))
	})
}

// alone runs fn while nobody else changes which sets there are to be kept.
func (r *Repository) alone(ctx context.Context, fn func() error) error {
	unlock, err := r.lock(ctx, historyLock, r.Patience)
	if err != nil {
		return err
	}
	defer unlock()
	return fn()
}

// drop deletes the snapshots of one set, and what is pinned to it. In a
// repository that was copied together there may be several of one.
func (s *Session) drop(ctx context.Context, node holdfast.NodeName, id holdfast.SetID, manifests []*snapshot.Manifest) error {
	found := false
	for _, m := range manifests {
		if m.Tags[tagSet] != string(id) || m.Tags[tagNode] != string(node) {
			continue
		}
		found = true
		if err := s.w.DeleteManifest(ctx, m.ID); err != nil {
			return s.location.explain("write to", err)
		}
	}
	if !found {
		return &holdfast.Problem{Class: holdfast.Usage, What: fmt.Sprintf("there is no set %s of node %s in %s", id, node, s.location), Do: "`holdfast list` shows the sets."}
	}
	_, err := s.remove(ctx, pinLabels(node, id))
	return err
}

// remove deletes every record with those labels.
func (s *Session) remove(ctx context.Context, labels map[string]string) (int, error) {
	found, err := s.w.FindManifests(ctx, labels)
	for _, m := range found {
		if err == nil {
			err = s.w.DeleteManifest(ctx, m.ID)
		}
	}
	return len(found), s.location.explain("write to", err)
}

// reworded says of a failure to write what it means for who wanted to drop.
func (r *Repository) reworded(err error) error {
	var p *holdfast.Problem
	if !errors.As(err, &p) || p.Class != holdfast.NoSpace && p.Class != holdfast.ReadOnly {
		return err
	}
	q := *p
	q.Why = "Nothing was dropped and nothing was given back; every set is as it was."
	if q.Class == holdfast.NoSpace {
		q.Do = "Make a little room on that disk by other means, a hundred megabytes: saying that sets are gone needs to be written as well. Then run it again."
	}
	return &q
}
