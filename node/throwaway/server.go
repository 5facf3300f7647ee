package throwaway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast"
	"holdfast/internal/libpq"
)

// Host makes throwaway servers on this machine.
type Host struct {
	Dir      string   // where their directories are made; the system's for temporary files when empty
	Programs string   // directory of initdb and postgres; searched for when empty
	User     string   // to run as when we are root; postgres when empty
	KeepFree int64    // bytes that stay free on a disk that a live server uses; 0 for a tenth, at most 20 GiB
	Inside   []string // the command line that runs Inside
}

// Server is a running one.
type Server struct {
	Target    libpq.Target // its database "postgres", as its superuser
	Isolation holdfast.Finding
	Version   string // "Postgres 15.18 (Debian 15.18-0+deb12u1)"
	Dir       string
	Programs  string

	cmd   *exec.Cmd
	ended chan error
}

// most is how long a path to a Unix socket may be (sockaddr_un), less the name.
const most = 107 - len("/.s.PGSQL.5432")

// Start makes and starts a server of that major version, or the next one there
// is. The label says what it is for.
func (h Host) Start(ctx context.Context, major int, purpose string) (s *Server, err error) {
	programs, err := h.programs(ctx, major)
	if err != nil {
		return nil, err
	}
	who, err := h.who()
	if err != nil {
		return nil, err
	}
	dir, err := h.directory(purpose, who)
	if err != nil {
		return nil, err
	}
	s = &Server{Dir: dir, Programs: programs, ended: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	initdb := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.Dir, initdb.Env = dir, environment(dir)
	initdb.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if who != nil {
		initdb.SysProcAttr.Credential = &syscall.Credential{Uid: who.uid, Gid: who.gid}
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		return s, h.failed("make a throwaway server", out, err)
	}
	if err := s.launch(ctx, h.Inside, who); err != nil {
		return s, err
	}
	info, err := libpq.Parse("host='" + dir + "' user=postgres dbname=postgres")
	if err != nil {
		return s, err
	}
	s.Target = libpq.Target{Conninfo: info}
	return s, s.ready(ctx)
}

func environment(dir string) []string {
	return []string{"LC_ALL=C", "PATH=/usr/bin:/bin", "HOME=" + dir, "TMPDIR=" + dir}
}

func (h Host) failed(doing string, said []byte, err error) error {
	text := strings.TrimSpace(string(said))
	if len(text) > 600 {
		text = "... " + text[len(text)-600:]
	}
	return &holdfast.Problem{Class: holdfast.Failed, What: doing, Err: fmt.Errorf("%w: %s", err, text),
		Do: "`drill.dir` has to be a directory that its user can reach, `drill.programs` that of initdb and postgres."}
}

// settings are for speed alone: whatever happens to the machine, the server is
// made anew.
func settings(dir string) []string {
	memory := min(max(availableMemory()/8, 128<<20), 2<<30)
	var out []string
	for _, s := range []string{
		"listen_addresses=", "unix_socket_directories=" + dir, "unix_socket_permissions=0700", "port=5432",
		"fsync=off", "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal", "max_wal_senders=0", "autovacuum=off",
		"max_wal_size=4GB", "checkpoint_timeout=1h", "max_connections=50", "jit=off", "logging_collector=off",
		fmt.Sprintf("shared_buffers=%dkB", memory>>10), fmt.Sprintf("max_parallel_maintenance_workers=%d", runtime.NumCPU()),
	} {
		out = append(out, "-c", s)
	}
	return out
}

// launch starts the server in a network namespace of its own, or without one
// where the system does not allow it.
func (s *Server) launch(ctx context.Context, inside []string, who *account) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	probe, err := s.run(ctx, inside, who, listener.Addr().String(), true)
	if err != nil && probe == nil && ctx.Err() == nil {
		probe, err = s.run(ctx, inside, who, listener.Addr().String(), false)
	}
	if err != nil {
		return err
	}
	// What failed in there has to work out here, or it means nothing.
	conn, outside := net.DialTimeout("tcp", listener.Addr().String(), 5*time.Second)
	if outside == nil {
		_ = conn.Close()
	}
	s.Isolation = probe.finding(outside)
	return nil
}

