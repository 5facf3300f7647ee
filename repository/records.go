package repository

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/kopia/kopia/repo/manifest"

	"holdfast"
)

// Records are small values that belong to a repository rather than to one
// machine: what was rehearsed, what was verified, with which key reports are
// signed. They are kopia manifests of types of our own, beside the snapshots;
// kopia's own commands pass over them.
const (
	drillRecord = "holdfast-drill"
)

// PutDrill remembers a drill.
func (r *Repository) PutDrill(ctx context.Context, d holdfast.Drill) error {
	return r.put(ctx, map[string]string{manifest.TypeLabelKey: drillRecord, "node": string(d.Node), "set": string(d.Set)}, d, false)
}

// Drills lists the drills of a node's sets, or of every node's when it is
// empty, oldest first.
func (r *Repository) Drills(ctx context.Context, node holdfast.NodeName) ([]holdfast.Drill, error) {
	labels := map[string]string{manifest.TypeLabelKey: drillRecord}
	if node != "" {
		labels["node"] = string(node)
	}
	list, err := records[holdfast.Drill](ctx, r, labels)
	slices.SortStableFunc(list, func(a, b holdfast.Drill) int { return a.At.Compare(b.At) })
	return list, err
}

// NoteDropped tells the next verification that those sets were dropped on
// purpose, so that it does not look for them.
func (r *Repository) NoteDropped(ctx context.Context, sets ...holdfast.SetID) error {
	v, err := r.Verification(ctx)
	if err != nil {
		return err
	}
	return r.write(ctx, "note dropped sets", func(ctx context.Context, s *Session) error { return s.noteDropped(ctx, v, sets) })
}

// noteDropped takes sets out of what verifications expect to find.
func (s *Session) noteDropped(ctx context.Context, v holdfast.Verification, sets []holdfast.SetID) error {
	before := len(v.Sets)
	v.Sets = slices.DeleteFunc(slices.Clone(v.Sets), func(id holdfast.SetID) bool { return slices.Contains(sets, id) })
	if len(v.Sets) == before {
		return nil
	}
	_, err := s.w.ReplaceManifests(ctx, map[string]string{manifest.TypeLabelKey: verificationRecord}, v)
	return s.location.explain("write to", err)
}

// put stores a record; replace takes the place of every one with those labels.
func (r *Repository) put(ctx context.Context, labels map[string]string, value any, replace bool) error {
	return r.write(ctx, "record "+labels[manifest.TypeLabelKey], func(ctx context.Context, s *Session) error {
		var err error
		if replace {
			_, err = s.w.ReplaceManifests(ctx, labels, value)
		} else {
			_, err = s.w.PutManifest(ctx, labels, value)
		}
		return s.location.explain("write to", err)
	})
}

// records reads every record with those labels, in no order.
func records[T any](ctx context.Context, r *Repository, labels map[string]string) ([]T, error) {
	if err := r.refresh(ctx); err != nil {
		return nil, err
	}
	found, err := r.rep.FindManifests(ctx, labels)
	if err != nil {
		return nil, r.location.explain("read", err)
	}
	var out []T
	for _, m := range found {
		var text json.RawMessage
		var value T
		if _, err := r.rep.GetManifest(ctx, m.ID, &text); err != nil {
			return nil, r.location.explain("read", err)
		}
		if err := json.Unmarshal(text, &value); err != nil {
			return nil, fmt.Errorf("read %s: record %s: %w", r.location.Name, m.ID, err)
		}
		out = append(out, value)
	}
	return out, nil
}
