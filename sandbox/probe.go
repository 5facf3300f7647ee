package sandbox

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"holdfast"
)

// probe is what was found where somebody looked for a network.
type probe struct {
	Isolated   bool     `json:"-"` // it was started in a namespace of its own
	Interfaces []nic    `json:"interfaces"`
	Routes     []string `json:"routes"`   // the interfaces of routes, but for the loopback
	Loopback   string   `json:"loopback"` // what became of connecting to a listener on the host's loopback
	Anywhere   string   `json:"anywhere"` // what became of asking for a route to anywhere
}

// nic is a network interface.
type nic struct {
	Name string `json:"name"`
	Up   bool   `json:"up"`
}

// carries says that the interface leads out of the namespace. Kernels put
// fallback devices of tunnels (tunl0, sit0) into every new namespace, which are
// down and lead nowhere.
func (n nic) carries() bool { return n.Up && n.Name != "lo" }

func (n nic) String() string {
	if n.Up || n.Name == "lo" {
		return n.Name
	}
	return n.Name + " (down)"
}

// nobody is an address that is nobody's (RFC 5737).
const nobody = "192.0.2.1"

// reached is what a try says that should have failed.
const reached = "reached"

// routes reads /proc/net/route or /proc/net/ipv6_route: the interfaces that
// something is sent through, but for the loopback.
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

// tried judges what somebody within finds, who is given the address of a
// listener on the host.
func tried(when string, within func(address string) (*probe, error)) (holdfast.Finding, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return holdfast.Finding{}, err
	}
	defer func() { _ = listener.Close() }()
	address := listener.Addr().String()
	seen, err := within(address)
	if err != nil {
		return holdfast.Finding{}, err
	}
	// What failed in there has to work out here, or it means nothing.
	conn, outside := net.DialTimeout("tcp", address, 5*time.Second)
	if outside == nil {
		_ = conn.Close()
	}
	return seen.finding(when, outside), nil
}

// finding judges what was seen from within; outside is the error of doing the
// same from outside, which has to be none for a failure within to count.
func (p probe) finding(when string, outside error) holdfast.Finding {
	var names []string
	open := false
	for _, n := range p.Interfaces {
		names = append(names, n.String())
		open = open || n.carries()
	}
	seen := fmt.Sprintf("interfaces: %s; a listener on the host's loopback: %s; a route to anywhere: %s", strings.Join(names, ", "), p.Loopback, p.Anywhere)
	if len(p.Routes) > 0 {
		seen += "; routes through " + strings.Join(slices.Compact(slices.Sorted(slices.Values(p.Routes))), ", ")
	}
	switch {
	case !p.Isolated:
		return holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: "the system does not allow a network namespace, so it could not be proven that no network is reached; the server listens on none"}
	case p.Loopback == reached || p.Anywhere == reached || open || len(p.Routes) > 0:
		return holdfast.Finding{Verdict: holdfast.Violated, Evidence: "seen from within, there is a network: " + seen}
	case p.Loopback == "" || p.Anywhere == "":
		return holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: "nothing is there to try the network with, and what can be seen proves nothing: " + seen}
	case outside != nil:
		return holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: "the listener that cannot be reached from within cannot be reached from outside either: " + outside.Error()}
	}
	return holdfast.Finding{Verdict: holdfast.Holds, Evidence: fmt.Sprintf("tried from within, %s: %s", when, seen)}
}
