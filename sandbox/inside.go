package sandbox

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
)

// insideEnv marks the process that becomes a server.
const insideEnv = "HOLDFAST_INSIDE"

// IsInside reports whether this process was started to call Inside.
func IsInside() bool { return os.Getenv(insideEnv) != "" }

// Inside tests whether it reaches a network, reports to the parent on file
// descriptor 3, and becomes the server. It returns only on failure. Args are the
// address of a listener on the host, the account to change to or "-", and the
// path of postgres with its arguments.
func Inside(args []string) error {
	if len(args) < 3 {
		return errors.New("need an address, an account, a program and its arguments")
	}
	runtime.LockOSThread() // the thread with the settings must become the server
	out := os.NewFile(3, "probe")
	if err := json.NewEncoder(out).Encode(inspectNetwork(args[0])); err != nil {
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
		// Changing the account cleared the signal that ends the server with its parent.
		signal := uintptr(syscall.SIGQUIT)
		if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, signal, 0); e != 0 {
			return e
		}
	}
	if os.Getppid() != parent {
		return errors.New("the drill that started this server has exited")
	}
	env := os.Environ()
	for i, e := range env {
		if strings.HasPrefix(e, insideEnv+"=") {
			env[i] = "HOLDFAST="
		}
	}
	return syscall.Exec(args[2], args[2:], env)
}

// inspectNetwork tries everything that would succeed with a network.
func inspectNetwork(address string) probe {
	var p probe
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
	p.Loopback = try("tcp", address)
	// Connecting a datagram socket sends nothing: it only looks up the route.
	p.Anywhere = try("udp", net.JoinHostPort(nobody, "9"))
	return p
}

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
		return nil, fmt.Errorf("it did not report its network: %w", err)
	}
	return &p, nil
}
