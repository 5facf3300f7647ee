package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"holdfast"
)

// settle reads the position of the write-ahead log and waits, within the
// limit, until every transaction that had begun to write by then has ended.
func (r *run) settle(ctx context.Context) (holdfast.WAL, error) {
	var wal holdfast.WAL
	position := "pg_current_wal_insert_lsn()"
	if r.server.Standby {
		position = "pg_last_wal_replay_lsn()"
	}
	// The position comes first: who has written before it has a number by then.
	if err := r.ctl.QueryRow(ctx, `SELECT coalesce(`+position+`::text, '')`).Scan(&wal.Before); err != nil {
		return wal, err
	}
	next, err := nextNumber(ctx, r.ctl)
	if err != nil {
		return wal, err
	}
	deadline := time.Now().Add(r.Options.Settle)
	for {
		if err := r.ctl.QueryRow(ctx, `SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint >= $1`,
			int64(next)).Scan(&wal.Settled); err != nil { //nolint:gosec // the server counts from 3 and has not come that far
			return wal, err
		}
		if wal.Settled || time.Now().After(deadline) {
			return wal, nil
		}
		select {
		case <-ctx.Done():
			return wal, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// nextNumber is the number that the next transaction that writes will have. Outside
// of one, age counts from there; a snapshot's xmax does not serve, as it is the one
// after the last that has ended, and transactions with higher numbers may be open.
func nextNumber(ctx context.Context, q querier) (uint64, error) {
	const first = 3 // the lowest that a transaction can have
	var xmax int64
	var age int32
	if err := q.QueryRow(ctx, `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint, age('3'::xid)`).Scan(&xmax,
		&age); err != nil {
		return 0, err
	}
	ahead := int32(uint32(age) + first - uint32(xmax)) //nolint:gosec // the low 32 bits, whose difference is small
	return uint64(xmax + int64(ahead)), nil            //nolint:gosec // not negative
}

// snap locks every table, takes the snapshot, and makes sure that the tables
// locked are the tables the snapshot has.
func (r *run) snap(ctx context.Context) error {
	deadline := time.Now().Add(r.Options.LockWait)
	pause := 200 * time.Millisecond
	for try := 1; ; try++ {
		again, err := r.trySnap(ctx)
		if err == nil && !again {
			return nil
		}
		if err != nil && !again {
			return err
		}
		if time.Now().After(deadline) {
			return r.lockProblem(ctx, err)
		}
		r.release()
		r.Options.Events.Report(LocksRetried{Component: r.component.Name, Try: try, Err: err, Pause: pause})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// trySnap is one attempt; again means that the tables changed under it, or
// that a lock was not to be had in time, and that nothing is wrong otherwise.
func (r *run) trySnap(ctx context.Context) (again bool, err error) {
	timeout := max(r.Options.WaitLimit/2, 100*time.Millisecond)
	fail := func(err error) (bool, error) { return lockTimedOut(err) || vanished(err), err }
	if err := execute(ctx, r.ctl, fmt.Sprintf("SET lock_timeout = %d", timeout.Milliseconds())); err != nil {
		return false, err
	}
	if r.tables, err = tables(ctx, r.ctl); err != nil {
		return fail(err)
	}
	const blockBytes, least = 8 << 10, 4 // files
	segment := r.Options.SegmentBlocks * blockBytes
	lanes, perLane, err := r.sessions(ctx, size(r.tables) <= segment)
	if err != nil {
		return false, err
	}
	r.groups = groups(r.tables, r.Options.SegmentBlocks, max(perLane, 2), least*segment)
	r.leases = make([][]*lease, lanes)
	opening, openCtx := errgroup.WithContext(ctx)
	for lane := range r.leases {
		r.leases[lane] = make([]*lease, len(r.groups))
		for i := range r.groups {
			opening.Go(func() error {
				l, err := connectReader(openCtx, r.Address, r.application, r.base.Encoding, r.server.Major())
				r.leases[lane][i] = l
				return err
			})
		}
	}
	if err := opening.Wait(); err != nil {
		return false, err
	}
	for lane := range r.leases {
		for i, g := range r.groups {
			var members []relation
			for _, t := range g.tables {
				members = append(members, r.tables[t])
			}
			if err := r.leases[lane][i].lock(ctx, members, timeout); err != nil {
				return fail(err)
			}
		}
	}
	if r.export, err = r.connect(ctx); err != nil {
		return false, err
	}
	if err := execute(ctx, r.export, reading("UTF8", r.server.Major())...); err != nil {
		return false, err
	}
	if r.common, err = r.export.BeginTx(ctx, pgx.TxOptions{
		IsoLevel:   pgx.RepeatableRead,
		AccessMode: pgx.ReadOnly,
	}); err != nil {
		return false, err
	}
	if err := r.common.QueryRow(ctx, `SELECT pg_export_snapshot()`).Scan(&r.snapshot); code(err) == "" && err != nil {
		return false, err
	} else if err != nil {
		return false, &holdfast.Problem{
			Class: holdfast.Refused,
			What:  r.Address.Where() + " does not export snapshots",
			Err:   err,
			Why:   "Without a common snapshot the tables of a dump would not belong together.",
			Do:    "Connect to the primary, and past a connection pooler, not through it.",
		}
	}
	for lane := range r.leases {
		for _, l := range r.leases[lane] {
			if err := l.enter(ctx, r.snapshot); err != nil {
				return false, err
			}
		}
	}
	// A table made between reading the catalogue and taking the locks is in
	// the snapshot, but was not locked.
	now, err := tables(ctx, r.common)
	if err != nil {
		return fail(err)
	}
	same := slices.EqualFunc(now, r.tables, func(a, b relation) bool {
		return a.oid == b.oid && slices.Equal(a.columns, b.columns)
	})
	return !same, nil
}

// sessions are how many lanes read, and how many groups of tables each of them may
// hold in a session of its own. Where little is read, a second lane costs the server
// more than it saves.
func (r *run) sessions(ctx context.Context, small bool) (lanes, groups int, err error) {
	lanes, groups = r.Options.Lanes, r.Options.Connections-besidesLanes
	still, err := r.standsStill(ctx)
	switch {
	case err != nil:
		return 0, 0, err
	case still:
		return 1, 1, nil
	case small:
		return 1, groups, nil
	}
	return lanes, groups / lanes, nil
}

// standsStill says whether nothing was written since the earlier set, so that next to
// nothing will be read. The snapshot decides that again: what comes between costs time
// only.
func (r *run) standsStill(ctx context.Context) (bool, error) {
	const share = 10 // of all readings, the most that may be due to be read again
	part := r.earlier.Part
	since := r.clock().Wall.Sub(part.Consistent.Wall)
	if part.Ground == nil || r.earlier.Splice == nil || since > r.Options.Reread/share {
		return false, nil
	}
	now, _, err := groundOf(ctx, r.ctl, r.server)
	return err == nil && now.still(groundAt(part.Ground), r.earlier.Own), err
}

func (r *run) lockProblem(ctx context.Context, cause error) error {
	holders := holders(ctx, r.ctl)
	return &holdfast.Problem{
		Class: holdfast.Busy,
		What: fmt.Sprintf("dump %s: the tables could not be locked within %v", r.Address.Where(),
			r.Options.LockWait),
		Err: cause,
		Why: "Without ACCESS SHARE on every table a TRUNCATE could make rows vanish from the middle of the dump.",
		Do: "Exclusive locks are held or requested by: " + holders +
			". Wait for them or end them, then run the backup again.",
	}
}

// release gives every lock and the snapshot back.
func (r *run) release() {
	for _, lane := range r.leases {
		for _, l := range lane {
			l.close()
		}
	}
	r.leases = nil
	closeConn(r.export)
	r.export = nil
}
