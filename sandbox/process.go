package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
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

	"golang.org/x/sys/unix"

	"holdfast"
	"holdfast/internal/libpq"
	"holdfast/internal/memory"
)

// Host starts sandbox servers with the server programs of this machine.
type Host struct {
	Dir      string   // for their directories; "": the system's for temporary files
	Programs string   // directory of initdb and postgres; "": searched
	User     string   // to run as when we are root; "": an account that nothing else has
	KeepFree int64    // bytes to keep free on a live server's disk; 0: a tenth, at most 20 GiB
	Inside   []string // the command line that runs Inside
	Daemons  []string // addresses of Docker daemons that may have leftovers
	Share    Share
}

// process is a server that runs here.
type process struct {
	dir, programs string
	cmd           *exec.Cmd
	over          chan struct{}
}

// Below the directory of a server. Only data and sockets are the server's own:
// it can neither read nor write its label and its log.
const (
	dataDir   = "data"
	socketDir = "s"
	rootDir   = "root"
	logName   = "log"
	orderName = "order.json"
)

// most is the longest directory of a server whose Unix socket still has a path
// (sockaddr_un).
const most = 107 - len("/"+socketDir+"/.s.PGSQL.5432")

// Start starts a server of that major version, or of the next one installed. The
// purpose goes into its label.
func (h Host) Start(ctx context.Context, major int, purpose string) (s *Server, err error) {
	programs, err := h.Find(ctx, major)
	if err == nil {
		programs, err = filepath.EvalSymlinks(programs)
	}
	if err != nil {
		return nil, err
	}
	dir, err := h.directory(newLabel(purpose))
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
	if s.Isolation, err = h.launch(ctx, p); err != nil {
		return s, err
	}
	info, err := libpq.Parse("host='" + filepath.Join(dir, socketDir) + "' user=postgres dbname=postgres")
	if err != nil {
		return s, err
	}
	s.Address = libpq.Address{Conninfo: info}
	return s, s.ready(ctx)
}

func environment(dir string) []string {
	return []string{"LC_ALL=C", "PATH=/usr/bin:/bin", "HOME=" + dir, "TMPDIR=" + dir}
}

// end is the end of a program's output.
func end(output []byte) string {
	text := strings.TrimSpace(string(output))
	if len(text) > 600 {
		text = "... " + text[len(text)-600:]
	}
	return text
}

// confinement is how far a server is shut in.
type confinement struct {
	flags   uintptr
	private bool   // it has a private root, and where we may, an account of its own
	missing string // what it does not have; "" when it has everything
}

// confinements are tried in this order. In the first, everything that the server
// starts ends with it: the kernel ends a process namespace with its first process.
var confinements = []confinement{
	{syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC, true, ""},
	{syscall.CLONE_NEWNET, false, "a file system and processes of its own"},
	{0, false, "a network, a file system and processes of its own"},
}

// launch starts the server as far shut in as the system allows.
func (h Host) launch(ctx context.Context, p *process) (holdfast.Finding, error) {
	own, err := newBait(p.dir)
	if err != nil {
		return holdfast.Finding{}, noDirectory(p.dir, err)
	}
	defer func() { _ = own.Close() }()
	names := append(own.names(), hostSockets()...)
	return testIsolation("before the server started", func(address string) (*probe, error) {
		var why error
		for _, c := range confinements {
			found, err := p.run(ctx, h, c, order{Loopback: address, Sockets: names})
			if err == nil {
				found.missing(c, why)
				if err := own.try(); err != nil {
					found.Sockets.Missing = "what must fail within fails outside too: " + err.Error()
				}
				return found, nil
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if why == nil {
				why = err
			}
		}
		return nil, &holdfast.Problem{
			Class: holdfast.Failed,
			What:  "cannot create a sandbox server",
			Err:   why,
			Do: "Check `drill.dir`, which its user must be able to open, and `drill.programs`, " +
				"the directory of initdb and postgres.",
		}
	})
}

// run starts the process that first tests what it reaches and then becomes the
// server. An error means that it did not start.
func (p *process) run(ctx context.Context, h Host, c confinement, o order) (*probe, error) {
	if err := p.prepare(h, c, &o); err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = read.Close() }()
	log, err := os.OpenFile(filepath.Join(p.dir, logName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(h.Inside[0], append(h.Inside[1:], filepath.Join(p.dir, orderName))...)
	cmd.Dir, cmd.Env = p.dir, append(environment(filepath.Join(p.dir, dataDir)), insideEnv+"=1")
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{write}, log, log
	cmd.SysProcAttr = c.attributes(o.Parent)
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
	giveUp := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	found, err := readReport(read)
	giveUp()
	if err != nil {
		_ = cmd.Process.Kill()
		<-over
		return nil, fmt.Errorf("start a sandbox server: %w: %s", err, p.log())
	}
	p.cmd, p.over = cmd, over
	return found, errors.Join(ctx.Err(), writeServer(p.dir, cmd.Process.Pid))
}

// attributes are those of a process that is shut in so far.
func (c confinement) attributes(parent syscall.Signal) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: parent, Cloneflags: c.flags}
	if c.flags != 0 && os.Geteuid() != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		uid, gid := os.Geteuid(), os.Getegid()
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		a.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN} // until its root is private
	}
	return a
}

