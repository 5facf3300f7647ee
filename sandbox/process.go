package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// Host starts sandbox servers with the server programs of this machine.
type Host struct {
	Dir      string   // for their directories; "": the system's for temporary files
	Programs string   // directory of initdb and postgres; "": searched
	User     string   // to run as when we are root; "": postgres
	KeepFree int64    // bytes to keep free on a live server's disk; 0: a tenth, at most 20 GiB
	Inside   []string // the command line that runs Inside
}

// process is a server that runs here.
type process struct {
	dir, programs string
	cmd           *exec.Cmd
	over          chan struct{}
}

// most is the longest directory of a Unix socket (sockaddr_un).
const most = 107 - len("/.s.PGSQL.5432")

// Start starts a server of that major version, or of the next one installed. The
// purpose goes into its label.
func (h Host) Start(ctx context.Context, major int, purpose string) (s *Server, err error) {
	programs, err := h.Find(ctx, major)
	if err != nil {
		return nil, err
	}
	who, err := h.who()
	if err != nil {
		return nil, err
	}
	dir, err := h.directory(newLabel(purpose), who)
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir, programs: programs, over: make(chan struct{})}
	s = &Server{Dir: dir, instance: p}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	initdb := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), "-D", filepath.Join(dir, "data"),
		"-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.Dir, initdb.Env = dir, environment(dir)
	initdb.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if who != nil {
		initdb.SysProcAttr.Credential = &syscall.Credential{Uid: who.uid, Gid: who.gid}
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		return s, h.failed("cannot create a sandbox server", out, err)
	}
	if s.Isolation, err = p.launch(ctx, h.Inside, who); err != nil {
		return s, err
	}
	info, err := libpq.Parse("host='" + dir + "' user=postgres dbname=postgres")
	if err != nil {
		return s, err
	}
	s.Address = libpq.Address{Conninfo: info}
	return s, s.ready(ctx)
}

func environment(dir string) []string {
	return []string{"LC_ALL=C", "PATH=/usr/bin:/bin", "HOME=" + dir, "TMPDIR=" + dir}
}

func (h Host) failed(what string, output []byte, err error) error {
	text := strings.TrimSpace(string(output))
	if len(text) > 600 {
		text = "... " + text[len(text)-600:]
	}
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  what,
		Err:   fmt.Errorf("%w: %s", err, text),
		Do: "Check `drill.dir`, which its user must be able to open, and `drill.programs`, " +
			"the directory of initdb and postgres.",
	}
}

// launch starts the server in its own network namespace, or without one if the
// system does not allow it.
func (p *process) launch(ctx context.Context, inside []string, who *account) (holdfast.Finding, error) {
	return testIsolation("before the server started", func(address string) (*probe, error) {
		found, err := p.run(ctx, inside, who, address, true)
		if err != nil && found == nil && ctx.Err() == nil {
			found, err = p.run(ctx, inside, who, address, false)
		}
		return found, err
	})
}

// run starts the process that first tests the network and then becomes the
// server. A nil probe means that it did not start.
func (p *process) run(
	ctx context.Context, inside []string, who *account, address string, isolated bool,
) (*probe, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = read.Close() }()
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	args := []string{address, who.String(), filepath.Join(p.programs, "postgres"), "-D", filepath.Join(p.dir, "data")}
	args = append(args, settings(availableMemory(), runtime.NumCPU(),
		"listen_addresses=", "unix_socket_directories="+p.dir, "unix_socket_permissions=0700")...)
	cmd := exec.Command(inside[0], append(inside[1:], args...)...)
	cmd.Dir, cmd.Env = p.dir, append(environment(p.dir), insideEnv+"=1")
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{write}, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if isolated {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
		if os.Geteuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			uid, gid := os.Geteuid(), os.Getegid()
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		}
	}
	started, over := make(chan error, 1), make(chan struct{})
	go func() {
		// The kernel ends the server with the thread that started it, so this
		// thread must live on.
		runtime.LockOSThread()
		err := cmd.Start()
		_ = write.Close()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(over)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start a sandbox server: %w", err)
	}
	found, err := readProbe(read)
	if err != nil {
		_ = cmd.Process.Kill()
		<-over
		return nil, fmt.Errorf("start a sandbox server: %w: %s", err, p.log())
	}
	p.cmd, p.over = cmd, over
	found.Isolated = isolated
	return found, ctx.Err()
}

// ended implements instance.
func (p *process) ended() <-chan struct{} { return p.over }

// log implements instance.
func (p *process) log() string {
	text, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	if len(text) > 600 {
		text = text[len(text)-600:]
	}
	return string(bytes.TrimSpace(text))
}

// stop implements instance.
func (p *process) stop() error {
	if p.cmd == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.over:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.over
	}
	return nil
}

// account is the account that the server runs as.
type account struct{ uid, gid uint32 }

func (a *account) String() string {
	if a == nil {
		return "-"
	}
	return fmt.Sprintf("%d:%d", a.uid, a.gid)
}

// who is the account to change to. It is nil unless we are root: Postgres refuses
// to run as root.
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
		return nil, &holdfast.Problem{
			Class: holdfast.Usage,
			What:  fmt.Sprintf("user %s, who would run the sandbox server, does not exist", name),
			Err:   err,
			Why:   "Postgres refuses to run as root.",
			Do:    "Name an existing user: `drill.user`. Or run the drill as another user than root.",
		}
	}
	uid, errU := strconv.ParseUint(u.Uid, 10, 32)
	gid, errG := strconv.ParseUint(u.Gid, 10, 32)
	return &account{uint32(uid), uint32(gid)}, errors.Join(errU, errG)
}
