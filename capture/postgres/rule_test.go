package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/content"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
)

// A history is random work on a database, over which the rule is asked again and
// again, and each answer compared with what is read. Its strips have four blocks.
type history struct {
	t      *testing.T
	server *splicetest.Server
	dsn    string
	rnd    *rand.Rand
	next   int // of the numbers that rows get
	open   []*pgx.Conn
	done   []string // since the last look, for a failure's sake
	names  int
}

// look is what one capture would see.
type look struct {
	ground ground
	// Of the log: where the look began, settled or not, and what all that it saw was written before.
	began, position string
	tables          map[string]relation
	strips          map[string][]strip // with what was read
	asked           int
	same            int // called unchanged
	spared          int // called unwritten, by summaries of the log
	missed          int // called changed, and equal
	lies            []string
	mutants         map[string]int // lies of the rule with a part left out
}

const historyStrip = 4

var historyTables = []string{"journal", "updated", "padded", "keyed", "fleeting", "external"}

const historySchema = `
	CREATE TYPE mood AS ENUM ('a', 'b', 'c'); CREATE DOMAIN words AS text; CREATE DOMAIN state AS mood;
	CREATE TABLE journal (id bigint, kind mood DEFAULT 'a', at timestamptz DEFAULT now(), v text);
	CREATE TABLE updated (id int PRIMARY KEY, n int DEFAULT 0, v text);
	CREATE TABLE padded (id int, s state DEFAULT 'b', w words, v text) WITH (fillfactor = 60);
	CREATE TABLE keyed (id int, v text, twice int GENERATED ALWAYS AS (id * 2) STORED);
	CREATE UNLOGGED TABLE fleeting (id int, v text);
	CREATE TABLE external (id int, v text); ALTER TABLE external ALTER v SET STORAGE EXTERNAL`

