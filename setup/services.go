package setup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast"
	"holdfast/config"
	"holdfast/daemon"
	"holdfast/event"
	"holdfast/systemd"
)

// Services are the nodes that one process serves, each with a configuration of
// its own.
type Services struct {
	Options Options
	Clock   daemon.Clock // what they go by
	list    []*Service
	load    func(path string) (*config.Config, error)
}

// ServeAll is the services of the configurations in these files; a directory
// stands for its files *.yaml. Each has to name another node. Listener hears the
// events of a node.
func ServeAll(
	paths []string, load func(path string) (*config.Config, error), o Options, listener func(node string) event.Listener,
) (*Services, error) {
	files, err := configurations(paths)
	if err != nil {
		return nil, err
	}
	s := &Services{Options: o, Clock: daemon.SystemClock{}, load: load}
	for _, path := range files {
		conf, err := load(path)
		if err != nil {
			return nil, err
		}
		for _, other := range s.list {
			if other.config().Node == conf.Node {
				return nil, &holdfast.Problem{
					Class: holdfast.Usage,
					What:  fmt.Sprintf("%s and %s are both of node %s", other.config().File(), conf.File(), conf.Node),
					Do:    "Remove one of them, or correct its `node:`.",
				}
			}
		}
		own := o
		own.Events = listener(conf.Node)
		s.list = append(s.list, Serve(conf, own))
	}
	_, err = HTTP(s.list)
	return s, err
}

// configurations are the files that paths stand for.
func configurations(paths []string) (files []string, err error) {
	for _, path := range paths {
		found, err := os.Stat(path)
		if err != nil || !found.IsDir() {
			files = append(files, path) // Load says what is wrong with it
			continue
		}
		list, err := filepath.Glob(filepath.Join(path, "*.yaml"))
		if err != nil || len(list) == 0 {
			return nil, &holdfast.Problem{
				Class: holdfast.Usage, What: "the directory " + path + " has no configuration *.yaml", Err: err,
				Do: "Write one into it: `holdfast init --config " + filepath.Join(path, "NODE.yaml") + "`.",
			}
		}
		files = append(files, list...)
	}
	return files, nil
}

// Try makes sure that every configuration can be used, before anything is due.
func (s *Services) Try() error {
	for _, one := range s.list {
		if err := one.Try(); err != nil {
			return err
		}
	}
	return nil
}

// Reload reads the configurations again. Unless all of them can be used, all of
// the former ones stay.
func (s *Services) Reload() error {
	next := make([]*config.Config, len(s.list))
	for i, one := range s.list {
		conf, err := s.load(one.config().File())
		if err == nil {
			err = one.takes(conf)
		}
		if err != nil {
			return err
		}
		next[i] = conf
	}
	for i, one := range s.list {
		one.replace(next[i])
	}
	return nil
}

// Run does what is due for every node, sends notices, and answers
// requests, until the context ends. It returns when nothing is at work any more.
func (s *Services) Run(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	answered, err := Listen(ctx, s.list, s.Options.Version)
	if err != nil {
		end()
		return err
	}
	var all sync.WaitGroup
	defer func() { end(); all.Wait(); _ = answered() }()
	d := daemon.Daemon{Clock: s.Clock, Events: s.Options.Events}
	for _, one := range s.list {
		d.Nodes = append(d.Nodes, one.Node())
		all.Go(func() { one.Notices(d.Clock).Run(ctx) })
		all.Go(func() { one.trail.run(ctx) })
	}
	all.Go(func() { s.keepAlive(ctx) })
	return d.Run(ctx)
}

// keepAlive says to systemd that the service is ready and, while every node's
// loop goes round, that it is alive.
func (s *Services) keepAlive(ctx context.Context) {
	s.say(systemd.Ready, systemd.Status("serves "+s.Names()))
	defer s.say(systemd.Stopping)
	every := systemd.Watchdog() / 3
	if every <= 0 {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if stuck := each(s.list, (*Service).stuck); len(stuck) == 0 {
				s.say(systemd.Alive)
			} else {
				s.say(systemd.Status(strings.Join(stuck, "; ")))
			}
		}
	}
}

func (s *Services) say(lines ...string) {
	if err := systemd.Say(lines...); err != nil {
		s.Options.Events.Report(SystemdUnreachable{err})
	}
}

// SystemdUnreachable is the event of a service manager that does not listen.
type SystemdUnreachable struct{ Cause error }

func (e SystemdUnreachable) String() string { return e.Cause.Error() }

// Names are the nodes, for people.
func (s *Services) Names() string {
	var names []string
	for _, one := range s.list {
		names = append(names, one.config().Node)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
