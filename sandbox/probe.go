package sandbox

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"holdfast"
)

// probe is the result of looking for a network from within a sandbox.
type probe struct {
	Isolated   bool     `json:"-"` // it is shut in as far as a server can be
	Lacks      string   `json:"-"` // what the system does not allow, and why
	Interfaces []nic    `json:"interfaces"`
	Routes     []string `json:"routes"`   // the interfaces of routes, except the loopback
	Loopback   string   `json:"loopback"` // the result of connecting to a listener on the host's loopback
	Anywhere   string   `json:"anywhere"` // the result of looking up a route to anywhere
	Sockets    *sockets `json:"sockets"`  // nil: not tried

	address string // of the listener on the host's loopback
}

// missing records what a confinement lacks, and why a better one did not start.
func (p *probe) missing(c confinement, why error) {
	p.Isolated, p.Lacks = c.missing == "", c.missing
	if !p.Isolated && why != nil {
		p.Lacks += " (" + why.Error() + ")"
	}
}

// nic is a network interface.
type nic struct {
	Name string `json:"name"`
	Up   bool   `json:"up"`
}

// carries reports whether the interface leads out of the namespace. Kernels put
// fallback devices of tunnels (tunl0, sit0) into every new namespace; they are
// down and lead nowhere.
func (n nic) carries() bool { return n.Up && n.Name != "lo" }

func (n nic) String() string {
	if n.Up || n.Name == "lo" {
		return n.Name
	}
	return n.Name + " (down)"
}

// nobody is an address that nobody has (RFC 5737).
const nobody = "192.0.2.1"

// reached is the result of an attempt that should have failed.
const reached = "reached"

// routes reads /proc/net/route or /proc/net/ipv6_route: the interfaces of routes,
// except the loopback.
func routes(table string) []string {
	var out []string
	for _, line := range strings.Split(table, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 8 || fields[0] == "Iface" {
			continue
		}
		device := fields[0] // IPv4 begins with the interface, IPv6 ends with it
		if len(fields) == 10 {
			device = fields[9]
		}
		if device != "lo" {
			out = append(out, device)
		}
	}
	return out
}

// testIsolation judges what a process within finds. The process gets the address
// of a listener on the host.
func testIsolation(when string, within func(address string) (*probe, error)) (holdfast.Finding, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return holdfast.Finding{}, err
	}
	defer func() { _ = listener.Close() }()
	address := listener.Addr().String()
	found, err := within(address)
	if err != nil {
		return holdfast.Finding{}, err
	}
	// A failure within counts only if the same attempt succeeds outside.
	conn, outside := net.DialTimeout("tcp", address, 5*time.Second)
	if outside == nil {
		_ = conn.Close()
	}
	return found.finding(when, outside), nil
}

// finding judges what was found within. outside is the error of the same attempt
// outside: a failure within counts only if it is nil.
func (p probe) finding(when string, outside error) holdfast.Finding {
	var names []string
	open := false
	for _, n := range p.Interfaces {
		names = append(names, n.String())
		open = open || n.carries()
	}
	found := fmt.Sprintf("interfaces: %s; a listener on the host's loopback: %s; a route to anywhere: %s",
		strings.Join(names, ", "), p.Loopback, p.Anywhere)
	found += "; " + p.Sockets.String()
	if len(p.Routes) > 0 {
		found += "; routes through " + strings.Join(slices.Compact(slices.Sorted(slices.Values(p.Routes))), ", ")
	}
	switch {
	case !p.Isolated:
		return cannotTell("isolation is not proven: the system does not allow the server " + p.Lacks +
			"; the server listens on no network")
	case p.Loopback == reached || p.Anywhere == reached || open || len(p.Routes) > 0:
		return holdfast.Finding{Verdict: holdfast.Violated, Evidence: "a network is reachable from within: " + found}
	case p.Sockets != nil && len(p.Sockets.Reached) > 0:
		return holdfast.Finding{Verdict: holdfast.Violated, Evidence: "a socket of others is reachable from within: " + found}
	case p.Loopback == "" || p.Anywhere == "":
		return cannotTell("no program there can test the network, and what is visible proves nothing: " + found)
	case p.Sockets == nil:
		return cannotTell("no program there can search for sockets: " + found)
	case p.Sockets.Missing != "":
		return cannotTell("not every socket was tried: " + p.Sockets.Missing)
	case outside != nil:
		return cannotTell("what must fail within fails outside too, so it proves nothing: " + outside.Error())
	}
	return holdfast.Finding{Verdict: holdfast.Holds, Evidence: fmt.Sprintf("tested from within, %s: %s", when, found)}
}

func cannotTell(why string) holdfast.Finding {
	return holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: why}
}
