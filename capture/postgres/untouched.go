package postgres

import (
	"context"

	"holdfast"
)

// Untouched says whether nothing at all has changed in the database since a
// capture of it: no transaction was running then that could have written
// something, and none has been given a number since, apart from own ones. It costs
// one connection and no reading; false says only that something may have changed,
// in any database of the server.
//
// Numbers of a sequence that were handed out and used for nothing are no change:
// the server gives out up to 32 before it writes them to its log.
func (d Dumper) Untouched(ctx context.Context, was *holdfast.Ground, own []uint64) (bool, error) {
	if was == nil || was.Horizon != was.Next {
		return false, nil
	}
	r := &run{Dumper: d, application: "holdfast"}
	conn, err := r.connect(ctx)
	if err != nil {
		return false, err
	}
	defer closeConn(conn)
	at, err := server(ctx, conn)
	if err != nil || at.Standby {
		return false, err
	}
	now, _, err := groundOf(ctx, conn, at)
	if err != nil {
		return false, err
	}
	return now.still(groundAt(was), own), nil
}
