package setup

import (
	"cmp"
	"context"
	"os"
	"path/filepath"

	"holdfast"
	"holdfast/config"
	"holdfast/record"
	"holdfast/repository"
)

// Opening is a repository that is being opened. To make its key from the
// password takes a processor a fifth of a second, on purpose; a backup looks at
// the databases meanwhile.
type Opening struct {
	done chan struct{}
	r    *repository.Repository
	err  error
}

// open begins to open the repository, unless that has begun.
func (p *Parts) open(ctx context.Context) *Opening {
	o, _ := p.begin(ctx)
	return o
}

// begin is open, and says whether the opening has begun with this call.
func (p *Parts) begin(ctx context.Context) (_ *Opening, begins bool) {
	p.once.Do(func() {
		begins = true
		o := &Opening{done: make(chan struct{})}
		p.opening = o
		go func() {
			defer close(o.done)
			password, err := p.Password(ctx)
			if err != nil {
				o.err = err
				return
			}
			if o.r, o.err = repository.Open(ctx, p.Config.Repository.Place, password, p.RepositoryOptions()...); o.err == nil {
				o.r.Events, o.r.Hide = p.Events, p.Secrets.HideJSON
			}
		}()
	})
	return p.opening, begins
}

// whileOpening runs fn while the repository is being opened, and ends it when
// that fails.
func (p *Parts) whileOpening(ctx context.Context, fn func(context.Context, *Opening) error) error {
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	o := p.open(ctx)
	go func() {
		if _, err := o.wait(); err != nil {
			cancel()
		}
	}()
	err := fn(working, o)
	if _, failed := o.wait(); failed != nil {
		return failed // whatever else was found meanwhile
	}
	return err
}

func (o *Opening) wait() (*repository.Repository, error) {
	<-o.done
	return o.r, o.err
}

// still is the repository as it is now, for reads that belong together. What an
// opening that begins here finds is as it is now.
func (p *Parts) still(ctx context.Context) (*repository.Repository, error) {
	o, begins := p.begin(ctx)
	r, err := o.wait()
	switch {
	case err != nil:
		return nil, err
	case begins:
		return r.AsFound(), nil
	}
	return r.Still(ctx)
}

// Write waits for the repository, and writes to it.
func (o *Opening) Write(
	ctx context.Context, purpose string, fn func(context.Context, holdfast.SetWriter) error,
) error {
	r, err := o.wait()
	if err != nil {
		return err
	}
	return r.Write(ctx, purpose, fn)
}

// Latest waits for the repository, and finds its newest set in one of the
// states.
func (o *Opening) Latest(
	ctx context.Context, node holdfast.NodeName, states ...holdfast.State,
) (holdfast.Set, holdfast.Files, error) {
	r, err := o.wait()
	if err != nil {
		return holdfast.Set{}, nil, err
	}
	return r.Latest(ctx, node, states...)
}

// Find waits for the repository, and finds a set in it.
func (o *Opening) Find(
	ctx context.Context, node holdfast.NodeName, id string,
) (holdfast.Set, holdfast.Files, error) {
	r, err := o.wait()
	if err != nil {
		return holdfast.Set{}, nil, err
	}
	return r.Find(ctx, node, id)
}

// PutDisproof waits for the repository, and records rows that changed unseen.
func (o *Opening) PutDisproof(ctx context.Context, d record.Disproof) error {
	r, err := o.wait()
	if err != nil {
		return err
	}
	return r.PutDisproof(ctx, d)
}

// RepositoryOptions are how the configured repository is reached, and the places
// for copies of what opens it: those where sealed identities are kept.
func (p *Parts) RepositoryOptions() []repository.Option {
	options := p.reach(p.Config.Repository.Access, p.Config.Repository.Limits)
	if !p.AsOf.IsZero() {
		options = append(options, repository.AsOf(p.AsOf))
	}
	return append(options, repository.Copies(p.Config.Kept()...))
}

// reach is how a place outside of this machine is reached.
func (p *Parts) reach(by config.Access, below config.Limits) []repository.Option {
	return []repository.Option{
		repository.By(p.access(by)),
		repository.Limited(repository.Limits{
			Upload: int64(below.Upload), Download: int64(below.Download), Requests: int64(below.Requests),
		}),
		repository.Cached(p.cache()),
	}
}

// cache is where metadata of places outside of this machine is kept: in the
// configured directory, or else in that of systemd's service or of the user.
func (p *Parts) cache() repository.Cache {
	c := p.Config.Cache
	if c.Use != nil && !*c.Use {
		return repository.Cache{}
	}
	dir := cmp.Or(c.Directory, os.Getenv("CACHE_DIRECTORY"))
	if base, err := os.UserCacheDir(); dir == "" && err == nil {
		dir = filepath.Join(base, "holdfast")
	}
	return repository.Cache{Directory: dir, Limit: int64(cmp.Or(c.Limit, config.CacheLimit))}
}

func (p *Parts) access(a config.Access) repository.Access {
	return repository.Access{
		ID:         p.Secret(a.ID),
		Secret:     p.Secret(a.Secret),
		Token:      p.Secret(a.Token),
		Key:        p.Secret(a.Key),
		Authority:  a.CA,
		KnownHosts: a.KnownHosts,
		Silence:    p.silence(),
	}
}
