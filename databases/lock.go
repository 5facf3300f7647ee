package databases

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/internal/libpq"
)

// lockClass sets Holdfast's advisory locks apart from those of Canton and
// Splice, which lock their databases as well.
const lockClass = 0x686f6c64 // "hold"

// What is locked of a database. Whoever copies or replaces it needs the database
// itself; whoever builds or drops next to it, only what is next to it.
const (
	itself = "database "
	nextTo = "next to database "
)

// Lock takes the node's databases for one backup, so that no other backup copies
// them and no restore replaces them meanwhile. It waits up to wait for another
// run to end. Held says whether they were ours all the time.
func (n Live) Lock(ctx context.Context, wait time.Duration) (held func(context.Context) error, release func(), err error) {
	return n.hold(ctx, "holdfast backup of ", []string{itself}, wait)
}

// Lock takes what is next to the databases of the place, so that no other
// restore builds or drops there. With swap it takes the databases themselves as
// well.
func (p Target) Lock(ctx context.Context, swap bool) (held func(context.Context) error, release func(), err error) {
	parts := []string{nextTo}
	if swap {
		parts = append(parts, itself)
	}
	return p.hold(ctx, "holdfast restore of ", parts, 0)
}

// hold takes those parts of every database of the node. The databases' names on
// their server are what is locked: whatever a configuration calls the node,
// however it spells the connection, and from whichever machine.
func (n Live) hold(
	ctx context.Context, application string, parts []string, wait time.Duration,
) (held func(context.Context) error, release func(), err error) {
	h := &hold{}
	deadline := time.Now().Add(wait)
	for {
		who, err := h.take(ctx, n, application, parts)
		switch {
		case err == nil && who == "":
			return h.held, h.release, nil
		case err == nil && !time.Now().Before(deadline):
			err = n.busy(who)
		case err == nil:
			err = h.pause(ctx)
		}
		if err != nil {
			h.release()
			return nil, nil, err
		}
	}
}

// hold are locks that end with their sessions, whatever happens to the process.
type hold struct {
	sessions map[holdfast.ComponentName]*pgx.Conn
	servers  map[string]*pgx.Conn // the same ones
}

// take takes the locks; who is somebody who has one of them.
func (h *hold) take(ctx context.Context, n Live, application string, parts []string) (who string, err error) {
	for _, c := range n.Components {
		address, ok := n.Addresses[c.Name]
		if !ok {
			continue
		}
		conn, err := h.session(ctx, c.Name, address, application+address.Database())
		if err != nil {
			return "", err
		}
		for _, part := range parts {
			if who, err = try(ctx, conn, part+address.Database()); who != "" || err != nil {
				return who, err
			}
		}
	}
	return "", nil
}

// session is one on the server of a component's database, the same for all of a
// server. It is in a database that stays while others are renamed, where the
// role may connect to one.
func (h *hold) session(
	ctx context.Context, name holdfast.ComponentName, address libpq.Address, application string,
) (*pgx.Conn, error) {
	if conn := h.sessions[name]; conn != nil {
		return conn, nil
	}
	_, conn, err := serverOn(ctx, address, application)
	if holdfast.ClassOf(err) == holdfast.Refused {
		conn, err = address.Connect(ctx, libpq.Options{Application: application})
	}
	if err != nil {
		return nil, err
	}
	server, err := identity(ctx, conn)
	if err != nil {
		hangUp(conn)
		return nil, err
	}
	if h.servers == nil {
		h.sessions, h.servers = map[holdfast.ComponentName]*pgx.Conn{}, map[string]*pgx.Conn{}
	}
	if known := h.servers[server]; known != nil {
		hangUp(conn)
		conn = known
	}
	h.sessions[name], h.servers[server] = conn, conn
	return conn, nil
}

// pause gives everything back for a moment, so that two that wait for one
// another's locks do not wait for ever.
func (h *hold) pause(ctx context.Context) error {
	for _, conn := range h.servers {
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(250 * time.Millisecond):
		return nil
	}
}

// try takes one lock. An advisory lock counts within its database only, so
// whoever has taken it looks whether somebody has the same one in another: of
// two that take it at once, at least one sees the other and gives way.
func try(ctx context.Context, conn *pgx.Conn, subject string) (who string, err error) {
	key := keyOf(subject)
	var got bool
	err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1::int, $2::int)`, lockClass, key).Scan(&got)
	if err != nil {
		return "", err
	}
	if who, err = holder(ctx, conn, key); err == nil && who == "" && !got {
		who = "in use by another run, which has just ended"
	}
	return who, err
}

func keyOf(subject string) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(subject))
	return int32(h.Sum32()) //nolint:gosec // any 32 bits will do
}

// held makes sure that the locks are still ours: a session that was lost has
// lost them, and somebody else may have had them since.
func (h *hold) held(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, conn := range h.servers {
		var locks int
		err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
			AND pid = pg_backend_pid() AND classid = $1::bigint::oid`, int64(lockClass)).Scan(&locks)
		if err == nil && locks > 0 {
			continue
		}
		return &holdfast.Problem{
			Class: holdfast.Unreachable, What: "the session that holds the lock on the node was lost", Err: err,
			Why: "Another run may have replaced the node's databases since.",
			Do:  "Run the command again. If it happens again, look for what ends idle sessions: a firewall, a proxy.",
		}
	}
	return nil
}

// release gives the locks back, and only then hangs up: a server may notice a
// good while later that a session has ended, and whoever comes next would be
// refused as if it went on.
func (h *hold) release() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, conn := range h.servers {
		_, _ = conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`)
		hangUp(conn)
	}
}

// restored is what happens to the databases of whoever holds the lock and is no
// backup.
const restored = "restored"

// holder says who else on the server has a lock; "" when nobody has.
func holder(ctx context.Context, conn *pgx.Conn, key int32) (who string, err error) {
	var pid int
	var application, from, since string
	err = conn.QueryRow(ctx, `SELECT l.pid, coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'this machine'),
			coalesce(to_char(a.backend_start, 'HH24:MI:SS'), '?')
		FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid()
			AND l.classid = $1::bigint::oid AND l.objid = $2::bigint::oid ORDER BY 1 LIMIT 1`,
		int64(lockClass), int64(uint32(key))).Scan(&pid, &application, &from, &since) //nolint:gosec // an oid is the same 32 bits, unsigned
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	what := restored
	if strings.HasPrefix(application, "holdfast backup") {
		what = "backed up"
	}
	return fmt.Sprintf("being %s already: session %d from %s, since %s", what, pid, from, since), err
}

// busy is the refusal of a node that another run works on.
func (n Live) busy(who string) error {
	p := &holdfast.Problem{
		Class: holdfast.Busy,
		What:  fmt.Sprintf("node %s is %s", n.Name, who),
		Why:   "Two runs at once would only slow each other down.",
		Do:    "Wait for it to end: `holdfast backup --wait 30m` does so by itself.",
	}
	if strings.Contains(who, restored) {
		p.Why = "A backup of databases that are being replaced would be of no one node, and two restores would drop" +
			" and rename what the other has built."
		p.Do = "Wait for it to end. If nobody waits for it any more, end its session: SELECT pg_terminate_backend(ID);"
	}
	return p
}
