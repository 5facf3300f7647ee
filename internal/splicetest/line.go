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
	at              Moment
	silent          chan struct{} // closed when it falls silent
	cut             chan struct{} // closed with the test
}

// Moment is when a line falls silent. The zero value is when somebody connects.
type Moment struct {
	Asked    string // a client says this, which does not arrive
	Answered string // the peer says this, of which the first byte still arrives
}

// NewLine lays one on 127.0.0.1 to a peer at that TCP address.
func NewLine(t testing.TB, target string, at Moment) *Line {
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
	return lay(t, "unix", filepath.Join(dir, "socket"), "", Moment{})
}

func lay(t testing.TB, network, address, target string, at Moment) *Line {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{
		Address: listener.Addr().String(), network: network, target: target, at: at,
		silent: make(chan struct{}), cut: make(chan struct{}),
	}
	t.Cleanup(func() { _ = listener.Close(); close(l.cut) })
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
	if l.at == (Moment{}) {
		l.fallSilent()
	}
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
	pass := func(from, to net.Conn, heard func([]byte) int) {
		defer func() { ended <- struct{}{} }()
		piece := make([]byte, 64<<10)
		for {
			n, err := from.Read(piece)
			passes := heard(piece[:n])
			if _, broken := to.Write(piece[:passes]); err != nil || broken != nil || passes < n {
				return
			}
		}
	}
	go pass(client, peer, func(piece []byte) int { return l.heard(piece, l.at.Asked, 0) })
	go pass(peer, client, func(piece []byte) int { return l.heard(piece, l.at.Answered, 1) })
	<-ended
	if l.isSilent() {
		<-l.cut
	}
}

// heard is how many bytes of a piece the line still carries: at the text it falls
// silent, and so much of that goes on.
func (l *Line) heard(piece []byte, text string, goesOn int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isSilent() {
		return 0
	}
	at := bytes.Index(piece, []byte(text))
	if text == "" || at < 0 {
		return len(piece)
	}
	close(l.silent)
	return at + goesOn
}

// fallSilent is for whoever connects first.
func (l *Line) fallSilent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isSilent() {
		close(l.silent)
	}
}
