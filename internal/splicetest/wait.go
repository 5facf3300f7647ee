package splicetest

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Wait is how long a statement of the node's programs took, waiting for locks
// included.
type Wait struct {
	Statement string // "append updates"
	Began     time.Time
	Took      time.Duration
}

// watch keeps the longest wait.
type watch struct {
	mu      sync.Mutex
	longest Wait
}

// LongestWait is the statement of Run that took longest, since the start or
// since the last ResetWaits. It shows the effect of others' locks on a node.
func (n *Node) LongestWait() Wait {
	n.watch.mu.Lock()
	defer n.watch.mu.Unlock()
	return n.watch.longest
}

// ResetWaits forgets the longest wait.
func (n *Node) ResetWaits() {
	n.watch.mu.Lock()
	defer n.watch.mu.Unlock()
	n.watch.longest = Wait{}
}

// note records a statement that began then and has just ended.
func (n *Node) note(statement string, began time.Time) {
	took := time.Since(began)
	n.watch.mu.Lock()
	defer n.watch.mu.Unlock()
	if took > n.watch.longest.Took {
		n.watch.longest = Wait{statement, began, took}
	}
}

// executor is a connection or a transaction.
type executor interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// timed runs a statement and notes how long it took.
func (n *Node) timed(ctx context.Context, db executor, name, sql string, args ...any) error {
	began := time.Now()
	_, err := db.Exec(ctx, sql, args...)
	if err == nil {
		n.note(name, began)
	}
	return err
}