func (h *history) exec(sql string) error {
	conn, err := pgx.Connect(h.t.Context(), h.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(h.t.Context(), "SET lock_timeout = '500ms'; SET statement_timeout = '20s'"); err != nil {
		return err
	}
	_, err = conn.Exec(h.t.Context(), sql)
	return err
}

func (h *history) any() string { return historyTables[h.rnd.IntN(len(historyTables))] }

// insert makes n rows in a table.
func (h *history) insert(table string, n int) string {
	from := h.next
	h.next += n
	wide := 3
	if table == "external" {
		wide = 120
	}
	return fmt.Sprintf("INSERT INTO %s (id, v) SELECT g, repeat(md5(g::text), %d) FROM generate_series(%d, %d) g", table, wide, from, from+n-1)
}

// some chooses a few rows.
func (h *history) some(table string) string {
	switch h.rnd.IntN(3) {
	case 0:
		return fmt.Sprintf(" WHERE ctid = ANY (ARRAY(SELECT ctid FROM ONLY %s TABLESAMPLE SYSTEM (5) LIMIT 3))", table)
	case 1:
		return fmt.Sprintf(" WHERE id IN (SELECT id FROM %s ORDER BY id %s LIMIT %d)", table, []string{"", "DESC"}[h.rnd.IntN(2)], 1+h.rnd.IntN(40))
	}
	return fmt.Sprintf(" WHERE id %% 97 = %d", h.rnd.IntN(97))
}

// work is one statement that changes rows, or only seems to.
func (h *history) work() string {
	table := h.any()
	switch h.rnd.IntN(6) {
	case 0, 1:
		return h.insert(table, 1+h.rnd.IntN(60))
	case 2:
		return "UPDATE " + table + " SET v = md5(v) || substr(v, 33)" + h.some(table)
	case 3:
		return "DELETE FROM " + table + h.some(table)
	case 4:
		return "UPDATE " + table + " SET v = v" + h.some(table)
	}
	return "SELECT 1 FROM " + table + h.some(table) + " FOR UPDATE"
}

// deed is something that happens, with how often compared with others.
type deed struct {
	name   string
	weight int
	do     func() error
}

func (h *history) deeds() []deed {
	say := func(text func() string) func() error { return func() error { return h.exec(text()) } }
	return []deed{
		{"work", 60, say(h.work)},
		{"rolled back", 6, say(func() string { return "BEGIN; " + h.work() + "; ROLLBACK" })},
		{"savepoints", 10, say(func() string {
			return "BEGIN; SAVEPOINT a; " + h.work() + "; ROLLBACK TO a; " + h.work() + "; SAVEPOINT b; " + h.work() +
				"; RELEASE b; SAVEPOINT c; SAVEPOINT d; " + h.work() + "; ROLLBACK TO d; " + h.work() + "; COMMIT"
		})},
		{"made and unmade", 4, say(func() string {
			table := h.any()
			return "BEGIN; " + h.insert(table, 30) + "; DELETE FROM " + table + h.some(table) + "; " + h.insert(table, 30) + "; COMMIT"
		})},
		{"begun", 8, h.begin},
		{"ended", 10, h.end},
		{"prepared", 4, say(func() string {
			h.names++
			return fmt.Sprintf("BEGIN; %s; SAVEPOINT x; %s; PREPARE TRANSACTION 'p%d'", h.work(), h.work(), h.names)
		})},
		{"of the prepared, one ended", 5, h.endPrepared},
		{"VACUUM", 8, say(func() string { return "VACUUM " + h.any() })},
		{"VACUUM FREEZE", 6, say(func() string { return "VACUUM (FREEZE, ANALYZE) " + h.any() })},
		{"VACUUM FULL", 3, say(func() string { return "VACUUM FULL " + h.any() })},
		{"CLUSTER", 1, say(func() string { return "CLUSTER updated USING updated_pkey" })},
		{"emptied and filled", 2, say(func() string { t := h.any(); return "BEGIN; TRUNCATE " + t + "; " + h.insert(t, 800) + "; COMMIT" })},
		{"written frozen", 1, say(func() string {
			return `BEGIN; TRUNCATE keyed; COPY keyed (id, v) FROM PROGRAM 'seq 1 500 | sed s/$/\\tq/' (FREEZE); COMMIT`
		})},
		{"the same rows again", 2, say(func() string {
			t := []string{"journal", "updated", "padded", "external"}[h.rnd.IntN(4)]
			return fmt.Sprintf("BEGIN; CREATE TEMP TABLE z ON COMMIT DROP AS SELECT * FROM %s; DELETE FROM %[1]s; INSERT INTO %[1]s SELECT * FROM z; COMMIT", t)
		})},
		{"a column with a constant", 3, say(func() string {
			h.names++
			return fmt.Sprintf("ALTER TABLE %s ADD c%d int DEFAULT %d", []string{"journal", "padded", "external"}[h.rnd.IntN(3)], h.names, h.rnd.IntN(1000))
		})},
		{"a column made again", 3, say(func() string {
			return fmt.Sprintf("ALTER TABLE padded DROP COLUMN IF EXISTS x; ALTER TABLE padded ADD x int DEFAULT %d", h.rnd.IntN(1000))
		})},
		{"a column dropped", 1, say(func() string {
			return fmt.Sprintf("ALTER TABLE journal DROP COLUMN IF EXISTS c%d", 1+h.rnd.IntN(h.names+1))
		})},
		{"a type changed", 1, say(func() string {
			return "ALTER TABLE updated ALTER n TYPE " + []string{"int", "bigint"}[h.rnd.IntN(2)]
		})},
		{"a type that is stored alike", 1, say(func() string {
			return "ALTER TABLE keyed ALTER v TYPE " + []string{"text", "varchar"}[h.rnd.IntN(2)]
		})},
		{"a label renamed", 3, h.rename},
		{"tables exchanged", 1, say(func() string {
			return "BEGIN; ALTER TABLE keyed RENAME TO other; CREATE TABLE keyed (LIKE other INCLUDING ALL); INSERT INTO keyed (id, v) SELECT id, v || 'y' FROM other; DROP TABLE other; COMMIT"
		})},
		{"a crash", 2, h.crash},
		{"numbers used up", 3, say(func() string {
			return "DO $$ BEGIN FOR i IN 1..200 LOOP BEGIN PERFORM pg_current_xact_id(); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$"
		})},
		{"CHECKPOINT", 2, say(func() string { return "CHECKPOINT" })},
	}
}

func (h *history) begin() error {
	if len(h.open) > 4 {
		return nil
	}
	conn, err := pgx.Connect(h.t.Context(), h.dsn)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(h.t.Context(),
		"SET lock_timeout = '500ms'; BEGIN; SAVEPOINT s; "+h.work()+"; RELEASE s; "+h.work()); err != nil {
		return errors.Join(err, conn.Close(h.t.Context()))
	}
	h.open = append(h.open, conn)
	return nil
}

func (h *history) end() error {
	if len(h.open) == 0 {
		return nil
	}
	i := h.rnd.IntN(len(h.open))
	conn := h.open[i]
	h.open = slices.Delete(h.open, i, i+1)
	_, err := conn.Exec(h.t.Context(), []string{"COMMIT", "ROLLBACK", "COMMIT"}[h.rnd.IntN(3)])
	return errors.Join(err, conn.Close(h.t.Context()))
}

func (h *history) endPrepared() error {
	conn, err := pgx.Connect(h.t.Context(), h.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(h.t.Context()) }()
	var name string
	err = conn.QueryRow(h.t.Context(), "SELECT coalesce((SELECT gid FROM pg_prepared_xacts ORDER BY random() LIMIT 1), '')").Scan(&name)
	if err != nil || name == "" {
		return err
	}
	_, err = conn.Exec(h.t.Context(), []string{"COMMIT", "ROLLBACK"}[h.rnd.IntN(2)]+" PREPARED '"+name+"'")
	return err
}

// rename gives two labels each other's name, and so changes what rows say without
// a change of any of them.
func (h *history) rename() error {
	h.names++
	return h.exec(fmt.Sprintf(`ALTER TYPE mood RENAME VALUE 'a' TO 't%d'; ALTER TYPE mood RENAME VALUE 'b' TO 'a'; ALTER TYPE mood RENAME VALUE 't%[1]d' TO 'b'`, h.names))
}

// crash ends a session in the middle of its work, and with it all others; the
// server recovers without being started.
func (h *history) crash() error {
	for _, c := range h.open {
		_ = c.Close(h.t.Context())
	}
	h.open = nil
	conn, err := pgx.Connect(h.t.Context(), h.dsn)
	if err != nil {
		return err
	}
	_, _ = conn.Exec(h.t.Context(), "SET lock_timeout = '500ms'; SET synchronous_commit = off")
	_, _ = conn.Exec(h.t.Context(), h.work())
	p, err := os.FindProcess(int(conn.PgConn().PID())) //nolint:gosec // a process number
	if err != nil {
		return err
	}
	if err := p.Kill(); err != nil {
		return err
	}
	_ = conn.Close(h.t.Context())
	for range 400 {
		time.Sleep(25 * time.Millisecond)
		if err = h.exec("SELECT 1"); err == nil {
			return nil
		}
	}
	return err
}

// round lets a few things happen.
func (h *history) round(deeds []deed) {
	h.done = nil
	total := 0
	for _, d := range deeds {
		total += d.weight
	}
	for range 1 + h.rnd.IntN(6) {
		at := h.rnd.IntN(total)
		for _, d := range deeds {
			if at -= d.weight; at < 0 {
				note := d.name
				if err := d.do(); err != nil {
					note += " (" + err.Error() + ")"
				}
				h.done = append(h.done, note)
				break
			}
		}
	}
}

// look reads every strip, and asks the rule about each that an earlier look read.
func (h *history) look(was *look) *look {
	h.t.Helper()
	ctx := h.t.Context()
	info, err := libpq.Parse(h.dsn)
	must(h.t, err)
	r := &run{Dumper: Dumper{Address: libpq.Address{Conninfo: info}, Options: Options{}.complete()}}
	defer r.close()
	r.ctl, err = r.connect(ctx)
	must(h.t, err)
	r.server, err = server(ctx, r.ctl)
	must(h.t, err)
	r.Options.Settle, r.Options.StripBlocks = 100*time.Millisecond, historyStrip
	wal, err := r.settle(ctx)
	must(h.t, err)
	r.export, err = r.connect(ctx)
	must(h.t, err)
	r.common, err = r.export.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	must(h.t, err)
	must(h.t, r.common.QueryRow(ctx, `SELECT pg_export_snapshot()`).Scan(&r.snapshot))
	r.tables, err = tables(ctx, r.common)
	must(h.t, err)
	position, err := r.readGround(ctx)
	must(h.t, err)
	if wal.Settled {
		r.ground.Log = wal.Before
	}
	must(h.t, r.epochs(ctx))
	l, err := connectReader(ctx, r.Address, "history", "UTF8", r.server.Major())
	must(h.t, err)
	defer l.close()
	must(h.t, execute(ctx, l.conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
	must(h.t, l.enter(ctx, r.snapshot))

	now := &look{ground: r.ground, began: wal.Before, position: position, tables: map[string]relation{}, strips: map[string][]strip{}, mutants: map[string]int{}}
	for _, t := range r.tables {
		if !t.inStrips() {
			continue
		}
		now.tables[t.name] = t
		for _, s := range (unit{}).strips(t.blocks, historyStrip) {
			got, err := l.readRows(ctx, copySQL(t.ident(), t.columnNames(), s.where(), content.BinaryFormat), nowhere{})
			must(h.t, err)
			s.Rows, s.Bytes, s.Digest = got.rows, got.bytes, got.digest
			now.strips[t.name] = append(now.strips[t.name], s)
		}
	}
	if was != nil {
		h.compare(ctx, l, now, was)
		if r.server.Major() >= 17 {
			h.compareLogged(ctx, r, now, was)
		}
	}
	must(h.t, r.flushed(ctx, position))
	now.ground = r.ground
	return now
}

// compare asks the rule, and the rule with each of its parts left out.
func (h *history) compare(ctx context.Context, l *lease, now, was *look) {
	h.t.Helper()
	first := func(a answer, s strip) bool { return a.unchanged(s) }
	for name, mutant := range map[string]struct {
		ground, epoch, last bool // left out
		says                func(a answer, was strip) bool
	}{
		"":         {says: first},
		"count":    {says: func(a answer, _ strip) bool { return a.asked && a.young == 0 }},
		"new rows": {says: func(a answer, s strip) bool { return a.asked && a.rows == s.Rows }},
		"epoch":    {epoch: true, says: first},
		"xmin":     {last: true, says: first},
	} {
		if !now.ground.follows(was.ground) {
			continue
		}
		e := &earlier{horizon: was.ground.horizon(), strips: map[string]map[int64]strip{}, epochs: map[string]string{}}
		if mutant.last {
			e.horizon = strconv.FormatUint(was.ground.Next&0xffffffff, 10)
		}
		for table, strips := range was.strips {
			key := tableKey("public", table)
			e.strips[key], e.epochs[key] = map[int64]strip{}, was.tables[table].epoch
			if mutant.epoch {
				e.epochs[key] = now.tables[table].epoch
			}
			for _, s := range strips {
				e.strips[key][s.From] = s
			}
		}
		for _, table := range slices.Sorted(maps.Keys(now.strips)) {
			t, strips := now.tables[table], now.strips[table]
			answers, err := e.ask(ctx, l, t, strips)
			must(h.t, err)
			for i, s := range strips {
				old, ok := e.of(t, s)
				if !ok {
					continue
				}
				equal := old.Rows == s.Rows && old.Digest == s.Digest
				says := mutant.says(answers[i], old)
				switch {
				case name != "" && says && !equal:
					now.mutants[name]++
				case name != "":
				case says && !equal:
					now.lies = append(now.lies, fmt.Sprintf("%s from block %d: %s, was %s, after %s", table, s.From, s.sum(), old.sum(),
						strings.Join(h.done, "; ")))
				case says:
					now.same++
				case equal:
					now.missed++
				}
				if name == "" {
					now.asked++
				}
			}
		}
	}
}

// compareLogged asks summaries of the log, and asks them with each part of what
// makes them exact left out.
func (h *history) compareLogged(ctx context.Context, r *run, now, was *look) {
	h.t.Helper()
	if !now.ground.follows(was.ground) {
		return
	}
	for _, x := range []struct {
		without, from string
		read          func(context.Context, *summary, string, string) error
	}{
		// The first asks for no checkpoint, and takes what is not summarized as unwritten.
		{"checkpoint", was.ground.Log, func(ctx context.Context, s *summary, from, to string) error {
			return h.readAsItIs(ctx, r, s, from, to)
		}},
		{"", was.ground.Log, r.readSummaries},
		{"settled", was.began, r.readSummaries},
		{"logged", was.ground.Log, r.readSummaries},
	} {
		if x.from == "" {
			continue
		}
		s, name := &summary{}, x.without
		err := x.read(ctx, s, x.from, now.position)
		var u *unusable
		if errors.As(err, &u) {
			h.done = append(h.done, u.why)
			continue
		}
		must(h.t, err)
		for _, table := range slices.Sorted(maps.Keys(now.strips)) {
			t := now.tables[table]
			if t.epoch != was.tables[table].epoch {
				continue
			}
			t.logged = t.logged || name == "logged"
			for _, at := range now.strips[table] {
				i := slices.IndexFunc(was.strips[table], func(o strip) bool { return o.From == at.From && o.To == at.To })
				if i < 0 || !s.spares(t, at, historyStrip) {
					continue
				}
				old := was.strips[table][i]
				equal := old.Rows == at.Rows && old.Digest == at.Digest
				switch {
				case name == "" && equal:
					now.spared++
				case name == "":
					now.lies = append(now.lies, fmt.Sprintf("%s from block %d, not written as summaries say: %s, was %s, after %s",
						table, at.From, at.sum(), old.sum(), strings.Join(h.done, "; ")))
				case !equal:
					now.mutants[name]++
				}
			}
		}
	}
}

// readAsItIs reads those summaries that there are, whether or not they reach.
func (h *history) readAsItIs(ctx context.Context, r *run, into *summary, from, to string) error {
	conn, err := r.connect(ctx)
	must(h.t, err)
	defer closeConn(conn)
	rows, err := conn.Query(ctx, `SELECT (start_lsn - '0/0')::bigint, (end_lsn - '0/0')::bigint
		FROM pg_available_wal_summaries() WHERE end_lsn > $1::pg_lsn AND start_lsn < $2::pg_lsn`, from, to)
	must(h.t, err)
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s stretch, err error) {
		err = row.Scan(&s.from, &s.to)
		return s, err
	})
	must(h.t, err)
	return r.readWritten(ctx, conn, into, 1, found)
}

// nowhere takes rows and keeps none.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error)                              { return len(p), nil }
func (nowhere) Divide()                                                  {}
func (nowhere) Take(context.Context, string, int64, int64) (bool, error) { return false, nil }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The rule calls no range unchanged that has changed, whatever happened to the
// database; and each part of it is needed: left out, it is caught.
func TestTheRuleForUnchangedRowsHolds(t *testing.T) {
	rounds := 10
	if splicetest.Long() {
		rounds = 600
	}
	seed := rand.Uint64() //nolint:gosec // to be repeated
	if text := os.Getenv("HOLDFAST_TEST_SEED"); text != "" {
		_, err := fmt.Sscan(text, &seed)
		must(t, err)
	}
	t.Logf("HOLDFAST_TEST_SEED=%d", seed)
	for _, v := range splicetest.Chosen() {
		t.Run("postgres"+v.Major, func(t *testing.T) {
			t.Parallel()
			settings := map[string]string{
				"fsync": "on", "max_prepared_transactions": "40", "autovacuum": "on", "autovacuum_naptime": "1s",
				"autovacuum_vacuum_threshold": "20", "autovacuum_vacuum_scale_factor": "0.02", "restart_after_crash": "on",
			}
			major, err := strconv.Atoi(v.Major)
			must(t, err)
			summarized := major >= 17
			if summarized {
				settings["summarize_wal"] = "on"
			}
			server := splicetest.NewServerWith(t, splicetest.Options{Bin: v.Bin, Settings: settings})
			h := &history{t: t, server: server, dsn: server.DSN("postgres"), rnd: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // to be repeated
			must(t, h.exec(historySchema))
			refill := func() {
				for _, table := range historyTables {
					_ = h.exec(h.insert(table, 1500))
				}
			}
			refill()
			deeds := h.deeds()
			looks := []*look{h.look(nil)}
			asked, same, missed, spared, mutants := 0, 0, 0, 0, map[string]int{}
			for n := range rounds {
				h.round(deeds)
				if n%7 == 6 {
					refill()
				}
				was := looks[max(0, len(looks)-1-h.rnd.IntN(3))] // the newest set is not always there
				now := h.look(was)
				looks = append(looks, now)
				for _, lie := range now.lies {
					t.Errorf("called unchanged: %s", lie)
				}
				asked, same, missed, spared = asked+now.asked, same+now.same, missed+now.missed, spared+now.spared
				for m, lies := range now.mutants {
					mutants[m] += lies
				}
			}
			for _, c := range h.open {
				_ = c.Close(t.Context())
			}
			t.Logf("%d rounds: asked of %d strips, %d unchanged, %d equal and read; by summaries %d unwritten; "+
				"lies with a part left out: %v", rounds, asked, same, missed, spared, mutants)
			if same < asked/10 {
				t.Errorf("only %d of %d were called unchanged: the histories say nothing", same, asked)
			}
			if splicetest.Long() {
				if summarized && spared == 0 { // in a few rounds a transaction may always be open
					t.Error("no strip was called unwritten: the histories say nothing of summaries")
				}
				parts := []string{"count", "new rows", "epoch", "xmin"}
				if summarized {
					parts = append(parts, "settled", "checkpoint", "logged")
				}
				for _, part := range parts {
					if mutants[part] == 0 {
						t.Errorf("without %q nothing is called unchanged that is not", part)
					}
				}
			}
		})
	}
}
