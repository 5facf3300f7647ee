package setup

import (
	"context"
	"holdfast/databases"
	"holdfast/node/compose"
	"slices"
)

// Kept implements Volumes.
func (c *composed) Kept(ctx context.Context) ([]databases.Leftover, error) {
	n, err := c.found(ctx)
	if err != nil {
		return nil, err
	}
	volumes, err := n.Engine.Kept(ctx, n.Project)
	var out []databases.Leftover
	for _, v := range volumes {
		out = append(out, databases.Leftover{
			Label: databases.Label{Role: databases.Role(v.Role), Set: v.Set, At: v.At},
			Name:  v.Name, Bytes: v.Bytes, Volume: v.Of,
		})
	}
	return out, err
}

// Forget implements Volumes.
func (c *composed) Forget(ctx context.Context, name string) error {
	n, err := c.found(ctx)
	if err != nil {
		return err
	}
	return n.Engine.Forget(ctx, compose.Kept{Name: name})
}

// keptVolumes are the volumes that restores of the node have put aside.
func (p *Parts) keptVolumes(ctx context.Context, to []string) ([]databases.Leftover, error) {
	if p.kind.Volumes == nil || len(to) > 0 {
		return nil, nil
	}
	return p.kind.Volumes.Kept(ctx)
}

// Leftovers are the databases and volumes that restores have left. Where the
// databases cannot be looked at, unseen says why; the volumes are there all the
// same.
func (p *Parts) Leftovers(ctx context.Context, to []string) (list []databases.Leftover, unseen, err error) {
	volumes, err := p.keptVolumes(ctx, to)
	if err != nil {
		return nil, nil, err
	}
	target, err := p.target(ctx, RestoreOptions{To: to})
	if err != nil {
		return nil, nil, err
	}
	list, err = target.Leftovers(ctx)
	if err != nil && len(volumes) > 0 && ctx.Err() == nil {
		unseen, err = err, nil
	}
	return append(list, volumes...), unseen, err
}

// Clean drops what is named: the volumes among it after the databases, of
// which all are known to be leftovers before the first is dropped.
func (p *Parts) Clean(ctx context.Context, to, names []string) error {
	volumes, err := p.keptVolumes(ctx, to)
	if err != nil {
		return err
	}
	isVolume := func(name string) bool {
		return slices.ContainsFunc(volumes, func(v databases.Leftover) bool { return v.Name == name })
	}
	if named := slices.DeleteFunc(slices.Clone(names), isVolume); len(named) > 0 {
		target, err := p.target(ctx, RestoreOptions{To: to})
		if err != nil {
			return err
		}
		if err := target.Drop(ctx, named); err != nil {
			return err
		}
	}
	for _, name := range names {
		if !isVolume(name) {
			continue
		}
		if err := p.kind.Volumes.Forget(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
