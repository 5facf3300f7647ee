package splicetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Pooler is a PgBouncer in front of a server.
type Pooler struct {
	Dir    string
	port   int
	server *Server
	cmd    *exec.Cmd
}

// NewPooler starts a PgBouncer in front of a server that listens on TCP, and
// ends it with the test. Mode is "transaction" or "session"; ignored are the
// startup parameters that it takes from its clients and does not pass on.
func NewPooler(t testing.TB, s *Server, mode string, ignored ...string) *Pooler {
	t.Helper()
	p, err := startPooler(t.Context(), s, mode, ignored)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGINT)
		_ = p.cmd.Wait()
		_ = os.RemoveAll(p.Dir)
	})
	return p
}

func startPooler(ctx context.Context, s *Server, mode string, ignored []string) (*Pooler, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // where Debian has it, which is in few people's PATH
	}
	p := &Pooler{server: s}
	if p.port, err = freePort(); err != nil {
		return nil, err
	}
	if p.Dir, err = shortTempDir(); err != nil {
		return nil, err
	}
	config := filepath.Join(p.Dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = 4
ignore_startup_parameters = %s
`, s.Port(), superuser, p.port, mode, strings.Join(append(ignored, "extra_float_digits"), ","))
	if err := errors.Join(s.owner.give(p.Dir), s.owner.write(config, []byte(text))); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(program, "-q", config)
	p.cmd.Dir, p.cmd.SysProcAttr = p.Dir, s.owner.process()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start PgBouncer (Debian, Ubuntu: apt-get install pgbouncer): %w", err)
	}
	return p, p.awaitReady(ctx)
}

func (p *Pooler) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("PgBouncer does not listen: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// DSN reaches a database through the pooler.
func (p *Pooler) DSN(db string) string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=%s sslmode=disable", p.port, superuser, db)
}

// Port is where it listens, on 127.0.0.1.
func (p *Pooler) Port() int { return p.port }
