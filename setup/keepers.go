package setup

import (
	"context"

	"holdfast/config"
	"holdfast/identities"
	"holdfast/secretmanager"
)

// keeper keeps identities in a configured place.
func (p *Parts) keeper(k config.Keep) identities.Keeper {
	if dir, local := k.Place.Local(); local {
		return identities.Directory(dir)
	}
	return safe{p, k}
}

// inClear are the places that get the identities in clear.
func inClear(c *config.Config) []string {
	var out []string
	if c.Identities != nil {
		for _, k := range c.Identities.Keep {
			if k.InClear() {
				out = append(out, k.Place.String())
			}
		}
	}
	return out
}

// safe keeps the identities in a manager of secrets. The secret is named by the
// place and the node, so that two nodes with one configuration keep their own.
type safe struct {
	parts *Parts
	keep  config.Keep
}

func (s safe) open(ctx context.Context) (secretmanager.Safe, error) {
	at := s.keep.Place
	m, err := s.parts.managers.at(ctx, at)
	if err != nil {
		return secretmanager.Safe{}, err
	}
	return secretmanager.Safe{
		Manager: m, Name: m.Join(at.Path, string(s.parts.Node.Name)), Events: s.parts.Events,
	}, nil
}

// Keep implements identities.Keeper.
func (s safe) Keep(ctx context.Context, name string, content []byte) (identities.Kept, bool, error) {
	opened, err := s.open(ctx)
	if err != nil {
		return identities.Kept{}, false, err
	}
	kept, written, err := opened.Keep(ctx, secretmanager.Document{Name: name, Content: content, Clear: s.keep.InClear()})
	return described(kept), written, err
}

// List implements identities.Keeper.
func (s safe) List(ctx context.Context) ([]identities.Kept, error) {
	opened, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	list, err := opened.List(ctx)
	var out []identities.Kept
	for _, kept := range list {
		out = append(out, described(kept))
	}
	return out, err
}

// Read implements identities.Keeper.
func (s safe) Read(ctx context.Context, k identities.Kept) ([]byte, error) {
	opened, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	_, d, err := opened.Read(ctx, k.Version)
	return d.Content, err
}

func described(k secretmanager.Kept) identities.Kept {
	return identities.Kept{Name: k.Name, Where: k.Where, Version: k.ID, Size: int64(k.Size), Written: k.Created}
}
