package bundle

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Cable is a way to the daemon that can be cut, and listened to.
type Cable struct {
	Host string // for DOCKER_HOST

	mu    sync.Mutex
	cut   bool
	at    []byte
	conns map[net.Conn]bool
	asked []*bytes.Buffer // what each connection has asked the daemon for
}

// NewCable lays one to the test bed's daemon.
func NewCable(t testing.TB) *Cable {
	t.Helper()
	target := strings.TrimPrefix(Require(t), "unix://")
	dir, err := os.MkdirTemp("", "cable-") // a test's own directory may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "docker.sock")
	c := &Cable{Host: "unix://" + socket, conns: map[net.Conn]bool{}}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = listener.Close()
		c.Cut()
		_ = os.RemoveAll(dir)
	})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go c.carry(client, target)
		}
	}()
	return c
}

// Cut ends every connection and lets nobody in until Mend.
func (c *Cable) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for conn := range c.conns {
		_ = conn.Close()
	}
}

// CutAt cuts when a request contains that text, before the daemon sees it:
// "/start", "/containers/x/stop", "/exec/".
func (c *Cable) CutAt(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = []byte(text)
}

// Asked is all that went to the daemon so far, connection by connection:
// requests with their bodies, and what was sent to programs in containers.
func (c *Cable) Asked() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all bytes.Buffer
	for _, one := range c.asked {
		all.Write(one.Bytes())
		all.WriteByte('\n')
	}
	return all.Bytes()
}

// WasCut reports whether the cable is cut.
func (c *Cable) WasCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

// Mend lets everybody in again.
func (c *Cable) Mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut, c.at = false, nil
}

// join remembers a connection, unless the cable is cut.
func (c *Cable) join(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.cut {
		c.conns[conn] = true
	}
	return !c.cut
}

func (c *Cable) carry(client net.Conn, target string) {
	defer client.Close()
	daemon, err := net.Dial("unix", target)
	if err != nil {
		return
	}
	defer daemon.Close()
	if !c.join(client) || !c.join(daemon) {
		return
	}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.conns, client)
		delete(c.conns, daemon)
	}()
	done := make(chan bool, 2)
	go func() {
		_, _ = io.Copy(client, daemon)
		halfClose(client)
		done <- true
	}()
	go func() {
		c.ask(daemon, client)
		halfClose(daemon)
		done <- true
	}()
	<-done
	<-done
}

// halfClose signals the end of data to the other side; the other direction goes
// on, as attached streams need it.
func halfClose(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// ask passes requests on, and looks into them. A request begins a piece of its
// own: clients write its head at once.
func (c *Cable) ask(daemon io.Writer, client io.Reader) {
	piece, asked := make([]byte, 64<<10), &bytes.Buffer{}
	c.mu.Lock()
	c.asked = append(c.asked, asked)
	c.mu.Unlock()
	for {
		n, err := client.Read(piece)
		c.mu.Lock()
		at := c.at
		asked.Write(piece[:n])
		c.mu.Unlock()
		if at != nil && bytes.Contains(piece[:n], at) {
			c.Cut()
			return
		}
		if _, broken := daemon.Write(piece[:n]); err != nil || broken != nil {
			return
		}
	}
}
