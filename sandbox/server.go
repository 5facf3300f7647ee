package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"holdfast"
	"holdfast/internal/libpq"
)

// Server is a running sandbox server.
type Server struct {
	Address   libpq.Address // its database "postgres", as its superuser
	Isolation holdfast.Finding
	Version   string // "Postgres 15.18 (Debian 15.18-0+deb12u1)"
	Dir       string

	instance instance
}

// instance runs a server: a process of this machine, or a container.
type instance interface {
	// ended is closed when the server has exited.
	ended() <-chan struct{}
	// log is the end of its output.
	log() string
	// stop kills it and removes everything outside of its directory.
	stop() error
}

// settings are for speed only: after any failure the server is created again.
// They depend on the available memory.
func settings(available int64, cores int, more ...string) []string {
	memory := min(max(available/8, 128<<20), 2<<30)
	var out []string
	for _, s := range append([]string{
		"port=5432", "fsync=off", "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal",
		"max_wal_senders=0", "autovacuum=off", "max_wal_size=4GB", "checkpoint_timeout=1h", "max_connections=50",
		"jit=off", "logging_collector=off",
		fmt.Sprintf("shared_buffers=%dkB", memory>>10), fmt.Sprintf("max_parallel_maintenance_workers=%d", cores),
	}, more...) {
		out = append(out, "-c", s)
	}
	return out
}

// startTimeout is how long a server may take to answer.
const startTimeout = 5 * time.Minute

// ready waits until the server answers.
func (s *Server) ready(ctx context.Context) error {
	for until := time.Now().Add(startTimeout); ; {
		conn, err := s.Address.Connect(ctx, libpq.Options{Application: "holdfast drill"})
		if err == nil {
			s.Version = "Postgres " + conn.PgConn().ParameterStatus("server_version")
			return conn.Close(ctx)
		}
		select {
		case <-s.instance.ended():
			return &holdfast.Problem{
				Class: holdfast.Failed,
				What:  "the sandbox server exited before it answered: " + s.instance.log(),
				Do:    "Read its log lines above. To use another directory: `drill.dir`.",
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(until) {
			return &holdfast.Problem{
				Class: holdfast.Failed,
				What:  fmt.Sprintf("the sandbox server did not answer within %v: %s", startTimeout, s.instance.log()),
				Err:   err,
				Do:    "Read its log lines above, and check whether this machine is too busy for a drill.",
			}
		}
	}
}

// Stop kills the server and removes everything of it.
func (s *Server) Stop() error {
	return errors.Join(s.instance.stop(), os.RemoveAll(s.Dir))
}
