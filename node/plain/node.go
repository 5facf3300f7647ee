package plain

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/canton"
	"holdfast/internal/libpq"
)

// Node is a node and where its databases are.
type Node struct {
	holdfast.Node
	Targets map[holdfast.ComponentName]libpq.Target
}

// Check connects to every database and makes sure that each holds what it is
// configured as, and that no two components are the same database.
func (n Node) Check(ctx context.Context) error {
	seen := map[string]holdfast.ComponentName{}
	for _, c := range n.Components {
		t, ok := n.Targets[c.Name]
		if !ok {
			return fmt.Errorf("component %s has no database", c.Name)
		}
		key, err := look(ctx, t, c)
		if err != nil {
			return err
		}
		if other, twice := seen[key]; twice {
			return &holdfast.Problem{Class: holdfast.Usage, What: fmt.Sprintf("components %s and %s are the same database: %s", other, c.Name, t.Where()),
				Why: "It would be captured twice, and one of the node's databases not at all.", Do: "Correct `databases:` in holdfast.yaml."}
		}
		seen[key] = c.Name
	}
	return nil
}

// look recognises one database and returns what identifies it among all: the
// server's start and the database's number there, which any role may read.
func look(ctx context.Context, t libpq.Target, c holdfast.Component) (string, error) {
	conn, err := t.Connect(ctx, libpq.Options{Application: "holdfast"})
	if err != nil {
		return "", err
	}
	defer hangUp(conn)
	found, err := canton.Recognise(ctx, conn)
	if err != nil {
		return "", unreadable(t, err)
	}
	if err := found.Refuse(c, t.Where()); err != nil {
		return "", err
	}
	var key string
	err = conn.QueryRow(ctx, `SELECT extract(epoch FROM pg_postmaster_start_time())::text || ' ' || current_setting('port') || ' ' || oid FROM pg_database WHERE datname = current_database()`).Scan(&key)
	return key, err
}

func unreadable(t libpq.Target, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &holdfast.Problem{Class: holdfast.Refused, What: "look at " + t.Where(), Err: err,
		Why: "What a database holds is told from its tables.", Do: "Grant the user the right to read: GRANT pg_read_all_data TO ...; docs/operate.md lists the grants."}
}

// lockClass sets Holdfast's advisory locks apart from those of Canton and
// Splice, which lock their databases as well.
const lockClass = 0x686f6c64 // "hold"

// Lock takes the node for one run: an advisory lock in the database of its
// first component, which any role may take, which works from several machines,
// and which ends with the session whatever happens to the process. It waits up
// to wait for another run to end.
func (n Node) Lock(ctx context.Context, wait time.Duration) (func(), error) {
	first := n.Targets[n.Components[0].Name]
	conn, err := first.Connect(ctx, libpq.Options{Application: "holdfast backup of " + string(n.Name)})
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "SET idle_session_timeout = 0"); err != nil {
		hangUp(conn)
		return nil, err
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(n.Name))
	key := int32(h.Sum32()) //nolint:gosec // any 32 bits will do
	deadline := time.Now().Add(wait)
	for {
		var got bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1::int, $2::int)`, lockClass, key).Scan(&got); err != nil {
			hangUp(conn)
			return nil, err
		}
		if got {
			return func() { hangUp(conn) }, nil
		}
		if !time.Now().Before(deadline) {
			err := n.busy(ctx, conn, key)
			hangUp(conn)
			return nil, err
		}
		select {
		case <-ctx.Done():
			hangUp(conn)
			return nil, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func (n Node) busy(ctx context.Context, conn *pgx.Conn, key int32) error {
	var who string
	_ = conn.QueryRow(ctx, `SELECT string_agg(format('session %s from %s, since %s', a.pid, coalesce(a.client_addr::text, 'this machine'), to_char(a.backend_start, 'HH24:MI:SS')), '; ')
		FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.classid = $1::bigint::oid AND l.objid = $2::bigint::oid`,
		int64(lockClass), int64(uint32(key))).Scan(&who)
	if who == "" {
		who = "another run"
	}
	return &holdfast.Problem{Class: holdfast.Busy, What: fmt.Sprintf("node %s is being backed up already: %s", n.Name, who),
		Why: "Two runs at once would only slow each other down.", Do: "Wait for it to end: `holdfast backup --wait 30m` does so by itself."}
}

// hangUp closes a connection whatever the state of the caller's context.
func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// Facts reads what the live database of a component says about itself.
func (n Node) Facts(ctx context.Context, name holdfast.ComponentName) (holdfast.Facts, error) {
	c, ok := n.Component(name)
	if !ok {
		return holdfast.Facts{}, fmt.Errorf("no component %s", name)
	}
	conn, err := n.Targets[name].Connect(ctx, libpq.Options{Application: "holdfast"})
	if err != nil {
		return holdfast.Facts{}, err
	}
	defer hangUp(conn)
	return canton.Read(ctx, conn, c.Kind)
}
