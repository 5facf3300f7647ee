package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"

	"holdfast"
	"holdfast/record"
)

const pinRecord = "holdfast-pin"

// Pins lists the pins on the sets of a node, or of every node if it is empty,
// including expired ones. They are sorted by set.
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

// Pin pins a stored set, and replaces an earlier pin.
func (r *Repository) Pin(ctx context.Context, p record.Pin) error {
	return r.withHistoryLock(ctx, func() error {
		// It may have been dropped while this process waited.
		if _, err := r.Match(ctx, p.Node, string(p.Set)); err != nil {
			return err
		}
		return r.put(ctx, pinLabels(p.Node, p.Set), p, true)
	})
}

// Unpin removes the pin of a set. A set without a pin is an error.
func (r *Repository) Unpin(ctx context.Context, node holdfast.NodeName, set holdfast.SetID) error {
	return r.withHistoryLock(ctx, func() error {
		if err := r.refresh(ctx); err != nil {
			return err
		}
		return r.write(ctx, "unpin", func(ctx context.Context, s *Session) error {
			n, err := s.remove(ctx, pinLabels(node, set))
			if err == nil && n == 0 {
				return &holdfast.Problem{
					Class: holdfast.Usage,
					What:  fmt.Sprintf("set %s is not pinned", set),
					Do:    "`holdfast retention pins` lists the pins.",
				}
			}
			return err
		})
	})
}

// Drop drops the node's sets that choose returns: all of them, or none if it
// fails. No other process drops or pins meanwhile, so choose can rely on what
// it reads. Data that only these sets needed stays stored until maintenance
// deletes it. A set can be dropped whatever the state of its files, at once and
// as a whole: Drop deletes its snapshot, which alone makes its files a set.
func (r *Repository) Drop(
	ctx context.Context, node holdfast.NodeName, choose func(context.Context) ([]holdfast.SetID, error),
) error {
	return r.withHistoryLock(ctx, func() error {
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
		return r.reworded(r.write(ctx, fmt.Sprintf("drop %d sets", len(ids)),
			func(ctx context.Context, s *Session) error {
				for _, id := range ids {
					if err := s.drop(ctx, node, id, manifests); err != nil {
						return err
					}
				}
				return s.noteDropped(ctx, verified, ids)
			}))
	})
}

// withHistoryLock runs fn while no other process drops or pins sets.
func (r *Repository) withHistoryLock(ctx context.Context, fn func() error) error {
	unlock, err := r.lock(ctx, historyLock, r.Patience)
	if err != nil {
		return err
	}
	defer unlock()
	return fn()
}

// drop deletes the snapshots of one set, and its pin. A repository that was
// merged from several may hold several snapshots of one set.
func (s *Session) drop(
	ctx context.Context, node holdfast.NodeName, id holdfast.SetID, manifests []*snapshot.Manifest,
) error {
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
		return &holdfast.Problem{
			Class: holdfast.Usage,
			What:  fmt.Sprintf("there is no set %s of node %s in %s", id, node, s.location),
			Do:    "`holdfast list` shows the sets.",
		}
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

// reworded explains a failed write to an operator who drops sets.
func (r *Repository) reworded(err error) error {
	var p *holdfast.Problem
	if !errors.As(err, &p) || p.Class != holdfast.NoSpace && p.Class != holdfast.ReadOnly {
		return err
	}
	q := *p
	q.Why = "No set was dropped and no space was freed; every set is unchanged."
	if q.Class == holdfast.NoSpace {
		q.Do = "Free a hundred megabytes on that disk by other means: dropping sets writes to the index, too. Then " +
			"run it again."
	}
	return &q
}
