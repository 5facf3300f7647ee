package setup

import (
	"context"
	"errors"
	"sync"
	"time"

	"holdfast"
	"holdfast/place"
	"holdfast/repository"
)

// glimpse is a look at whether the repository is there, between the tasks: with
// hours between two tasks, nobody would hear for as long that its disk is gone.
type glimpse struct {
	look func(context.Context) (reached bool, err error)

	mu   sync.Mutex
	gone bool // as it was seen last
}

// changed reports whether the repository went away, or came back.
func (g *glimpse) changed(ctx context.Context) bool {
	g.mu.Lock()
	gone := g.gone
	g.mu.Unlock()
	looked, err := g.look(ctx)
	return looked && missing(err) != gone
}

// failed notes how the repository was read last. What a look does not find, such
// as a wrong password, is no reason to read it again each minute.
func (g *glimpse) failed(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = missing(err)
}

// missing is whether a repository is not there, or not reached.
func missing(err error) bool {
	switch holdfast.ClassOf(err) {
	case holdfast.NoRepository, holdfast.Unreachable:
		return err != nil
	}
	return false
}

// remoteGlimpse is how often a place outside of this machine is looked at: its
// answers cost money, here 0.20 USD in a year.
const remoteGlimpse = 15 * time.Minute

// reach looks whether the repository is there. One outside of this machine is
// looked at less often while it is.
func (s *Service) reach(ctx context.Context) (looked bool, err error) {
	conf := s.config()
	s.mu.Lock()
	fresh := s.status.Stored.Failed == nil && time.Since(s.reached) < remoteGlimpse
	s.mu.Unlock()
	if conf.Repository.Place.Scheme != place.File && fresh {
		return false, nil
	}
	p, err := Open(conf, s.Options)
	if err != nil {
		return false, err // Try has made sure of it
	}
	sent, err := repository.Reach(ctx, conf.Repository.Place, p.RepositoryOptions()...)
	s.traffic.add(repository.TrafficCounted{Repository: conf.Repository.Place.String(), Traffic: sent})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached = time.Now()
	return ctx.Err() == nil, errors.Join(err, p.Close(ctx))
}
