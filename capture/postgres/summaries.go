package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
)

// summary is what the server's summaries of its write-ahead log say of a
// database: which blocks were written between an earlier capture and this one. A
// strip of which no block was written has the same rows, and none of it is read
// for that. What was written may have the same rows all the same, which the rule
// for unchanged rows then finds out.
type summary struct {
	ready   chan struct{} // closed when the rest is there
	holds   bool          // false: it says nothing, and the rule is asked of every strip
	strips  map[heapFile]map[int64]bool
	emptied map[heapFile]int64 // all blocks from here on were cut off once
}

// heapFile is where the log says that a block is.
type heapFile struct{ tablespace, node uint32 }

// spares says whether the strip is known to be unwritten.
func (s *summary) spares(r relation, of strip, length int64) bool {
	if s == nil || !s.holds || !r.logged || r.file.node == 0 {
		return false
	}
	if from, cut := s.emptied[r.file]; cut && (of.To == 0 || of.To > from) {
		return false
	}
	written := s.strips[r.file]
	if of.To == 0 { // also what the table has grown by
		for at := range written {
			if at >= of.From/length {
				return false
			}
		}
		return true
	}
	return !written[of.From/length]
}

// SummariesUnused says why a dump that may use summaries of the write-ahead log
// does without. It reads more of the database then, and takes over as much.
type SummariesUnused struct {
	Component holdfast.ComponentName
	Why       string
	Err       error // nil: Why is all
}

func (e SummariesUnused) String() string {
	text := fmt.Sprintf("capture %s: without summaries of the write-ahead log, because %s", e.Component, e.Why)
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	return text
}

// unusable is why there is no summary that says something.
type unusable struct {
	why string
	err error
}

func (u *unusable) Error() string { return u.why }

// summarize fills the summary of the log from the earlier capture's position up to
// the one that was read in this snapshot. Whoever asks it waits until then.
func (r *run) summarize(ctx context.Context, position string) error {
	if r.old == nil || r.old.log == nil {
		return nil
	}
	defer close(r.old.log.ready)
	conn, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	err = r.readSummaries(ctx, conn, r.old.log, r.old.logged, position)
	var u *unusable
	if errors.As(err, &u) {
		r.Options.Events.Report(SummariesUnused{Component: r.component.Name, Why: u.why, Err: u.err})
		return nil
	}
	return err
}

// readSummaries reads them. A summary ends where a checkpoint begins, so one is
// asked for: without it the newest changes would be in none.
func (r *run) readSummaries(ctx context.Context, conn *pgx.Conn, into *summary, from, to string) error {
	if from == "" {
		return &unusable{why: "transactions were open when the last set was begun"}
	}
	var on string
	var timeline int64
	if err := conn.QueryRow(ctx, `SELECT coalesce(current_setting('summarize_wal', true), ''),
		('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint`).Scan(&on, &timeline); err != nil {
		return refusedOr(err, "the server does not tell its timeline")
	}
	switch on {
	case "on":
	case "":
		return &unusable{why: "Postgres has them from version 17 on"}
	default:
		return &unusable{why: "the server's summarize_wal is off"}
	}
	found, err := r.reachSummary(ctx, conn, timeline, from, to)
	if err != nil {
		return err
	}
	return r.readWritten(ctx, conn, into, timeline, found)
}

// stretch is what one summary covers of the log: [from, to), as numbers of bytes.
type stretch struct{ from, to int64 }

// cover says whether stretches, by their beginnings, leave nothing out between two
// positions; short, that only the newest part is missing.
func cover(stretches []stretch, from, to int64) (whole, short bool) {
	for _, s := range stretches {
		if s.from > from {
			return false, false
		}
		from = max(from, s.to)
	}
	return from >= to, from < to
}

// reachSummary waits until the summaries reach to the position, and returns them.
func (r *run) reachSummary(ctx context.Context, conn *pgx.Conn, timeline int64, from, to string) ([]stretch, error) {
	const patience = 30 * time.Second
	var asked bool
	for deadline := time.Now().Add(patience); ; {
		var positions stretch
		if err := conn.QueryRow(ctx, `SELECT ($1::pg_lsn - '0/0')::bigint, ($2::pg_lsn - '0/0')::bigint`, from,
			to).Scan(&positions.from, &positions.to); err != nil {
			return nil, err
		}
		rows, err := conn.Query(ctx, `SELECT (start_lsn - '0/0')::bigint, (end_lsn - '0/0')::bigint
			FROM pg_available_wal_summaries() WHERE tli = $1 AND end_lsn > $2::pg_lsn AND start_lsn < $3::pg_lsn
			ORDER BY start_lsn, end_lsn`, timeline, from, to)
		if err != nil {
			return nil, refusedOr(err, notShown)
		}
		found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s stretch, err error) {
			err = row.Scan(&s.from, &s.to)
			return s, err
		})
		if err != nil {
			return nil, refusedOr(err, notShown)
		}
		whole, short := cover(found, positions.from, positions.to)
		switch {
		case whole:
			return found, nil
		case !short:
			return nil, &unusable{why: "the server has no summary of some of the log since the last set"}
		case time.Now().After(deadline):
			return nil, &unusable{why: fmt.Sprintf("the server did not summarize its log within %v", patience)}
		}
		if !asked {
			asked = true
			if _, err := conn.Exec(ctx, "CHECKPOINT"); err != nil {
				return nil, refusedOr(err, "the role may not ask for a checkpoint. "+
					"As a superuser: GRANT pg_checkpoint TO "+pgx.Identifier{conn.Config().User}.Sanitize()+";")
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

const notShown = "the server does not show its summaries"

// written lists the strips and the cut files that summaries name.
const written = `SELECT c.reltablespace, c.relfilenode, c.is_limit_block,
		CASE WHEN c.is_limit_block THEN c.relblocknumber ELSE c.relblocknumber / $4 END
	FROM unnest($2::bigint[], $3::bigint[]) s(from_byte, to_byte),
		pg_wal_summary_contents($1, '0/0'::pg_lsn + s.from_byte, '0/0'::pg_lsn + s.to_byte) c
	WHERE c.relforknumber = 0
		AND c.reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
	GROUP BY 1, 2, 3, 4`

func (r *run) readWritten(ctx context.Context, conn *pgx.Conn, into *summary, timeline int64, found []stretch) error {
	var begins, ends []int64
	for _, s := range found {
		begins, ends = append(begins, s.from), append(ends, s.to)
	}
	strips, emptied := map[heapFile]map[int64]bool{}, map[heapFile]int64{}
	rows, err := conn.Query(ctx, written, timeline, begins, ends, r.Options.StripBlocks)
	if err != nil {
		return refusedOr(err, notShown)
	}
	var at heapFile
	var cut bool
	var number int64
	if _, err := pgx.ForEachRow(rows, []any{&at.tablespace, &at.node, &cut, &number}, func() error {
		if before, has := emptied[at]; cut && (!has || number < before) {
			emptied[at] = number
		}
		if !cut {
			if strips[at] == nil {
				strips[at] = map[int64]bool{}
			}
			strips[at][number] = true
		}
		return nil
	}); err != nil {
		return refusedOr(err, notShown)
	}
	for at := range emptied {
		if at.node == 0 { // of the database as a whole
			return &unusable{why: "a summary since the last set also covers the making of the database"}
		}
	}
	into.strips, into.emptied, into.holds = strips, emptied, true
	return nil
}

// refusedOr is what the server refused as a reason to do without; other errors
// stay what they are.
func refusedOr(err error, why string) error {
	if code(err) != "" {
		return &unusable{why, err}
	}
	return err
}
