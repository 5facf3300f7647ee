package splicetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// superuser is the role that initdb makes.
const superuser = "postgres"

// Options says how a server is set up. The zero value is a server of the
// default version in a temporary directory, reached through a socket only.
type Options struct {
	Bin      string            // directory of initdb and postgres; "" for FindVersion("")
	Dir      string            // for data, socket and log; "" for a temporary one, removed by Close. The owner must be able to reach it
	Settings map[string]string // in addition to our own, which they override
	TCP      bool              // listen on a free port of 127.0.0.1 as well
	TLS      bool              // accept TLS over TCP, with a certificate of our own (CAFile)
	Password string            // ask for it over TCP (scram-sha-256); "" trusts everybody

	master string // the data directory to begin with; "" for an empty server's
}

// Server is a Postgres server of ours. It does not outlive the process that
// started it.
type Server struct {
	Version Version
	Dir     string // data, socket and log
	CAFile  string // the certificate that a client has to trust, with TLS

	options   Options
	owner     owner
	port      int
	temporary bool

	mu     sync.Mutex
	exited chan struct{} // closed when the running process has ended; nil before the first start
	pid    int
}

// Start makes a new server and waits until it accepts connections.
func Start(ctx context.Context, options Options) (*Server, error) {
	s, err := prepare(options)
	if err != nil {
		return nil, fmt.Errorf("start a Postgres server: %w", err)
	}
	if err := s.initialise(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Resume(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare finds the programs and makes the directory.
func prepare(options Options) (*Server, error) {
	s := &Server{options: options, port: 5432}
	var err error
	if options.Bin == "" {
		s.Version, err = FindVersion("")
	} else {
		s.Version.Bin = options.Bin
		s.Version.Major, err = versionOf(options.Bin)
	}
	if err != nil {
		return nil, err
	}
	if s.owner, err = findOwner(); err != nil {
		return nil, err
	}
	if s.Dir = options.Dir; s.Dir == "" {
		if s.Dir, err = shortTempDir(); err != nil {
			return nil, err
		}
		s.temporary = true
	}
	if err := s.owner.mkdir(s.Dir); err != nil {
		return nil, err
	}
	if options.TCP {
		if s.port, err = freePort(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// shortTempDir makes a temporary directory whose name leaves room for a
// socket's: the path of a socket may have 107 bytes.
func shortTempDir() (string, error) {
	base := os.TempDir()
	if len(base) > 70 {
		base = "/tmp"
	}
	return os.MkdirTemp(base, "splicetest-")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Data is the server's data directory.
func (s *Server) Data() string { return filepath.Join(s.Dir, "data") }

// Socket is the directory of the server's socket.
func (s *Server) Socket() string { return s.Dir }

// Port is the port, of the socket's name as well.
func (s *Server) Port() int { return s.port }

// PID is the process id of the running server, 0 if it is not running.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exited == nil {
		return 0
	}
	select {
	case <-s.exited:
		return 0
	default:
		return s.pid
	}
}

// DSN is the connection string for a database, through the socket, as the
// superuser.
func (s *Server) DSN(db string) string { return s.DSNAs(superuser, db) }

// DSNAs is DSN as another role.
func (s *Server) DSNAs(role, db string) string {
	q := url.Values{"host": {s.Socket()}, "port": {strconv.Itoa(s.port)}}
	u := url.URL{Scheme: "postgres", User: url.User(role), Path: "/" + db, RawQuery: q.Encode()}
	return u.String()
}

// TCPDSN is the connection string over TCP, with the password if there is one
// and with a verified certificate if the server has one.
func (s *Server) TCPDSN(db string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(superuser), Path: "/" + db,
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), RawQuery: "sslmode=disable",
	}
	if s.options.Password != "" {
		u.User = url.UserPassword(superuser, s.options.Password)
	}
	if s.options.TLS {
		u.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {s.CAFile}}.Encode()
	}
	return u.String()
}

// Log is what the server has written to its log.
func (s *Server) Log() string {
	text, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
	return string(text)
}

// initialise makes the data directory and writes who may connect and how.
func (s *Server) initialise(ctx context.Context) error {
	if err := s.data(ctx); err != nil {
		return err
	}
	if s.options.TLS {
		if err := s.certify(); err != nil {
			return fmt.Errorf("make a certificate for the server: %w", err)
		}
	}
	host, method := "host", "trust"
	if s.options.TLS {
		host = "hostssl"
	}
	if s.options.Password != "" {
		method = "scram-sha-256"
	}
	rules := "local all all trust\nlocal replication all trust\n" +
		fmt.Sprintf("%s all all 127.0.0.1/32 %s\n%s replication all 127.0.0.1/32 %s\n", host, method, host, method)
	return s.owner.write(filepath.Join(s.Data(), "pg_hba.conf"), []byte(rules))
}

// initdb makes a data directory from nothing.
func (s *Server) initdb(ctx context.Context) error {
	args := []string{"-D", s.Data(), "-U", superuser, "-A", "trust", "--no-locale", "-E", "UTF8", "--no-sync"}
	if s.options.Password != "" {
		file := filepath.Join(s.Dir, "password")
		if err := s.owner.write(file, []byte(s.options.Password+"\n")); err != nil {
			return err
		}
		defer os.Remove(file)
		args = append(args, "--pwfile="+file)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.Version.Bin, "initdb"), args...)
	cmd.Dir = s.Dir // the owner may not be able to read ours
	cmd.SysProcAttr = s.owner.process()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb %s: %w: %s", s.Version.Major, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// settings are what the server is started with. Nothing is synced to the disk:
// what these servers hold is not worth keeping, and a crash of the server
// alone loses nothing that it has written.
func (s *Server) settings() map[string]string {
	settings := map[string]string{
		"listen_addresses":        "",
		"unix_socket_directories": s.Socket(),
		"port":                    strconv.Itoa(s.port),
		"fsync":                   "off",
		"shared_buffers":          "64MB",
		"max_connections":         "60",
		"max_wal_size":            "1GB",
		"min_wal_size":            "32MB", // kept for writing over: more would only be copied
		"jit":                     "off",
		"log_lock_waits":          "on",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
	}
	if s.options.TCP {
		settings["listen_addresses"] = "127.0.0.1"
	}
	if s.options.TLS {
		settings["ssl"] = "on"
	}
	maps.Copy(settings, s.options.Settings)
	return settings
}

// Resume starts a server that was stopped or killed, and waits until it
// accepts connections.
func (s *Server) Resume(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"-D", s.Data()}
	settings := s.settings()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	cmd := exec.Command(filepath.Join(s.Version.Bin, "postgres"), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Data(), log, log
	cmd.SysProcAttr = s.owner.process()

	exited, started := make(chan struct{}), make(chan error)
	go func() {
		// The kernel sends the signal of a parent's death when this thread
		// ends, so the thread stays with the server until the server is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(exited)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	s.mu.Lock()
	s.exited, s.pid = exited, cmd.Process.Pid
	s.mu.Unlock()
	return s.awaitReady(ctx, exited)
}

// awaitReady connects until it is let in.
func (s *Server) awaitReady(ctx context.Context, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-exited:
			return fmt.Errorf("the Postgres server in %s ended as it started: %s", s.Dir, tail(s.Log()))
		case <-ctx.Done():
			return fmt.Errorf("wait for the Postgres server in %s: %w: %s", s.Dir, err, tail(s.Log()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func tail(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// Stop ends the server in good order; sessions are ended with it.
func (s *Server) Stop() error { return s.signal(syscall.SIGINT) }

// Kill ends the server as a crash would: at once, without a checkpoint, with
// recovery at the next start.
func (s *Server) Kill() error { return s.signal(syscall.SIGQUIT) }

// Restart stops the server and starts it again.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.Resume(ctx)
}

// signal ends the server and waits for its end, with stronger signals over
// time.
func (s *Server) signal(first syscall.Signal) error {
	s.mu.Lock()
	exited, pid := s.exited, s.pid
	s.mu.Unlock()
	if exited == nil {
		return nil
	}
	for _, sig := range []syscall.Signal{first, syscall.SIGQUIT, syscall.SIGKILL} {
		select {
		case <-exited:
			return nil
		default:
		}
		_ = syscall.Kill(pid, sig)
		select {
		case <-exited:
			return nil
		case <-time.After(20 * time.Second):
		}
	}
	return fmt.Errorf("the Postgres server in %s, process %d, does not end", s.Dir, pid)
}

// Close stops the server and removes its temporary directory.
func (s *Server) Close() error {
	err := s.Stop()
	if s.temporary {
		err = errors.Join(err, os.RemoveAll(s.Dir))
	}
	return err
}

// Exec runs statements in a database, as the superuser, in one implicit
// transaction unless they say otherwise.
func (s *Server) Exec(ctx context.Context, db, sql string) error { return execute(ctx, s.DSN(db), sql) }

// execute runs statements over a connection of its own.
func execute(ctx context.Context, dsn, sql string) error {
	return withConn(ctx, dsn, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql)
		return err
	})
}
