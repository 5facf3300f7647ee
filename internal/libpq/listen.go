package libpq

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"

	"holdfast"
)

// Port is Postgres's usual one.
const Port = "5432"

// Near is an address of this machine from which connections go where Dial leads:
// for programs that know no other way.
type Near struct {
	Host, Port string

	listener net.Listener
	cancel   context.CancelFunc
	all      sync.WaitGroup
}

// Listen opens one on the loopback interface, at a port that is free. Whoever
// connects to it needs the password, as at the server itself.
func (t Address) Listen(ctx context.Context) (*Near, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, &holdfast.Problem{
			Class: holdfast.Failed, What: "open a port of this machine for Postgres's client programs", Err: err,
			Do: "Check that the loopback interface is up: `ip address show lo`.",
		}
	}
	n := &Near{listener: listener}
	n.Host, n.Port, _ = net.SplitHostPort(listener.Addr().String())
	ctx, n.cancel = context.WithCancel(ctx)
	n.all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			n.all.Go(func() { t.lead(ctx, conn) })
		}
	})
	return n, nil
}

// Close ends it with its connections.
func (n *Near) Close() {
	n.cancel()
	_ = n.listener.Close()
	n.all.Wait()
}

// lead joins a connection with one to the server, until either ends.
func (t Address) lead(ctx context.Context, near net.Conn) {
	defer func() { _ = near.Close() }()
	network, address := "tcp", net.JoinHostPort(t.Get("host"), cmp.Or(t.Get("port"), Port))
	if strings.HasPrefix(t.Get("host"), "/") {
		network, address = "unix", t.Get("host")+"/.s.PGSQL."+cmp.Or(t.Get("port"), Port)
	}
	far, err := t.Dial(ctx, network, address)
	if err != nil {
		return // the program says that the server closed the connection
	}
	stop := context.AfterFunc(ctx, func() { _ = errors.Join(near.Close(), far.Close()) })
	defer stop()
	var both sync.WaitGroup
	copied := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = errors.Join(near.Close(), far.Close())
	}
	both.Go(func() { copied(far, near) })
	both.Go(func() { copied(near, far) })
	both.Wait()
}
