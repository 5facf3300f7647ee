package storetest

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/place"
)

// Fault is what a front does to the connections that pass through it.
type Fault int

// The faults.
const (
	Passes       Fault = iota
	Delays             // every piece comes late
	Resets             // connections are reset in the middle
	HalfOpen           // what is sent goes nowhere, and nobody says so
	SlowlyCloses       // the end of a connection comes seconds late
)

// Front is between us and a server, and disturbs what passes.
type Front struct {
	server string

	mu    sync.Mutex
	fault Fault
	left  int64 // bytes to the server until the fault begins
	times int   // that connections are still reset
	open  []net.Conn
}

// hangUp ends what is still connected: a server waits for it before it ends.
func (f *Front) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range f.open {
		_ = conn.Close()
	}
}

// Behind is the store as it is reached through a front.
func (s Store) Behind(t testing.TB) (Store, *Front) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &Front{server: s.Place.Host}
	t.Cleanup(func() {
		_ = l.Close()
		f.hangUp()
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go f.pass(conn)
		}
	}()
	if s.Kind == place.SFTP {
		s.Access.KnownHosts = knownAs(t, s.Access.KnownHosts, l.Addr().String())
	}
	s.Place.Host = l.Addr().String()
	return s, f
}

// knownAs are the keys of a host that is reached by another address.
func knownAs(t testing.TB, file, address string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(text), " ")
	known := filepath.Join(t.TempDir(), "known_hosts")
	write(t, known, fmt.Sprintf("[%s]:%s %s", host, port, key))
	return known
}

// Disturb begins a fault when so many more bytes were sent. Connections are reset
// that often.
func (f *Front) Disturb(fault Fault, after int64, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.left, f.times = fault, after, times
}

// sent counts bytes, and says what is to be done with them.
func (f *Front) sent(n int) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left -= int64(n); f.left > 0 {
		return Passes
	}
	if f.fault == Resets {
		if f.times == 0 {
			return Passes
		}
		f.times--
	}
	return f.fault
}

// now is the fault that has begun.
func (f *Front) now() Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left > 0 {
		return Passes
	}
	return f.fault
}

// late is how late a piece comes, and belated how late the end of a connection.
const (
	late    = 5 * time.Millisecond
	belated = time.Second
)

// pass passes one connection on.
func (f *Front) pass(conn net.Conn) {
	server, err := net.Dial("tcp", f.server) //nolint:noctx // on loopback
	if err != nil {
		_ = conn.Close()
		return
	}
	f.mu.Lock()
	f.open = append(f.open, conn, server)
	f.mu.Unlock()
	both := func() { _, _ = conn.Close(), server.Close() }
	go func() {
		_, _ = io.Copy(conn, server)
		if f.now() == SlowlyCloses {
			time.Sleep(belated)
		}
		both()
	}()
	defer both()
	piece := make([]byte, 32<<10)
	for {
		n, err := conn.Read(piece)
		if err != nil {
			return
		}
		switch f.sent(n) {
		case Delays:
			time.Sleep(late)
		case Resets:
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			return
		case HalfOpen:
			continue
		case Passes, SlowlyCloses:
		}
		if _, err := server.Write(piece[:n]); err != nil {
			return
		}
	}
}
