package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
)

// ground is what two captures have to share, so that the rule for unchanged rows
// holds between them. docs/decisions/ proves the rule.
type ground struct {
	// Instance names the database and the run of its server. Whatever brings rows of
	// another history (a restored directory, a failover) starts a server.
	Instance string `json:"instance"`
	// Horizon is the snapshot's xmin: every transaction below it had ended. Never its
	// xmax or list, which leave out subtransactions.
	Horizon uint64 `json:"horizon"`
	Next    uint64 `json:"next"` // the snapshot's xmax: none of the numbers from here on had ended
	// Log is a position in the write-ahead log: every transaction that had written to
	// it before had ended when the snapshot was taken. "" where some were open.
	Log string `json:"log,omitempty"`
	own uint64 // taken afterwards, to wake the server
}

// public is the ground as the manifest has it; nil where there is none.
func (g ground) public() *holdfast.Ground {
	if !g.holds() {
		return nil
	}
	return &holdfast.Ground{Instance: g.Instance, Horizon: g.Horizon, Next: g.Next, Own: g.own}
}

// groundAt is the ground that a manifest has, as far as it says whether something was
// written since.
func groundAt(was *holdfast.Ground) ground {
	return ground{Instance: was.Instance, Horizon: was.Horizon, Next: was.Next}
}

// tooFar is half of the distance at which transaction numbers, which have 32
// bits, are compared the wrong way around.
const tooFar = 1 << 30

// holds says whether a later capture may build on it.
func (g ground) holds() bool { return g.Instance != "" && g.Horizon > 0 }

// follows says whether what was read on the earlier ground may be compared.
func (g ground) follows(was ground) bool {
	return g.holds() && was.holds() && g.Instance == was.Instance && g.Next >= was.Next && g.Next-was.Horizon < tooFar
}

// still says whether nothing was written on a server between two grounds. On the
// earlier one no transaction was open whose number was below the first that none had
// ended with, and since then none has ended but those whose numbers are own: they wrote
// nothing. So neither has a row come since nor has one gone, in any database.
func (g ground) still(was ground, own []uint64) bool {
	if !g.follows(was) || was.Horizon != was.Next {
		return false
	}
	next := was.Next
	for slices.Contains(own, next) {
		next++
	}
	return g.Next == next
}

// horizon is the transaction number as rows have it.
func (g ground) horizon() string { return fmt.Sprint(uint32(g.Horizon)) } //nolint:gosec // its low 32 bits are meant

