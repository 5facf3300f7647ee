package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"holdfast"
	"holdfast/internal/libpq"
)

// Server is a running one.
type Server struct {
	Address   libpq.Address // its database "postgres", as its superuser
	Isolation holdfast.Finding
	Version   string // "Postgres 15.18 (Debian 15.18-0+deb12u1)"
	Dir       string

	life life
}

// life is what a server runs as: a process of this machine, or a container.
type life interface {
	// ended is closed when the server is gone.
	ended() <-chan struct{}
	// said is the end of what it has said.
	said() string
	// stop ends it at once and removes what it was outside of its directory.
	stop() error
}

// settings are for speed alone: whatever happens to the machine, the server is
// made anew. They are given what memory it may take.
func settings(available int64, cores int, more ...string) []string {
	memory := min(max(available/8, 128<<20), 2<<30)
	var out []string
	for _, s := range append([]string{
		"port=5432", "fsync=off", "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal", "max_wal_senders=0", "autovacuum=off",
		"max_wal_size=4GB", "checkpoint_timeout=1h", "max_connections=50", "jit=off", "logging_collector=off",
		fmt.Sprintf("shared_buffers=%dkB", memory>>10), fmt.Sprintf("max_parallel_maintenance_workers=%d", cores),
	}, more...) {
		out = append(out, "-c", s)
	}
	return out
}

// begins is how long a server may take until it answers.
const begins = 5 * time.Minute

// ready waits until the server answers.
func (s *Server) ready(ctx context.Context) error {
	for until := time.Now().Add(begins); ; {
		conn, err := s.Address.Connect(ctx, libpq.Options{Application: "holdfast drill"})
		if err == nil {
			s.Version = "Postgres " + conn.PgConn().ParameterStatus("server_version")
			return conn.Close(ctx)
		}
		select {
		case <-s.life.ended():
			return &holdfast.Problem{Class: holdfast.Failed, What: "the throwaway server ended before it answered: " + s.life.said(),
				Do: "Look at what it says; `drill.dir` names another directory for it."}
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(until) {
			return &holdfast.Problem{Class: holdfast.Failed, What: fmt.Sprintf("the throwaway server does not answer, %v after its start: %s", begins, s.life.said()), Err: err,
				Do: "Look at what it says, and whether this machine is too busy for a drill."}
		}
	}
}

// Stop ends the server at once and removes all that it was.
func (s *Server) Stop() error {
	return errors.Join(s.life.stop(), os.RemoveAll(s.Dir))
}

// availableMemory is what Linux says could be used without swapping.
func availableMemory() int64 {
	text, _ := os.ReadFile("/proc/meminfo")
	for _, line := range strings.Split(string(text), "\n") {
		var kb int64
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	return 0
}
