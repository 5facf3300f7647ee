package compose

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"holdfast"
)

// Way is how a connection reaches a container's port.
type Way string

// The ways, in the order in which they are tried.
const (
	ByAddress Way = "the container's address" // from the host, over the bridge
	ByName    Way = "the service's name"      // from a container in the same network
	ByExec    Way = "docker exec"             // through a program in the container
)

// ways are the words of the configuration for them.
var ways = map[string]Way{"address": ByAddress, "name": ByName, "exec": ByExec}

// dialTime limits a connection attempt: the container is on this machine.
const dialTime = 2 * time.Second

// Reach connects to one port of one container. It finds out once which way works.
type Reach struct {
	engine  *Engine
	current func(ctx context.Context) (Container, error)
	port    string
	only    Way // if set, no other is tried

	mu      sync.Mutex
	way     Way
	last    Way   // of the newest connection
	refused []Way // that lead to the server, which did not let us in
}

// another reports whether there is another way to a server that was reached and
// refused the way that was gone: pg_hba.conf may reject the bridge's address,
// and let in who comes from within the container.
func (r *Reach) another(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "28000" || r.only != "" {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == ByAddress || r.last == ByName {
		r.refused, r.way, r.last = append(r.refused, r.last), "", ""
	}
	return len(r.refused) > 0 // one of several at a time may have found out first
}

// Dial connects to the container. It fits libpq.Address and http.Transport, and
// ignores the address that they pass.
func (r *Reach) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	c, err := r.current(ctx)
	if err != nil {
		return nil, err
	}
	if c.State == "paused" {
		return nil, c.down()
	}
	r.mu.Lock()
	way := r.way
	r.mu.Unlock()
	if way != "" {
		conn, err := r.by(ctx, way, c)
		if err == nil || way == ByExec {
			r.went(way)
			return conn, err
		}
	}
	conn, way, sure, err := r.try(ctx, c)
	r.went(way)
	r.mu.Lock()
	if r.way = way; !sure {
		r.way = ""
	}
	r.mu.Unlock()
	return conn, err
}

func (r *Reach) went(way Way) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = way
}

// closed reports whether a way is not to be tried.
func (r *Reach) closed(way Way) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.only != "" && r.only != way || r.only == "" && way != ByExec && !r.engine.Local() ||
		slices.Contains(r.refused, way)
}

// try tries the ways one after the other. The first errors matter only if the last
// way fails too. The way that worked is not sure to be the best if an earlier one
// was refused: that address exists, and its program may only be starting.
func (r *Reach) try(ctx context.Context, c Container) (conn net.Conn, way Way, sure bool, err error) {
	if c.State != "running" {
		return nil, "", false, c.down()
	}
	var failures []error
	sure = true
	for _, way := range []Way{ByAddress, ByName, ByExec} {
		if r.closed(way) {
			continue
		}
		conn, err := r.by(ctx, way, c)
		if err == nil {
			return conn, way, sure, nil
		}
		if ctx.Err() != nil {
			return nil, "", false, ctx.Err()
		}
		sure = sure && !errors.Is(err, syscall.ECONNREFUSED)
		failures = append(failures, fmt.Errorf("by %s: %w", way, err))
	}
	do := "Check that its program is up (`docker logs " + c.Name + "`), " +
		"and that Holdfast runs on the machine that runs Docker."
	if r.only != "" {
		do += " Only this way is tried: `reach:` below `compose:` in holdfast.yaml."
	}
	return nil, "", false, &holdfast.Problem{
		Class: holdfast.Unreachable,
		What:  fmt.Sprintf("port %s of container %s is unreachable", r.port, c.Name),
		Err:   errors.Join(failures...), Do: do,
	}
}

// down is the problem of a container that does not run.
func (c Container) down() error {
	do := "Start it: `docker start " + c.Name + "`. If it does not stay up, check `docker logs " + c.Name + "`."
	if c.State == "paused" {
		do = "Let it go on: `docker unpause " + c.Name + "`."
	}
	return &holdfast.Problem{
		Class: holdfast.Unreachable, What: fmt.Sprintf("container %s does not run: it is %s", c.Name, c.State), Do: do,
	}
}

func (r *Reach) by(ctx context.Context, way Way, c Container) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTime}
	switch way {
	case ByName:
		if c.Service == "" {
			return nil, errors.New("the container belongs to no service")
		}
		return dialer.DialContext(ctx, "tcp", net.JoinHostPort(c.Service, r.port))
	case ByAddress:
		var failures []error
		for _, n := range c.Networks {
			if n.Address == "" {
				continue
			}
			conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(n.Address, r.port))
			if err == nil {
				return conn, nil
			}
			failures = append(failures, err)
		}
		if c.NetworkMode == "host" {
			return dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", r.port))
		}
		return nil, errors.Join(append(failures, errors.New("no address answers"))...)
	}
	return r.engine.Dial(ctx, c.Name, r.port)
}

// Way is the way that worked last, "" before the first connection.
func (r *Reach) Way() Way {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.way
}
