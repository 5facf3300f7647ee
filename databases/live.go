package databases

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/canton"
	"holdfast/internal/libpq"
)

// Node is a node and where its databases are.
type Live struct {
	holdfast.Node
	Addresses map[holdfast.ComponentName]libpq.Address
}

// Check connects to every database and makes sure that each holds what it is
// configured as, and that no two components are the same database.
func (n Live) Check(ctx context.Context) error {
	seen := map[string]holdfast.ComponentName{}
	for _, c := range n.Components {
		t, ok := n.Addresses[c.Name]
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
func look(ctx context.Context, t libpq.Address, c holdfast.Component) (string, error) {
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

func unreadable(t libpq.Address, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &holdfast.Problem{Class: holdfast.Refused, What: "look at " + t.Where(), Err: err,
		Why: "What a database holds is told from its tables.", Do: "Grant the user the right to read: GRANT pg_read_all_data TO ...; docs/operate.md lists the grants."}
}

// hangUp closes a connection whatever the state of the caller's context.
func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// Facts reads what the live database of a component says about itself.
func (n Live) Facts(ctx context.Context, name holdfast.ComponentName) (holdfast.Facts, error) {
	c, ok := n.Component(name)
	if !ok {
		return holdfast.Facts{}, fmt.Errorf("no component %s", name)
	}
	conn, err := n.Addresses[name].Connect(ctx, libpq.Options{Application: "holdfast"})
	if err != nil {
		return holdfast.Facts{}, err
	}
	defer hangUp(conn)
	return canton.Read(ctx, conn, c.Kind)
}