// readGround reads the ground in the dump's snapshot, and the position in the log
// that has to be on disk before a later capture may build on it. Where the server
// does not say what it takes, there is no ground.
func (r *run) readGround(ctx context.Context) (position string, err error) {
	r.ground = ground{}
	if r.server.Standby {
		return "", nil // what it shows may be taken back by another primary
	}
	tx, err := r.common.Begin(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	r.ground, position, err = groundOf(ctx, tx, r.server)
	return position, err
}

// groundOf reads the ground of a snapshot; one that does not hold where the server
// does not say what it takes.
func groundOf(ctx context.Context, q querier, of holdfast.Server) (g ground, position string, err error) {
	var horizon, next, fsync string
	err = q.QueryRow(ctx, `SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text,
		concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()),
			(SELECT oid FROM pg_database WHERE datname = current_database()),
			current_setting('server_version_num'), $1::text), current_setting('fsync'), pg_current_wal_insert_lsn()::text
		FROM pg_current_snapshot() s`, of.SystemID).Scan(&horizon, &next, &g.Instance, &fsync, &position)
	switch {
	case code(err) != "":
		return ground{}, "", nil // the role may not ask
	case err != nil:
		return ground{}, "", err
	case fsync != "on":
		return ground{}, "", nil // what was seen may not be there after a crash
	}
	if _, err := fmt.Sscan(horizon+" "+next, &g.Horizon, &g.Next); err != nil {
		return ground{}, "", fmt.Errorf("snapshot %s to %s: %w", horizon, next, err)
	}
	return g, position, nil
}

// flush has the server write what the capture saw to its disk. One with nothing to
// do writes its log only every ten seconds. A transaction of our own that has a
// number, and nothing else, ends that sleep: see XLogSetAsyncXactLSN in Postgres's
// xlog.c. What flush returns has to be on disk then, and not only the position: after
// a crash the number of a transaction that is not there is another's.
func (r *run) flush(ctx context.Context, position string) (string, error) {
	flushed, err := r.isFlushed(ctx, position)
	if err != nil || flushed || !r.ground.holds() {
		return position, r.groundless(err)
	}
	var number string
	if err = r.ctl.QueryRow(ctx, `SELECT pg_current_xact_id()::text`).Scan(&number); err == nil {
		_, _ = fmt.Sscan(number, &r.ground.own)
		err = r.ctl.QueryRow(ctx, `SELECT pg_current_wal_insert_lsn()::text`).Scan(&position)
	}
	return position, r.groundless(err)
}

// flushed waits until what the capture saw is on the server's disk. Before that a
// crash could take it back, and the numbers of its transactions would be given to
// others; a capture that ends sooner leaves no ground.
func (r *run) flushed(ctx context.Context, position string) error {
	const patience = 10 * time.Second
	for deadline := time.Now().Add(patience); r.ground.holds(); {
		flushed, err := r.isFlushed(ctx, position)
		if err != nil || flushed {
			return r.groundless(err)
		}
		if time.Now().After(deadline) {
			r.ground = ground{}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// isFlushed reports whether the log is on the server's disk up to the position.
func (r *run) isFlushed(ctx context.Context, position string) (flushed bool, err error) {
	if !r.ground.holds() {
		return false, nil
	}
	err = r.ctl.QueryRow(ctx, `SELECT pg_current_wal_flush_lsn() >= $1::pg_lsn`, position).Scan(&flushed)
	return flushed, err
}

// groundless drops the ground where the server refuses to answer. Other errors are
// returned.
func (r *run) groundless(err error) error {
	if err != nil && code(err) != "" {
		r.ground, err = ground{}, nil
	}
	return err
}

// epochs reads, in the snapshot, what makes a table's stored rows mean what they
// mean: its identity and file, its columns, and the labels and domains of a
// database's own types. While the epoch stays, a row that stays gives the same
// bytes. Tables that are never taken over get none.
func (r *run) epochs(ctx context.Context) error {
	if !r.ground.holds() {
		return nil
	}
	place := map[uint32]*relation{}
	var oids []uint32
	for i := range r.tables {
		if t := &r.tables[i]; t.inStrips() {
			place[t.oid] = t
			oids = append(oids, t.oid)
		}
	}
	tx, err := r.common.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	rows, err := tx.Query(ctx, epochs, oids)
	if err != nil {
		return err
	}
	var oid uint32
	var read relation
	_, err = pgx.ForEachRow(rows, []any{&oid, &read.epoch, &read.logged, &read.file.tablespace, &read.file.node}, func() error {
		t := place[oid]
		t.epoch, t.logged, t.file = read.epoch, read.logged, read.file
		return nil
	})
	return err
}

const epochs = `
	WITH own AS (
		SELECT md5(coalesce(string_agg(concat_ws(',', t.oid, t.xmin, t.typtype, t.typbasetype,
			(SELECT string_agg(concat_ws(',', e.oid, e.xmin, e.enumlabel), ';' ORDER BY e.oid)
			 FROM pg_enum e WHERE e.enumtypid = t.oid)),
			'|' ORDER BY t.oid), '')) AS types
		FROM pg_type t WHERE t.typtype IN ('e', 'd') AND t.oid >= 16384)
	SELECT c.oid, md5(concat_ws('|', c.oid, c.xmin, c.relnamespace, c.relam, c.relpersistence, pg_relation_filenode(c.oid),
		(SELECT string_agg(concat_ws(',', a.attnum, a.xmin, a.attname, a.atttypid, a.atttypmod, a.attisdropped,
			a.attgenerated, a.atthasmissing, a.attmissingval::text), ';' ORDER BY a.attnum)
		 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
		CASE WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.atttypid >= 16384)
			THEN own.types END)),
		c.relpersistence = 'p', coalesce(nullif(c.reltablespace, 0), d.dattablespace), coalesce(pg_relation_filenode(c.oid), 0)
	FROM pg_class c, own, (SELECT dattablespace FROM pg_database WHERE datname = current_database()) d WHERE c.oid = ANY ($1::oid[])`

// answer is what the database says of the rows of a strip.
type answer struct {
	spared bool // nobody wrote there, and the rule was not asked
	asked  bool
	rows   int64
	young  int64 // inserted by a transaction at or above the horizon of the earlier capture
}

// unchanged is the rule: a row that is visible now and was inserted below the
// horizon was visible then, so rows that are as many and not young are the same.
func (a answer) unchanged(was strip) bool {
	return a.spared || a.asked && a.young == 0 && a.rows == was.Rows
}

// ask asks for the strips of a table that the earlier capture has. The database
// reads no TOAST value for it, which stays as long as its row does.
func (e *earlier) ask(ctx context.Context, l *lease, r relation, strips []strip) ([]answer, error) {
	out := make([]answer, len(strips))
	if e.log != nil {
		select {
		case <-e.log.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	var ask []string
	for i, s := range strips {
		_, ok := e.of(r, s)
		if out[i].spared = ok && (e.still || e.log.spares(r, s, e.length)); out[i].spared {
			continue
		}
		if ok {
			ask = append(ask, fmt.Sprintf(
				"SELECT %d, count(*), count(*) FILTER (WHERE age(xmin) <= age('%s'::xid)) FROM ONLY %s%s",
				i, e.horizon, r.ident(), s.where()))
		}
	}
	if len(ask) == 0 {
		return out, nil
	}
	rows, err := l.conn.Query(ctx, strings.Join(ask, " UNION ALL "), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	var i int
	a := answer{asked: true}
	_, err = pgx.ForEachRow(rows, []any{&i, &a.rows, &a.young}, func() error {
		out[i] = a
		return nil
	})
	return out, err
}

// where chooses the strip's rows.
func (s strip) where() string { return unit{from: s.From, to: s.To}.where("") }
