package rdsapi

import (
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
)

// Address is where the cluster or instance is reached that has a name: the same address,
// whichever instance that is. It returns a port of this machine. A connection ends
// when the name changes hands, as those to RDS do.
func (a *Account) Address(id string) int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = listener.Close(); a.cut(id) })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go a.join(id, conn)
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on TCP
}

// join connects a client with the instance that has the name now.
func (a *Account) join(id string, client net.Conn) {
	a.mu.Lock()
	port := 0
	i, up := a.instance(id), true
	if c := a.findCluster(id); c != nil {
		i, up = a.writer(id), c.status == "available"
	}
	if i != nil && up && i.Server != nil && i.Status == "available" {
		port = i.Server.Port()
	}
	a.mu.Unlock()
	server, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		_ = client.Close()
		return
	}
	a.mu.Lock()
	a.joined = append(a.joined, joined{id, []net.Conn{client, server}})
	a.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
	both.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
	both.Wait()
}

// joined are the two ends of a connection to a name.
type joined struct {
	id   string
	ends []net.Conn
}

// cut ends the connections to a name.
func (a *Account) cut(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.joined = slices.DeleteFunc(a.joined, func(j joined) bool {
		if j.id != id {
			return false
		}
		for _, end := range j.ends {
			_ = end.Close()
		}
		return true
	})
}
