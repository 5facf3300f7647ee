package watchdog

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Conn is a connection whose reads and writes do not wait for ever. A byte in
// either direction is progress. Nobody is asked while nobody reads or writes.
func (w Watchdog) Conn(conn net.Conn) net.Conn {
	ctx, close := context.WithCancel(context.Background())
	return &guarded{Conn: conn, w: w, open: ctx, close: close, last: time.Now()}
}

type guarded struct {
	net.Conn
	w     Watchdog
	open  context.Context // ends with the connection
	close func()

	mu     sync.Mutex
	last   time.Time // when a byte came or went
	doubts int       // how often in a row the peer had no good answer
	read   time.Time // the deadlines of whoever uses the connection
	write  time.Time
	asking context.CancelFunc // ends the question that is under way
	gone   error              // why the peer was given up
}

// Read implements net.Conn.
func (c *guarded) Read(p []byte) (int, error) {
	c.begin()
	for {
		if err := c.arm(c.Conn.SetReadDeadline, &c.read); err != nil {
			return 0, err
		}
		n, err := c.Conn.Read(p)
		if err = c.pass(n, err, &c.read); n > 0 || err != nil {
			return n, err
		}
	}
}

// Write implements net.Conn.
func (c *guarded) Write(p []byte) (int, error) {
	c.begin()
	written := 0
	for {
		if err := c.arm(c.Conn.SetWriteDeadline, &c.write); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[written:])
		written += n
		if err = c.pass(n, err, &c.write); err != nil || written == len(p) {
			return written, err
		}
	}
}

// begin starts the time of one read or write: what was before it was no silence
// of the peer's.
func (c *guarded) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.doubts = time.Now(), 0
}

// arm sets the next time to look, or the user's own deadline if that is sooner.
func (c *guarded) arm(set func(time.Time) error, users *time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone != nil {
		return c.gone
	}
	at := time.Now().Add(c.w.tick())
	if !users.IsZero() && users.Before(at) {
		at = *users
	}
	return set(at)
}

// pass passes on how a read or write has ended: nil means that it goes on.
func (c *guarded) pass(n int, err error, users *time.Time) error {
	c.mu.Lock()
	if n > 0 {
		c.last, c.doubts = time.Now(), 0
	}
	goesOn := !errors.Is(err, os.ErrDeadlineExceeded) || !users.IsZero() && !time.Now().Before(*users)
	silent := time.Since(c.last) >= c.w.tick()
	c.mu.Unlock()
	if goesOn || !silent {
		if !goesOn {
			return nil
		}
		return err
	}
	return c.look()
}

// look asks whether the peer is at work. Whoever sets a deadline meanwhile does
// not wait for the answer.
func (c *guarded) look() error {
	ctx, cancel := context.WithCancel(c.open)
	defer cancel()
	c.mu.Lock()
	c.asking = cancel
	c.mu.Unlock()
	err := c.w.ask(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking = nil
	switch {
	case err == nil:
		c.doubts = 0
		return nil
	case ctx.Err() != nil:
		return nil
	}
	if c.doubts++; c.doubts < 2 {
		return nil
	}
	c.gone = c.w.explain(err)
	return c.gone
}

// Close implements net.Conn.
func (c *guarded) Close() error {
	c.close()
	return c.Conn.Close()
}

// CloseWrite says that nothing more will be written, where the connection can.
func (c *guarded) CloseWrite() error {
	if half, can := c.Conn.(interface{ CloseWrite() error }); can {
		return half.CloseWrite()
	}
	return nil
}

// SetDeadline implements net.Conn.
func (c *guarded) SetDeadline(at time.Time) error {
	return errors.Join(c.SetReadDeadline(at), c.SetWriteDeadline(at))
}

// SetReadDeadline implements net.Conn.
func (c *guarded) SetReadDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupt(at)
	c.read = at
	return c.Conn.SetReadDeadline(at)
}

// SetWriteDeadline implements net.Conn.
func (c *guarded) SetWriteDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupt(at)
	c.write = at
	return c.Conn.SetWriteDeadline(at)
}

// interrupt ends the question that is under way, unless a deadline is taken away.
func (c *guarded) interrupt(at time.Time) {
	if c.asking != nil && !at.IsZero() {
		c.asking()
	}
}
