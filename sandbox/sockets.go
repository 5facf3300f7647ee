package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sockets is the result of trying the Unix sockets of others from within.
type sockets struct {
	Tried   int      `json:"tried"`
	Reached []string `json:"reached,omitempty"`
	Missing string   `json:"missing,omitempty"` // why some that are visible were not tried
}

// hostSockets are the Unix sockets of this machine to which a process can
// connect, by what it connects to: a path, or @ and an abstract name.
func hostSockets() []string {
	table, _ := os.ReadFile("/proc/self/net/unix")
	return connectable(string(table))
}

// connectable reads /proc/net/unix: the names of listening and of datagram
// sockets.
func connectable(table string) []string {
	const listening, datagram = "00010000", "0002"
	var out []string
	for _, line := range strings.Split(table, "\n") {
		// The name comes last and may contain spaces.
		fields := strings.SplitN(strings.Join(strings.Fields(line), " "), " ", 8)
		if len(fields) == 8 && (fields[3] == listening || fields[4] == datagram) {
			out = append(out, fields[7])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// inspectSockets tries those sockets and, in a private root, every socket that a
// path leads to.
func inspectSockets(names []string, search bool) *sockets {
	s := &sockets{}
	if search {
		found, err := findSockets("/", limits{most: mostEntries, within: searchTime})
		if err != nil {
			s.Missing = err.Error()
		}
		names = append(names, found...)
	}
	for _, name := range names {
		s.try(name)
	}
	return s
}

// try connects to one socket, which sends nothing.
func (s *sockets) try(name string) {
	s.Tried++
	for _, network := range []string{"unix", "unixgram", "unixpacket"} {
		conn, err := net.DialTimeout(network, name, 2*time.Second)
		if err == nil {
			_ = conn.Close()
		}
		switch {
		case errors.Is(err, syscall.EPROTOTYPE):
			continue // a socket of another type
		case err == nil || errors.Is(err, syscall.EAGAIN) || os.IsTimeout(err):
			s.Reached = append(s.Reached, name)
		}
		return
	}
}

// foreign judges what a container shows: a socket that a path leads to, and that
// nobody in its network namespace made, belongs to somebody outside.
func (s *sockets) foreign(own, visible []string) {
	s.Tried = len(visible)
	// The kernel has the name that a socket was made with: /var/run is a link.
	plain := func(name string) string { return strings.TrimPrefix(filepath.Clean(name), "/var") }
	for _, path := range visible {
		if !slices.ContainsFunc(own, func(name string) bool { return plain(name) == plain(path) }) {
			s.Reached = append(s.Reached, path)
		}
	}
}

func (s *sockets) String() string {
	if s == nil {
		return "sockets: not tried"
	}
	text := fmt.Sprintf("sockets of others: %d tried, %d reached", s.Tried, len(s.Reached))
	if len(s.Reached) > 0 {
		text += ": " + strings.Join(s.Reached[:min(5, len(s.Reached))], ", ")
	}
	return text
}

// bait is a pair of sockets of our own on the machine, one with a path and one
// with an abstract name. They must be reachable from outside, and from within a
// sandbox they must not be.
type bait struct{ listeners []net.Listener }

func newBait(dir string) (*bait, error) {
	b := &bait{}
	path := filepath.Join(dir, "bait")
	for _, name := range []string{path, "@" + path} {
		l, err := net.Listen("unix", name)
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
		b.listeners = append(b.listeners, l)
	}
	return b, os.Chmod(path, 0o777) //nolint:gosec // it is there to be found
}

// names are what a process connects to.
func (b *bait) names() []string {
	var out []string
	for _, l := range b.listeners {
		out = append(out, l.Addr().String())
	}
	return out
}

// try connects from outside.
func (b *bait) try() error {
	for _, name := range b.names() {
		conn, err := net.DialTimeout("unix", name, 5*time.Second)
		if err != nil {
			return err
		}
		_ = conn.Close()
	}
	return nil
}

// Close removes both.
func (b *bait) Close() error {
	var failures []error
	for _, l := range b.listeners {
		failures = append(failures, l.Close())
	}
	return errors.Join(failures...)
}
