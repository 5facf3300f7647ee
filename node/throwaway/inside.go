package throwaway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast"
)

// insideEnv marks the process that becomes a server, for programs that tell it
// by that.
const insideEnv = "HOLDFAST_INSIDE"

// IsInside reports whether this process was started to call Inside.
func IsInside() bool { return os.Getenv(insideEnv) != "" }

// probe is what a process found that looked for a network.
type probe struct {
	Isolated   bool     `json:"-"` // it was started in a namespace of its own
	Interfaces []string `json:"interfaces"`
	Loopback   string   `json:"loopback"` // what became of connecting to a listener on the host's loopback
	Route      string   `json:"route"`    // what became of asking for a route to anywhere
}

// Inside looks for a network where it is, tells the parent on file descriptor
// 3, and becomes the server; it returns only when it could not. Args are the
// address of a listener on the host, the account to change to or "-", the path
// of postgres and its arguments.
func Inside(args []string) error {
	if len(args) < 3 {
		return errors.New("want an address, an account, a program and its arguments")
	}
	runtime.LockOSThread() // what is set for a thread has to hold for the one that becomes the server
	out := os.NewFile(3, "probe")
	if err := json.NewEncoder(out).Encode(look(args[0])); err != nil {
		return err
	}
	_ = out.Close()
	parent := os.Getppid()
	if uid, gid, ok := strings.Cut(args[1], ":"); ok {
		u, errU := strconv.Atoi(uid)
		g, errG := strconv.Atoi(gid)
		if err := errors.Join(errU, errG); err != nil {
			return err
		}
		if err := errors.Join(syscall.Setgroups([]int{g}), syscall.Setgid(g), syscall.Setuid(u)); err != nil {
			return err
		}
		// Changing the account has cleared it: the server ends with its parent.
		if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGQUIT), 0); e != 0 {
			return e
		}
	}
	if os.Getppid() != parent {
		return errors.New("whoever wanted a server is gone")
	}
	env := os.Environ()
	for i, e := range env {
		if strings.HasPrefix(e, insideEnv+"=") {
			env[i] = "HOLDFAST="
		}
	}
	return syscall.Exec(args[2], args[2:], env) //nolint:gosec // what the parent says
}

// look tries everything that a network would let succeed.
func look(address string) probe {
	p := probe{Interfaces: []string{}}
	list, err := net.Interfaces()
	if err != nil {
		p.Interfaces = append(p.Interfaces, err.Error())
	}
	for _, i := range list {
		p.Interfaces = append(p.Interfaces, i.Name)
	}
	p.Loopback = try("tcp", address)
	// Connecting a datagram socket sends nothing: it only asks for the route.
	// 192.0.2.1 is nobody's (RFC 5737).
	p.Route = try("udp", "192.0.2.1:9")
	return p
}

const reached = "reached"

func try(network, address string) string {
	conn, err := net.DialTimeout(network, address, 2*time.Second)
	if err != nil {
		return err.Error()
	}
	_ = conn.Close()
	return reached
}

func readProbe(in io.Reader) (*probe, error) {
	var p probe
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return nil, fmt.Errorf("it did not say what it sees: %w", err)
	}
	return &p, nil
}

// finding judges what was seen from within; outside is the error of doing the
// same from outside, which has to be none for a failure within to count.
func (p probe) finding(outside error) holdfast.Finding {
	only := len(p.Interfaces) == 0 || len(p.Interfaces) == 1 && p.Interfaces[0] == "lo"
	switch {
	case !p.Isolated:
		return holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: "the system does not allow a network namespace, so it could not be proven that no network is reached; the server listens on none"}
	case p.Loopback == reached || p.Route == reached || !only:
		return holdfast.Finding{Verdict: holdfast.Violated, Evidence: fmt.Sprintf("within its namespace the server has interfaces %s, a listener on the host is %s, a route to anywhere is %s",
			strings.Join(p.Interfaces, ", "), p.Loopback, p.Route)}
	case outside != nil:
		return holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: "the listener that cannot be reached from within cannot be reached from outside either: " + outside.Error()}
	}
	return holdfast.Finding{Verdict: holdfast.Holds, Evidence: fmt.Sprintf("tried from within, before the server started: interfaces: %s; a listener on the host's loopback: %s; a route to anywhere: %s",
		strings.Join(p.Interfaces, ", "), p.Loopback, p.Route)}
}