// prepare makes the directories of a server and writes its order.
func (p *process) prepare(h Host, c confinement, o *order) error {
	who, err := h.who(c.private)
	if err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(p.dir, name) }
	for _, name := range []string{dataDir, socketDir} {
		if err := p.own(at(name), who); err != nil {
			return err
		}
	}
	o.Account, o.Parent, o.Share = who, syscall.SIGQUIT, h.Share
	if c.private {
		// The first process of a namespace ignores every other signal until it
		// handles it.
		o.Parent = syscall.SIGKILL
		o.Room = &privateRoot{
			At:       at(rootDir),
			ReadOnly: around(p.programs),
			Own:      []string{at(dataDir), at(socketDir)},
		}
		if err := os.MkdirAll(o.Room.At, 0o700); err != nil {
			return err
		}
	}
	o.Create = []string{
		filepath.Join(p.programs, "initdb"), "-D", at(dataDir),
		"-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
	}
	o.Serve = append([]string{filepath.Join(p.programs, "postgres"), "-D", at(dataDir)},
		settings(h.Share.memory(memory.OfProcess()), h.Share.cores(runtime.NumCPU()),
			"listen_addresses=", "unix_socket_directories="+at(socketDir), "unix_socket_permissions=0700")...)
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return os.WriteFile(at(orderName), text, 0o600)
}

// own makes an empty directory of the server's account. The parent directory
// lets that account through and shows it nothing.
func (p *process) own(dir string, who *account) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if who == nil {
		return nil
	}
	if err := os.Chmod(p.dir, 0o711); err != nil { //nolint:gosec // it is passed through
		return err
	}
	return os.Chown(dir, int(who.UID), int(who.GID))
}

// ended implements instance.
func (p *process) ended() <-chan struct{} { return p.over }

// log implements instance.
func (p *process) log() string {
	text, _ := os.ReadFile(filepath.Join(p.dir, logName))
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

// account is the account that a server runs as.
type account struct {
	UID uint32 `json:"uid"`
	GID uint32 `json:"gid"`
	Own bool   `json:"own"` // nobody else has it
}

func (a *account) String() string { return fmt.Sprintf("%d:%d", a.UID, a.GID) }

// Numbers of accounts that no list has: systemd gives them to its services while
// they run.
const (
	firstFree = 61184
	lastFree  = 65519
)

// who is the account to change to. It is nil unless we are root: Postgres refuses
// to run as root. Where the list of accounts is our own, a server gets an account
// that nothing on the machine belongs to.
func (h Host) who(private bool) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if h.User == "" && private {
		return freeAccount()
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
	return &account{UID: uint32(uid), GID: uint32(gid)}, errors.Join(errU, errG)
}

// freeAccount is one without a name and without a process. Drills at the same
// time begin the search at different numbers.
func freeAccount() (*account, error) {
	used := map[uint32]bool{}
	list, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range list {
		if info, err := os.Stat(dir); err == nil {
			used[ownerOf(info)] = true
		}
	}
	const many = lastFree - firstFree + 1
	for i := range many {
		id := uint32(firstFree + (os.Getpid()+i)%many) //nolint:gosec // in the range
		if _, err := user.LookupId(strconv.Itoa(int(id))); err != nil && !used[id] {
			return &account{UID: id, GID: id, Own: true}, nil
		}
	}
	return nil, errors.New("every account number of services is in use")
}
