package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// insideEnv marks the process that becomes a server.
const insideEnv = "HOLDFAST_INSIDE"

// IsInside reports whether this process was started to call Inside.
func IsInside() bool { return os.Getenv(insideEnv) != "" }

// order is what a process is to do in order to become a server.
type order struct {
	Room     *privateRoot `json:"room,omitempty"` // nil: it sees the files of the machine
	Account  *account     `json:"account,omitempty"`
	Parent   syscall.Signal
	Share    Share    `json:"share"`
	Loopback string   `json:"loopback"` // a listener on the host's loopback
	Sockets  []string `json:"sockets"`  // of the host, with one of our own
	Create   []string `json:"create"`   // the command that creates the cluster
	Serve    []string `json:"serve"`    // the server
}

// report is what the process says before it becomes the server.
type report struct {
	Probe  probe  `json:"probe"`
	Failed string `json:"failed,omitempty"` // why it does not become the server
}

// Inside shuts this process in, tests whether it reaches a network or a socket,
// creates the cluster, reports to the parent on file descriptor 3, and becomes
// the server. It returns only on failure. Args are the path of its order.
func Inside(args []string) error {
	if len(args) != 1 {
		return errors.New("need the path of an order")
	}
	runtime.LockOSThread() // the thread with the settings must become the server
	out := os.NewFile(3, "report")
	var o order
	text, err := os.ReadFile(args[0])
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	var r report
	if err == nil {
		r.Probe, err = o.prepare()
	}
	if err != nil {
		r.Failed = err.Error()
	}
	// Once its signal is set, a parent that has exited shows as a broken pipe.
	if failed := json.NewEncoder(out).Encode(r); err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	_ = out.Close()
	return syscall.Exec(o.Serve[0], o.Serve, environ())
}

// prepare does all that comes before the server. What it finds is what the
// server would: it runs as its account, in its place.
func (o order) prepare() (probe, error) {
	keepNoDescriptors()
	p := inspectNetwork(o.Loopback)
	if err := o.Share.take(); err != nil { // while there is a /proc
		return p, err
	}
	if o.Room != nil {
		if err := o.Room.enter(o.Account); err != nil {
			return p, err
		}
	}
	if err := o.Account.become(o.Parent); err != nil {
		return p, err
	}
	p.tryAnywhere()
	p.Sockets = inspectSockets(o.Sockets, o.Room != nil)
	create := exec.Command(o.Create[0], o.Create[1:]...) //nolint:gosec // the parent's words
	create.Env = environ()
	if out, err := create.CombinedOutput(); err != nil {
		return p, fmt.Errorf("create a cluster: %w: %s", err, end(out))
	}
	return p, nil
}

func environ() []string {
	env := os.Environ()
	for i, e := range env {
		if strings.HasPrefix(e, insideEnv+"=") {
			env[i] = "HOLDFAST="
		}
	}
	return env
}

// keepNoDescriptors closes whatever this process inherited, at the latest when it
// becomes another program: an open directory or socket leads out of any place.
func keepNoDescriptors() {
	list, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range list {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// The limits of a server and of what it starts. A relation's file ends at one
// GiB. A core limit of one byte also keeps the kernel from handing a core, with
// rows in it, to a program of the host; zero would not.
const (
	mostFileBytes = 2 << 30
	mostProcesses = 1000
	mostCoreBytes = 1
)

// become gives the process its limits and its account, and no way back.
func (a *account) become(parent syscall.Signal) error {
	limits := map[int]uint64{unix.RLIMIT_FSIZE: mostFileBytes, unix.RLIMIT_CORE: mostCoreBytes}
	if a != nil && a.Own {
		limits[unix.RLIMIT_NPROC] = mostProcesses
	}
	for what, limit := range limits {
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("limit a sandbox server: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	if a != nil {
		uid, gid := int(a.UID), int(a.GID)
		err := errors.Join(syscall.Setgroups([]int{gid}), syscall.Setgid(gid), syscall.Setuid(uid))
		if err != nil {
			return fmt.Errorf("change to account %s: %w", a, err)
		}
	}
	// Changing the account cleared the signal that ends the server with its parent.
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(parent), 0, 0, 0)
}

// inspectNetwork reads what the kernel has for this process, while /proc is there.
func inspectNetwork(address string) probe {
	p := probe{address: address}
	list, err := net.Interfaces()
	if err != nil {
		p.Interfaces = append(p.Interfaces, nic{Name: err.Error(), Up: true})
	}
	for _, i := range list {
		p.Interfaces = append(p.Interfaces, nic{i.Name, i.Flags&net.FlagUp != 0})
	}
	for _, table := range []string{"/proc/self/net/route", "/proc/self/net/ipv6_route"} {
		text, _ := os.ReadFile(table)
		p.Routes = append(p.Routes, routes(string(text))...)
	}
	return p
}

// tryAnywhere tries everything that would succeed with a network.
func (p *probe) tryAnywhere() {
	p.Loopback = try("tcp", p.address)
	// Connecting a datagram socket sends nothing: it only looks up the route.
	p.Anywhere = try("udp", net.JoinHostPort(nobody, "9"))
}

func try(network, address string) string {
	conn, err := net.DialTimeout(network, address, 2*time.Second)
	if err != nil {
		return err.Error()
	}
	_ = conn.Close()
	return reached
}

func readReport(in io.Reader) (*probe, error) {
	var r report
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return nil, fmt.Errorf("it did not report what it reaches: %w", err)
	}
	if r.Failed != "" {
		return nil, errors.New(r.Failed)
	}
	return &r.Probe, nil
}
