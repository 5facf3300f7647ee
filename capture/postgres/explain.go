package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"holdfast"
)

// occasion is what was being done when something failed.
type occasion struct {
	what  string // "dump database participant at ..."
	why   string // what the failure leaves behind
	again string // "run the backup again"
}

func dumping(where string) occasion {
	return occasion{"dump " + where,
		"Nothing of this run was published; what was stored is found again by the next run.", "run the backup again"}
}

func restoring(component holdfast.ComponentName, name, where string) occasion {
	return occasion{"restore " + string(component) + " into database " + name + " (" + where + ")",
		"The new database is dropped again, and nothing else was touched.", "run the restore again"}
}

// stored is a failure of the place where a set's files rest, as against one of
// the database.
type stored struct{ error }

func (s stored) Unwrap() error { return s.error }

// keeper is a writer that remembers its failure: what fills a file may hide
// why it could not go on.
type keeper struct {
	io.Writer
	err error
}

func (k *keeper) Write(p []byte) (int, error) {
	n, err := k.Writer.Write(p)
	if err != nil && k.err == nil {
		k.err = stored{err}
	}
	return n, err
}

// supplier is the same for a reader. The library that reads from it may return
// from a failed COPY while a goroutine of its own still reads: end waits for
// that, and lets nothing be read afterwards.
type supplier struct {
	from io.Reader

	mu    sync.Mutex
	err   error
	ended bool
}

func (s *supplier) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, io.ErrClosedPipe
	}
	n, err := s.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && s.err == nil {
		s.err = stored{err}
	}
	return n, err
}

// end returns the reader's own failure. What it read from may be closed then.
func (s *supplier) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	return s.err
}

// explain gives advice on the failures of a dump.
func explain(where string, err error) error { return dumping(where).explain(err) }

// explain gives advice on failures whose cause is outside us. Those of the
// store explain themselves.
func (o occasion) explain(err error) error {
	var p *holdfast.Problem
	var s stored
	if err == nil || errors.As(err, &p) || errors.As(err, &s) || errors.Is(err, context.Canceled) {
		return err
	}
	class, do := holdfast.Failed, "The message above is the server's own; "+o.again+" when its cause is gone."
	switch code(err) {
	case "57P01", "57P02", "57P03", "57P05":
		class, do = holdfast.Unreachable, "The server shut down, restarted or ended our session; "+o.again+
			" when it is up."
	case "57014":
		do = "Another session cancelled the statement (pg_cancel_backend); " + o.again + "."
	case "40001":
		do = "The standby cancelled our read for replay; raise max_standby_streaming_delay there, or back up from " +
			"the primary."
	case "53100":
		class, do = holdfast.NoSpace, "The database server's disk is full; make room there first."
	case "53200":
		do = "If the message speaks of locks: raise max_locks_per_transaction on the server, which has to be " +
			"restarted for it; then " + o.again + "."
	case "54000":
		do = "A row is larger than 1 GB in the form that COPY sends, which is Postgres's own limit. " +
			"Split the value, or leave this database to a physical backup."
	case "42501":
		class, do = holdfast.Refused, "Grant the missing right; docs/operate.md lists the grants."
	case "XX000":
		if strings.Contains(err.Error(), "invalid memory alloc request size") { // never translated
			do = "A value is larger than 1 GB in the form that COPY sends, which is Postgres's own limit. " +
				"Split the value, or leave this database to a physical backup."
		}
	case "":
		if !lost(err) {
			do = strings.ToUpper(o.again[:1]) + o.again[1:] +
				"; if it fails the same way, the message above says why."
			break
		}
		class, do = holdfast.Unreachable, "The connection to the server was lost; check the server and the "+
			"network, then "+o.again+"."
	}
	return &holdfast.Problem{Class: class, What: o.what, Why: o.why, Do: do, Err: err}
}

// lost reports whether the connection ended.
func lost(err error) bool {
	var network net.Error
	var tool *toolFailed
	switch {
	case errors.As(err, &tool):
		return strings.Contains(tool.complaint, "server closed the connection") ||
			strings.Contains(tool.complaint, "terminating connection") ||
			strings.Contains(tool.complaint, "connection to server") ||
			// The session that holds the snapshot is gone, or about to be.
			strings.Contains(tool.complaint, "invalid snapshot identifier") ||
			strings.Contains(tool.complaint, "could not import the requested snapshot")
	case errors.As(err,
		&network), errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	return pgconn.SafeToRetry(err) // the connection was closed before the statement was sent
}

// changed reports whether the schema changed while it was being dumped: tables
// are locked, but a sequence, a view or a function can be dropped at any time.
func changed(err error) bool {
	var tool *toolFailed
	if !errors.As(err, &tool) {
		return vanished(err)
	}
	for _, sign := range []string{"could not open relation", "cache lookup failed", "does not exist"} {
		if strings.Contains(tool.complaint, sign) {
			return true
		}
	}
	return false
}
