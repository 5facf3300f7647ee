package docker

import (
	"cmp"
	"context"
	"net"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/internal/watchdog"
)

// guarded makes a client whose connections do not wait for ever for a daemon
// that has fallen silent. Some answers take long, such as that a container has
// ended: a daemon that answers a ping is at work.
func guarded(host string, silence time.Duration, options []client.Opt) (*client.Client, error) {
	plain, err := client.New(options...)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return plain.Dialer()(ctx) }
	if strings.HasPrefix(host, "tcp://") { // TLS, if any, is spoken by the client
		dial = (&net.Dialer{Timeout: dialTime, KeepAlive: dialTime}).DialContext
	}
	w := watch(host, silence, plain)
	return client.New(append(options, client.WithDialContext(
		func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return w.Conn(conn), nil
		}))...)
}

// dialTime limits a connection attempt over a network.
const dialTime = 30 * time.Second

// watch is the watchdog of a daemon, which is asked through another client.
func watch(host string, silence time.Duration, plain *client.Client) watchdog.Watchdog {
	return watchdog.Watchdog{
		Limit: silence,
		AtWork: func(ctx context.Context) error {
			_, err := plain.Ping(ctx, client.PingOptions{})
			_ = plain.Close() // which ends idle connections only
			return err
		},
		Explain: func(err error) error {
			return &holdfast.Problem{
				Class: holdfast.Unreachable,
				What:  "the Docker daemon at " + cmp.Or(host, client.DefaultDockerHost) + " does not answer any more",
				Err:   err,
				Do: "Check the daemon: `docker info`. Then run the command again. " +
					"`silence_limit` in holdfast.yaml is how long Holdfast waits.",
			}
		},
	}
}
