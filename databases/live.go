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
	"holdfast/step"
)

// Live is a node and where its databases are.
type Live struct {
	holdfast.Node
	Addresses map[holdfast.ComponentName]libpq.Address
}

// unreadable is the problem of a database that does not say what it holds.
func unreadable(t libpq.Address, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &holdfast.Problem{Class: holdfast.Refused, What: "look at " + t.Where(), Err: err,
		Why: "What a database holds is read from its tables.", Do: "Grant the user the right to read: GRANT pg_read_all_data TO ...; docs/operate.md lists the grants."}
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

// Absent reports whether the servers answer, and have none of the node's databases.
func (n Live) Absent(ctx context.Context) (bool, error) {
	for _, c := range n.Components {
		address := n.Addresses[c.Name]
		info, err := address.Resolve(ctx)
		if err != nil {
			return false, err
		}
		server, err := ServerOf(ctx, address)
		if err != nil {
			return false, err
		}
		if there, err := server.Exists(ctx, info.Database()); err != nil || there {
			return false, err
		}
	}
	return true, nil
}

// Halves are the node's databases that took their place in a swap over several
// servers and are not open yet: it goes on, or was broken off, here or on another
// machine.
func (n Live) Halves(ctx context.Context) (list []step.Leftover, err error) {
	for _, c := range n.Components {
		address, ok := n.Addresses[c.Name]
		if !ok {
			continue
		}
		_, conn, err := serverOn(ctx, address, application)
		if holdfast.ClassOf(err) == holdfast.Refused { // then what is wrong shows when the database is opened
			continue
		}
		if err != nil {
			return nil, err
		}
		e, err := entryOf(ctx, conn, address.Database())
		hangUp(conn)
		if noRows(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if l, labelled := step.ReadLabel(e.comment); labelled && (l.Role == step.Naming || l.Role == step.New && !e.open) {
			list = append(list, step.Leftover{Label: l, Name: address.Database()})
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}
