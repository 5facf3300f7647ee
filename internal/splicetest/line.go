package splicetest

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// Line is a way to a peer that can fall silent: its connections stay open, new
// ones are taken, and none carries anything any more.
type Line struct {
	Address string // host:port, or the path of a socket

	network, target string
	mu              sync.Mutex
	at              []byte
	silent          chan struct{} // closed when it falls silent
	cut             chan struct{} // closed with the test
}

// NewLine lays one on 127.0.0.1 to a peer at that TCP address; "" for a peer that
// is silent from the beginning. It falls silent when a client sends that text,
// which does not arrive; "" for never.
func NewLine(t testing.TB, target, at string) *Line {
	t.Helper()
	return lay(t, "tcp", "127.0.0.1:0", target, at)
}

// NewSilentSocket lays one that takes connections at a socket and never answers.
func NewSilentSocket(t testing.TB) *Line {
	t.Helper()
	dir, err := os.MkdirTemp("", "line-") // a test's own directory may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return lay(t, "unix", filepath.Join(dir, "socket"), "", "")
}

func lay(t testing.TB, network, address, target, at string) *Line {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{
		Address: listener.Addr().String(), network: network, target: target, at: []byte(at),
		silent: make(chan struct{}), cut: make(chan struct{}),
	}
	t.Cleanup(func() { _ = listener.Close(); close(l.cut) })
	if target == "" {
		close(l.silent)
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(client)
		}
	}()
	return l
}

// Port is the port of the line's address.
func (l *Line) Port() int {
	_, port, _ := net.SplitHostPort(l.Address)
	n, _ := strconv.Atoi(port)
	return n
}

// Silent is closed when the line has fallen silent.
func (l *Line) Silent() <-chan struct{} { return l.silent }

func (l *Line) isSilent() bool {
	select {
	case <-l.silent:
		return true
	default:
		return false
	}
}

// carry passes on what both ends say, for as long as the line speaks, and then
// holds both.
func (l *Line) carry(client net.Conn) {
	defer func() { _ = client.Close() }()
	if l.isSilent() {
		<-l.cut
		return
	}
	peer, err := net.Dial(l.network, l.target)
	if err != nil {
		return
	}
	defer func() { _ = peer.Close() }()
	ended := make(chan struct{}, 2)
	pass := func(from, to net.Conn, heard func([]byte) bool) {
		defer func() { ended <- struct{}{} }()
		piece := make([]byte, 64<<10)
		for {
			n, err := from.Read(piece)
			if heard(piece[:n]) {
				return
			}
			if _, broken := to.Write(piece[:n]); err != nil || broken != nil {
				return
			}
		}
	}
	go pass(client, peer, l.heard)
	go pass(peer, client, func([]byte) bool { return l.isSilent() })
	<-ended
	if l.isSilent() {
		<-l.cut
	}
}

// heard reports whether the line is silent, as it falls when it hears the text.
func (l *Line) heard(piece []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isSilent() && len(l.at) > 0 && bytes.Contains(piece, l.at) {
		close(l.silent)
	}
	return l.isSilent()
}
