package databases

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/internal/libpq"
)

// lockClass sets Holdfast's advisory locks apart from those of Canton and
// Splice, which lock their databases as well.
const lockClass = 0x686f6c64 // "hold"

// Lock takes the node for one run: an advisory lock in the database of its
// first component, which any role may take, which works from several machines,
// and which ends with the session whatever happens to the process. It waits up
// to wait for another run to end.
func (n Live) Lock(ctx context.Context, wait time.Duration) (func(), error) {
	return lock(ctx, n.Addresses[n.Components[0].Name], "holdfast backup of "+string(n.Name), string(n.Name), wait, func(who string) error {
		return &holdfast.Problem{Class: holdfast.Busy, What: fmt.Sprintf("node %s is being backed up already: %s", n.Name, who),
			Why: "Two runs at once would only slow each other down.", Do: "Wait for it to end: `holdfast backup --wait 30m` does so by itself."}
	})
}

// Lock takes every database of the place for one restore, on its server, so
// that no other restore builds, drops or renames at the same time.
func (p Target) Lock(ctx context.Context) (func(), error) {
	var held []func()
	unlock := func() {
		for _, release := range held {
			release()
		}
	}
	for _, c := range p.Components {
		if _, ok := p.Addresses[c.Name]; !ok {
			continue
		}
		s, t, err := p.server(ctx, c.Name)
		if err != nil {
			unlock()
			return nil, err
		}
		release, err := lock(ctx, s.Address, "holdfast restore of "+t.Database(), "restore of "+t.Database(), 0, func(who string) error {
			return &holdfast.Problem{Class: holdfast.Busy, What: fmt.Sprintf("%s is being restored already: %s", t.Where(), who),
				Why: "Two restores at once would drop and rename what the other has built.", Do: "Wait for it to end. If nobody waits for it any more, end its session: SELECT pg_terminate_backend(ID);"}
		})
		if err != nil {
			unlock()
			return nil, err
		}
		held = append(held, release)
	}
	return unlock, nil
}

// lock takes the advisory lock that stands for subject in a database.
func lock(ctx context.Context, t libpq.Address, application, subject string, wait time.Duration, busy func(who string) error) (func(), error) {
	conn, err := t.Connect(ctx, libpq.Options{Application: application})
	if err != nil {
		return nil, err
	}
	fail := func(err error) (func(), error) {
		hangUp(conn)
		return nil, err
	}
	if _, err := conn.Exec(ctx, "SET idle_session_timeout = 0"); err != nil {
		return fail(err)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(subject))
	key := int32(h.Sum32()) //nolint:gosec // any 32 bits will do
	deadline := time.Now().Add(wait)
	for {
		var got bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1::int, $2::int)`, lockClass, key).Scan(&got); err != nil {
			return fail(err)
		}
		if got {
			return func() { release(conn, key) }, nil
		}
		if !time.Now().Before(deadline) {
			return fail(busy(holder(ctx, conn, key)))
		}
		select {
		case <-ctx.Done():
			return fail(ctx.Err())
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// release gives the lock back, and only then hangs up: a server may notice a
// good while later that a session has ended, and whoever comes next would be
// refused as if it went on.
func release(conn *pgx.Conn, key int32) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, _ = conn.Exec(ctx, `SELECT pg_advisory_unlock($1::int, $2::int)`, lockClass, key)
	hangUp(conn)
}

// holder says who has the lock.
func holder(ctx context.Context, conn *pgx.Conn, key int32) string {
	var who string
	_ = conn.QueryRow(ctx, `SELECT string_agg(format('session %s from %s, since %s', a.pid, coalesce(a.client_addr::text, 'this machine'), to_char(a.backend_start, 'HH24:MI:SS')), '; ')
		FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.classid = $1::bigint::oid AND l.objid = $2::bigint::oid`,
		int64(lockClass), int64(uint32(key))).Scan(&who) //nolint:gosec // an oid is the same 32 bits, unsigned
	if who == "" {
		return "another run"
	}
	return who
}
