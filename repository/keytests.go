package repository

import (
	"context"
	"slices"

	"github.com/kopia/kopia/repo/manifest"

	"holdfast"
	"holdfast/record"
)

const keyTestRecord = "holdfast-key-test"

// PutKeyTest records that a recovery key opened the identities of a set. Only
// the newest test of each set is stored.
func (r *Repository) PutKeyTest(ctx context.Context, t record.KeyTest) error {
	return r.put(ctx, map[string]string{
		manifest.TypeLabelKey: keyTestRecord,
		"node":                string(t.Node),
		"set":                 string(t.Set),
	}, t, true)
}

// KeyTests lists the tests of recovery keys on a node's sets, oldest first.
func (r *Repository) KeyTests(ctx context.Context, node holdfast.NodeName) ([]record.KeyTest, error) {
	list, err := records[record.KeyTest](ctx, r, map[string]string{
		manifest.TypeLabelKey: keyTestRecord,
		"node":                string(node),
	})
	slices.SortStableFunc(list, func(a, b record.KeyTest) int { return a.At.Compare(b.At) })
	return list, err
}

const attacksRecord = "holdfast-attacks"

// PutAttacks records attacks that were tried on what is stored. It replaces what
// was recorded before.
func (r *Repository) PutAttacks(ctx context.Context, tried record.Attacks) error {
	return r.put(ctx, map[string]string{manifest.TypeLabelKey: attacksRecord}, tried, true)
}

// Attacks are the newest that were tried; nil when none ever were.
func (r *Repository) Attacks(ctx context.Context) (*record.Attacks, error) {
	list, err := records[record.Attacks](ctx, r, map[string]string{manifest.TypeLabelKey: attacksRecord})
	if len(list) == 0 || err != nil {
		return nil, err
	}
	newest := slices.MaxFunc(list, func(a, b record.Attacks) int { return a.At.Compare(b.At) })
	return &newest, nil
}
