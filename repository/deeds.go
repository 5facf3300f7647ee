package repository

import (
	"context"

	"github.com/kopia/kopia/repo/manifest"

	"holdfast/record"
)

const deedRecord = "holdfast-deed"

// AddDeed adds an entry to the audit trail. No other process adds one meanwhile.
func (r *Repository) AddDeed(ctx context.Context, d record.Deed) error {
	return r.withHistoryLock(ctx, func() error {
		if err := r.refresh(ctx); err != nil {
			return err
		}
		trail, err := r.Trail(ctx)
		if err != nil {
			return err
		}
		d.Previous = trail.Head
		return r.put(ctx, map[string]string{manifest.TypeLabelKey: deedRecord, "node": string(d.Node)}, d, false)
	})
}

// Trail is the audit trail of every node of the repository.
func (r *Repository) Trail(ctx context.Context) (record.Trail, error) {
	list, err := records[record.Deed](ctx, r, map[string]string{manifest.TypeLabelKey: deedRecord})
	return record.TrailOf(list), err
}
