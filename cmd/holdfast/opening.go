package main

import (
	"context"

	"holdfast"
	"holdfast/config"
	"holdfast/repository"
)

// opening is a repository that is being opened. To make its key from the
// password takes a processor a fifth of a second, on purpose; a backup looks at
// the databases meanwhile.
type opening struct {
	done chan struct{}
	r    *repository.Repository
	err  error
}

// whileOpening runs fn while the configured repository is being opened, and
// ends it when that fails.
func (a *app) whileOpening(ctx context.Context, fn func(context.Context, *config.Config, *opening) error) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	password, err := c.Repository.Password.Secret(c.Dir())(ctx)
	if err != nil {
		return err
	}
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	o := &opening{done: make(chan struct{})}
	go func() {
		defer close(o.done)
		if o.r, o.err = repository.Open(ctx, locationOf(c), password); o.err != nil {
			cancel()
		}
	}()
	err = fn(working, c, o)
	<-o.done
	if o.err != nil {
		return o.err // whatever else was found meanwhile
	}
	defer func() { _ = o.r.Close(ctx) }()
	return err
}

func (o *opening) wait() (*repository.Repository, error) {
	<-o.done
	return o.r, o.err
}

// Write waits for the repository, and writes to it.
func (o *opening) Write(ctx context.Context, purpose string, fn func(context.Context, holdfast.SetWriter) error) error {
	r, err := o.wait()
	if err != nil {
		return err
	}
	return r.Write(ctx, purpose, fn)
}

// Latest waits for the repository, and finds its newest set in one of the
// states.
func (o *opening) Latest(ctx context.Context, node holdfast.NodeName, states ...holdfast.State) (holdfast.Set, holdfast.Files, error) {
	r, err := o.wait()
	if err != nil {
		return holdfast.Set{}, nil, err
	}
	return r.Latest(ctx, node, states...)
}

// Find waits for the repository, and finds a set in it.
func (o *opening) Find(ctx context.Context, node holdfast.NodeName, id string) (holdfast.Set, holdfast.Files, error) {
	r, err := o.wait()
	if err != nil {
		return holdfast.Set{}, nil, err
	}
	return r.Find(ctx, node, id)
}
