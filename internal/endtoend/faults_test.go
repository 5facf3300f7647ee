package endtoend

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast/repository"
)

// counter counts calls and makes one of them fail, or be the process's last.
// From the failing call on every call fails until failures calls have: an
// outage rather than a hiccup, which retries would cover up.
type counter struct {
	at       int64 // 0: never
	failures int64
	kill     bool
	calls    atomic.Int64
}

var errFault = errors.New("planted fault")

func (c *counter) call() error {
	n := c.calls.Add(1)
	switch {
	case c.at == 0 || n < c.at:
		return nil
	case c.kill:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Minute) // until it arrives
	case n < c.at+max(1, c.failures):
		return errFault
	}
	return nil
}

// dial connects so that every write to the database is counted. The first
// bytes of a write that fails are not sent, and the connection is gone.
func (c *counter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return countedConn{conn, c}, nil
}

type countedConn struct {
	net.Conn
	c *counter
}

func (c countedConn) Write(p []byte) (int, error) {
	if err := c.c.call(); err != nil {
		_ = c.Close()
		return 0, err
	}
	return c.Conn.Write(p)
}

// faulty counts the calls to a repository's storage.
func faulty(c *counter) repository.Option {
	return repository.Through(func(st blob.Storage) blob.Storage { return &faultyStorage{st, c} })
}

type faultyStorage struct {
	blob.Storage
	c *counter
}

func (s *faultyStorage) GetBlob(ctx context.Context, id blob.ID, offset, length int64, out blob.OutputBuffer) error {
	if err := s.c.call(); err != nil {
		return err
	}
	return s.Storage.GetBlob(ctx, id, offset, length, out)
}

func (s *faultyStorage) GetMetadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	if err := s.c.call(); err != nil {
		return blob.Metadata{}, err
	}
	return s.Storage.GetMetadata(ctx, id)
}

func (s *faultyStorage) ListBlobs(ctx context.Context, prefix blob.ID, fn func(blob.Metadata) error) error {
	if err := s.c.call(); err != nil {
		return err
	}
	return s.Storage.ListBlobs(ctx, prefix, fn)
}

func (s *faultyStorage) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	if err := s.c.call(); err != nil {
		return err
	}
	return s.Storage.PutBlob(ctx, id, data, o)
}

func (s *faultyStorage) DeleteBlob(ctx context.Context, id blob.ID) error {
	if err := s.c.call(); err != nil {
		return err
	}
	return s.Storage.DeleteBlob(ctx, id)
}

// answerless dials connections of which one, while armed, is cut right after a
// commit was sent: the server commits and nobody hears of it.
func answerless(armed *atomic.Bool) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &deafConn{Conn: conn, armed: armed}, nil
	}
}

type deafConn struct {
	net.Conn
	armed   *atomic.Bool
	renamed bool
	deaf    atomic.Bool
}

func (c *deafConn) Write(p []byte) (int, error) {
	c.renamed = c.renamed || bytes.Contains(p, []byte("RENAME TO"))
	n, err := c.Conn.Write(p)
	if c.renamed && bytes.Contains(bytes.ToLower(p), []byte("commit")) && !bytes.Contains(p, []byte("COMMENT")) &&
		c.armed.CompareAndSwap(true, false) {
		time.Sleep(300 * time.Millisecond) // until the server has committed
		c.deaf.Store(true)
		_ = c.Conn.Close()
	}
	return n, err
}

func (c *deafConn) Read(p []byte) (int, error) {
	if c.deaf.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Read(p)
}
