package setup

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"holdfast/capture/postgres"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/stored"
	"holdfast/verify"
)

// VerifyOptions say how a verification mends.
type VerifyOptions struct {
	Copy   string // place of another copy of the repository, to mend from
	Mended []stored.Fault
}

// PutBack puts back what keeps the repository from being opened.
func (p *Parts) PutBack(ctx context.Context) ([]stored.Fault, error) {
	password, err := p.Password(ctx)
	if err != nil {
		return nil, err
	}
	return repository.PutBack(ctx, p.Config.Repository.Place, password, p.RepositoryOptions()...)
}

// RebuildIndex makes the repository's index again from its data.
func (p *Parts) RebuildIndex(ctx context.Context) (repository.Rebuilt, error) {
	password, err := p.Password(ctx)
	if err != nil {
		return repository.Rebuilt{}, err
	}
	return repository.RebuildIndex(ctx, p.Config.Repository.Place, password, p.RepositoryOptions()...)
}

// Verify runs fn with a verification of the repository.
func (p *Parts) Verify(ctx context.Context, o VerifyOptions, fn func(verify.Job) error) error {
	r, err := p.Repository(ctx)
	if err != nil {
		return err
	}
	stock, err := r.Inspect(ctx)
	if err != nil {
		return err
	}
	if o.Copy != "" {
		if stock.Copy, err = p.namedCopy(ctx, o.Copy); err != nil {
			return err
		}
	}
	return fn(verify.Job{
		Stock: stock, Mended: o.Mended, Digest: postgres.Digest, Lanes: runtime.NumCPU(), Now: time.Now,
		Events: p.Events,
	})
}

// namedCopy opens the copy of the repository that the operator names.
func (p *Parts) namedCopy(ctx context.Context, dir string) (*repository.Repository, error) {
	at, err := PlaceOf("--copy", dir)
	if err != nil {
		return nil, err
	}
	if path, isLocal := at.Local(); isLocal {
		if _, err := os.Stat(path); err != nil {
			return nil, Usage(fmt.Errorf("--copy: %w", err))
		}
	}
	return p.openCopy(ctx, p.copyIn(at))
}

// PlaceOf reads the place of a repository that a flag names, from the working
// directory.
func PlaceOf(flag, text string) (place.Place, error) {
	here, _ := os.Getwd()
	at, err := place.Parse(text, here)
	if err == nil {
		err = at.Serves(place.Repository)
	}
	if err != nil {
		return place.Place{}, Usage(fmt.Errorf("%s: %w", flag, err))
	}
	return at, nil
}