// run starts the process that first looks around and then becomes the server.
// A nil probe means that it did not even begin.
func (s *Server) run(ctx context.Context, inside []string, who *account, address string, isolated bool) (*probe, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = read.Close() }()
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	args := append([]string{address, who.String(), filepath.Join(s.Programs, "postgres"), "-D", filepath.Join(s.Dir, "data")}, settings(s.Dir)...)
	cmd := exec.Command(inside[0], append(inside[1:], args...)...) //nolint:gosec // our own program
	cmd.Dir, cmd.Env, cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = s.Dir, append(environment(s.Dir), insideEnv+"=1"), []*os.File{write}, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if isolated {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
		if os.Geteuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
		}
	}
	started := make(chan error, 1)
	ended := make(chan error, 1)
	go func() {
		// The kernel ends the server with the thread that started it, so that
		// thread has to stay.
		runtime.LockOSThread()
		err := cmd.Start()
		_ = write.Close()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start a throwaway server: %w", err)
	}
	p, err := readProbe(read)
	if err != nil {
		_ = cmd.Process.Kill()
		<-ended
		return nil, fmt.Errorf("start a throwaway server: %w: %s", err, s.said())
	}
	s.cmd, s.ended = cmd, ended
	p.Isolated = isolated
	return p, ctx.Err()
}

// ready waits until the server answers.
func (s *Server) ready(ctx context.Context) error {
	for {
		conn, err := s.Target.Connect(ctx, libpq.Options{Application: "holdfast drill"})
		if err == nil {
			s.Version = "Postgres " + conn.PgConn().ParameterStatus("server_version")
			return conn.Close(ctx)
		}
		select {
		case ended := <-s.ended:
			s.ended <- ended
			return &holdfast.Problem{Class: holdfast.Failed, What: fmt.Sprintf("the throwaway server ended before it answered (%v): %s", ended, s.said()),
				Do: "Look at what it says; `drill.dir` names another directory for it."}
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// said is the end of the server's log.
func (s *Server) said() string {
	text, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
	if len(text) > 600 {
		text = text[len(text)-600:]
	}
	return string(bytes.TrimSpace(text))
}

// Stop ends the server at once and removes all that it was.
func (s *Server) Stop() error {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		select {
		case err := <-s.ended:
			s.ended <- err
		case <-time.After(10 * time.Second):
			_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
			s.ended <- <-s.ended
		}
	}
	return os.RemoveAll(s.Dir)
}

// account is whom the server runs as.
type account struct{ uid, gid uint32 }

func (a *account) String() string {
	if a == nil {
		return "-"
	}
	return fmt.Sprintf("%d:%d", a.uid, a.gid)
}

// who is the account to change to: none unless we are root, as whom Postgres
// does not run.
func (h Host) who() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	name := h.User
	if name == "" {
		name = "postgres"
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, &holdfast.Problem{Class: holdfast.Usage, What: fmt.Sprintf("there is no user %s to run a throwaway server as", name), Err: err,
			Why: "Postgres refuses to run as root.", Do: "Name one that is there: `drill.user`; or run the drill as another user than root."}
	}
	uid, errU := strconv.ParseUint(u.Uid, 10, 32)
	gid, errG := strconv.ParseUint(u.Gid, 10, 32)
	return &account{uint32(uid), uint32(gid)}, errors.Join(errU, errG)
}

// availableMemory is what Linux says could be used without swapping.
func availableMemory() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	text, _ := io.ReadAll(f)
	for _, line := range strings.Split(string(text), "\n") {
		var kb int64
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	return 0
}
