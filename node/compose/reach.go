package compose

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

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

// dialTime limits a connection attempt: the container is on this machine.
const dialTime = 2 * time.Second

// Reach connects to one port of one container. It finds out once which way works.
type Reach struct {
	engine  *Engine
	current func(ctx context.Context) (Container, error)
	port    string
	only    Way // if set, no other is tried

	mu  sync.Mutex
	way Way
}

// Dial connects to the container. It fits libpq.Address and http.Transport, and
// ignores the address that they pass.
func (r *Reach) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	c, err := r.current(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	way := r.way
	r.mu.Unlock()
	if way != "" {
		conn, err := r.by(ctx, way, c)
		if err == nil || way == ByExec {
			return conn, err
		}
	}
	conn, way, sure, err := r.try(ctx, c)
	r.mu.Lock()
	if r.way = way; !sure {
		r.way = ""
	}
	r.mu.Unlock()
	return conn, err
}

// try tries the ways one after the other. The first errors matter only if the last
// way fails too. The way that worked is not sure to be the best if an earlier one
// was refused: that address exists, and its program may only be starting.
func (r *Reach) try(ctx context.Context, c Container) (conn net.Conn, way Way, sure bool, err error) {
	if c.State != "running" {
		return nil, "", false, &holdfast.Problem{
			Class: holdfast.Unreachable,
			What:  fmt.Sprintf("container %s does not run: it is %s", c.Name, c.State),
			Do:    "Start it: `docker start " + c.Name + "`. If it does not stay up, check `docker logs " + c.Name + "`.",
		}
	}
	var failures []error
	sure = true
	for _, way := range []Way{ByAddress, ByName, ByExec} {
		if r.only != "" && r.only != way || r.only == "" && way != ByExec && !r.engine.Local() {
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
	return nil, "", false, &holdfast.Problem{
		Class: holdfast.Unreachable,
		What:  fmt.Sprintf("port %s of container %s is unreachable", r.port, c.Name),
		Err:   errors.Join(failures...),
		Do: "Check that its program is up (`docker logs " + c.Name + "`), " +
			"and that Holdfast runs on the machine that runs Docker.",
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
