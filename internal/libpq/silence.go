package libpq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast"
	"holdfast/internal/watchdog"
)

// session is one session of ours, as far as another one has to know to ask the
// server about it.
type session struct {
	server  Address
	options Options
	pid     atomic.Uint32
	copied  atomic.Int64 // what the server had copied when it was asked last
}

// guarded dials connections that do not wait for ever for a silent server.
func (s *session) guarded(dial pgconn.DialFunc) pgconn.DialFunc {
	w := watchdog.Watchdog{Limit: s.server.Silence, AtWork: s.atWork, Explain: s.server.silent}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return w.Conn(conn), nil
	}
}

// silent is the problem of a server that is given up.
func (t Address) silent(err error) error {
	return givenUp{&holdfast.Problem{
		Class: holdfast.Unreachable,
		What:  t.Where() + " does not answer any more",
		Err:   err,
		Why:   "The connection is open, but carries nothing, and the server does not say that it is at work for it.",
		Do: "Check the server and what stands in between (proxy, firewall, tunnel): `pg_isready` with the same values. " +
			"Then run the command again. `silence_limit` in holdfast.yaml is how long Holdfast waits.",
	}}
}

// givenUp is the error of a server that is given up. It is a timeout, in the words
// of package net: the library that speaks with the server forgets any other error
// of a connection while it looks for the next result.
type givenUp struct{ error }

func (g givenUp) Unwrap() error { return g.error }

// Timeout implements net.Error.
func (givenUp) Timeout() bool { return true }

// Temporary implements net.Error.
func (givenUp) Temporary() bool { return false }

// atWork asks the server, in another session, whether it works for this one. It
// is not at work if it waits for us while we wait for it, or if its COPY has come
// no further since it was asked last.
func (s *session) atWork(ctx context.Context) error {
	pid := s.pid.Load()
	if pid == 0 {
		return errors.New("the session has not begun")
	}
	list, err := s.server.activity(ctx, s.options.Application, "a.pid = $1", pid)
	switch {
	case answered(err):
		return nil // by a server that lives, and has no session or right left for a question
	case err != nil:
		return err
	case len(list) == 0:
		return fmt.Errorf("the server has no session %d any more", pid)
	}
	if err := list[0].idle(); err != nil {
		return err
	}
	copied := list[0].Copied
	if before := s.copied.Swap(copied); copied >= 0 && copied == before {
		return fmt.Errorf("the COPY of session %d stands still", pid)
	}
	return nil
}

// AtWork asks the server whether it works for any session of that application,
// such as those of a client program.
func (t Address) AtWork(ctx context.Context, application string) error {
	list, err := t.activity(ctx, application, "a.application_name = $1 AND a.pid <> pg_backend_pid()", application)
	if answered(err) {
		return nil
	}
	if err != nil {
		return err
	}
	err = fmt.Errorf("the server has no session of %s", application)
	for _, a := range list {
		if err = a.idle(); err == nil {
			return nil
		}
	}
	return err
}

// activity is what the server says of a session: whether it runs a statement,
// whether it waits for its client, and how much it has copied.
type activity struct {
	PID         uint32
	State, Wait string
	Copied      int64 // -1: nothing
}

// activity asks in a session of its own that has no watchdog: ctx has a deadline.
func (t Address) activity(ctx context.Context, application, which string, arg any) ([]activity, error) {
	config, err := t.configFor(ctx, Options{Application: application})
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `SELECT a.pid::bigint, coalesce(a.state, ''), coalesce(a.wait_event_type, ''),
			coalesce(c.bytes_processed, -1)
		FROM pg_stat_activity a LEFT JOIN pg_stat_progress_copy c ON c.pid = a.pid WHERE `+which, arg)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[activity])
}

// idle says why the server does not work for a session; nil when it does. What
// the role is not shown is taken for work.
func (a activity) idle() error {
	switch {
	case a.State == "" || a.State == "disabled":
		return nil
	case a.State != "active" && a.State != "fastpath function call":
		return fmt.Errorf("to the server, session %d is %s", a.PID, a.State)
	case a.Wait == "Client":
		return fmt.Errorf("to the server, session %d waits for Holdfast", a.PID)
	}
	return nil
}

// answered reports whether an error is the server's own answer.
func answered(err error) bool { return errors.As(err, new(*pgconn.PgError)) }
