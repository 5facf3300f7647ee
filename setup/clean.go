package setup

import (
	"context"
	"holdfast/capture/postgres"
	"holdfast/databases"
	"holdfast/node/compose"
	"slices"
)

// keptVolumes are the volumes that restores of a compose node have put aside.
func (p Parts) keptVolumes(ctx context.Context, to []string) (*compose.Engine, []compose.Kept, error) {
	if p.Compose == nil || len(to) > 0 {
		return nil, nil, nil
	}
	n, err := p.ComposeNode(ctx)
	if err != nil {
		return nil, nil, err
	}
	list, err := n.Engine.Kept(ctx, n.Project)
	return n.Engine, list, err
}

// Leftovers are the databases and volumes that restores have left. Where the
// databases cannot be looked at, unseen says why; the volumes are there all the
// same.
func (p Parts) Leftovers(ctx context.Context, to []string) (list []databases.Leftover, unseen, err error) {
	_, volumes, err := p.keptVolumes(ctx, to)
	if err != nil {
		return nil, nil, err
	}
	place, err := p.Place(ctx, to, postgres.LoadOptions{})
	if err != nil {
		return nil, nil, err
	}
	list, err = place.Leftovers(ctx)
	if err != nil && len(volumes) > 0 && ctx.Err() == nil {
		unseen, err = err, nil
	}
	for _, v := range volumes {
		list = append(list, databases.Leftover{
			Label: databases.Label{Role: databases.Role(v.Role), Set: v.Set, At: v.At},
			Name:  v.Name, Bytes: v.Bytes, Volume: v.Of,
		})
	}
	return list, unseen, err
}

// Clean drops what is named: the volumes among it after the databases, of
// which all are known to be leftovers before the first is dropped.
func (p Parts) Clean(ctx context.Context, to, names []string) error {
	engine, volumes, err := p.keptVolumes(ctx, to)
	if err != nil {
		return err
	}
	var databases []string
	var chosen []compose.Kept
	for _, name := range names {
		if i := slices.IndexFunc(volumes, func(k compose.Kept) bool { return k.Name == name }); i >= 0 {
			chosen = append(chosen, volumes[i])
		} else {
			databases = append(databases, name)
		}
	}
	if len(databases) > 0 {
		place, err := p.Place(ctx, to, postgres.LoadOptions{})
		if err != nil {
			return err
		}
		if err := place.Drop(ctx, databases); err != nil {
			return err
		}
	}
	for _, k := range chosen {
		if err := engine.Forget(ctx, k); err != nil {
			return err
		}
	}
	return nil
}
