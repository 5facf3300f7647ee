package postgres_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/internal/eventtest"
	"holdfast/internal/splicetest"
)

// strips are small ones, so that a few megabytes have many.
var strips = postgres.Options{SegmentBlocks: 32, StripBlocks: 8, Lanes: 2, Audit: 1e-9}

// generations takes one set of a database after another.
type generations struct {
	t       *testing.T
	version string
	s       source
	part    holdfast.Part
	files   folder
	schema  bool // the newest took the schema over
}

// next takes a set that may take over from the one before.
func (g *generations) next(o postgres.Options) (holdfast.Part, error) {
	g.t.Helper()
	out := folder(g.t.TempDir())
	d := postgres.Dumper{Address: address(g.t, g.s.dsn), Tools: tools(g.t, g.version), Options: o, Facts: facts}
	var earlier holdfast.Earlier
	if g.files != "" {
		earlier = holdfast.Earlier{Set: "earlier", Part: g.part, Files: g.files, Splice: out.after(g.files)}
		if g.part.Ground != nil {
			earlier.Own = []uint64{g.part.Ground.Own}
		}
	}
	c, err := d.Capture(g.t.Context(), component(g.s), clock(), out, earlier)
	if err != nil {
		return holdfast.Part{}, err
	}
	g.part, g.files = part(c), out
	return g.part, nil
}

// must takes one, and says which share of its bytes was taken over.
func (g *generations) must(o postgres.Options) float64 {
	g.t.Helper()
	p, err := g.next(o)
	if err != nil {
		g.t.Fatal(err)
	}
	if p.Disproof != nil {
		g.t.Errorf("disproved: %+v", p.Disproof)
	}
	g.schema = false
	if p.TakenOver == nil {
		return 0
	}
	g.schema = p.TakenOver.Schema
	return float64(p.TakenOver.Bytes) / float64(p.Bytes)
}

// untouched says whether nothing at all is known to have changed since the newest.
func (g *generations) untouched() bool {
	g.t.Helper()
	was := g.part.Ground
	if was == nil {
		g.t.Fatal("the capture has no ground")
	}
	same, err := postgres.Dumper{Address: address(g.t, g.s.dsn)}.Untouched(g.t.Context(), was, []uint64{was.Own})
	if err != nil {
		g.t.Fatal(err)
	}
	return same
}

// touched does what changes something, and what does not.
func (g *generations) touched() {
	g.t.Helper()
	for _, sql := range []string{
		`SELECT count(*) FROM events`, `BEGIN; LOCK TABLE events IN SHARE MODE; ROLLBACK`, `SELECT pg_advisory_lock(7)`,
	} {
		exec1(g.t, g.s.dsn, sql)
		if !g.untouched() {
			g.t.Errorf("%s: something is said to have changed", sql)
		}
	}
	exec1(g.t, g.s.dsn, `DELETE FROM large WHERE id = 60`)
	if g.untouched() {
		g.t.Error("a row was deleted, and nothing is said to have changed")
	}
	exec1(g.t, g.s.dsn, `INSERT INTO events (body) VALUES ('a'), ('b'); UPDATE contracts SET state = 5 WHERE id = 5`)
	d := postgres.Dumper{Address: address(g.t, g.s.dsn), Tools: tools(g.t, g.version)}
	rows, err := d.Since(g.t.Context(), g.part.Ground)
	if fmt.Sprint(rows) != `[{"public"."contracts" 1} {"public"."events" 2}]` || err != nil {
		g.t.Errorf("new rows: %v, %v", rows, err)
	}
	if _, err := d.Since(g.t.Context(), nil); err == nil {
		g.t.Error("rows are counted since a capture that does not say what it has")
	}
}

// equal loads the newest set and compares it with the live database.
func (g *generations) equal(server *splicetest.Server, name string) {
	g.t.Helper()
	if _, err := load(g.t, g.version, server.DSN("postgres"), name, g.part, g.files); err != nil {
		g.t.Fatal(err)
	}
	want, err := splicetest.Fingerprint(g.t.Context(), g.s.dsn)
	if err != nil {
		g.t.Fatal(err)
	}
	got, err := splicetest.Fingerprint(g.t.Context(), server.DSN(name))
	if err != nil {
		g.t.Fatal(err)
	}
	for table := range want {
		if want[table] != got[table] {
			g.t.Errorf("table %s came back as %s, want %s", table, got[table], want[table])
		}
	}
}

const growing = `
	CREATE TYPE mood AS ENUM ('calm', 'busy');
	CREATE TABLE events (id bigserial PRIMARY KEY, kind mood DEFAULT 'calm', body text);
	CREATE TABLE contracts (id int PRIMARY KEY, state int DEFAULT 0, body bytea) WITH (fillfactor = 90);
	CREATE TABLE large (id int PRIMARY KEY, body text); ALTER TABLE large ALTER body SET STORAGE EXTERNAL;
	INSERT INTO events (body) SELECT repeat(md5(n::text), 4) FROM generate_series(1, 12000) n;
	INSERT INTO contracts SELECT n, 0, sha256(n::text::bytea) FROM generate_series(1, 12000) n;
	INSERT INTO large SELECT n, repeat(md5(n::text), 200) FROM generate_series(1, 60) n`

// growingNode is a node on a server that keeps what it says.
func growingNode(t *testing.T, version string) (*splicetest.Server, *generations) {
	t.Helper()
	return growingNodeWith(t, version, nil)
}

// growingNodeWith is one whose server has more settings.
func growingNodeWith(t *testing.T, version string, more map[string]string) (*splicetest.Server, *generations) {
	t.Helper()
	v, err := splicetest.FindVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{"fsync": "on", "shared_buffers": "1MB"} // which other pages soon fill
	maps.Copy(settings, more)
	server, err := splicetest.Start(t.Context(), splicetest.Options{Bin: v.Bin, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	exec1(t, server.DSN("postgres"), `CREATE DATABASE node`)
	exec1(t, server.DSN("node"), growing)
	return server, &generations{t: t, version: version, s: source{"app", holdfast.App, server.DSN("node")}}
}

// A set of the tenth generation, most of which nobody has read since the first,
// is the database.
func TestRowsThatStayAreTakenOver(t *testing.T) {
	for _, v := range splicetest.Some(1, splicetest.Chosen()...) {
		t.Run("postgres"+v.Major, func(t *testing.T) {
			t.Parallel()
			server, g := growingNode(t, v.Major)
			if share := g.must(strips); share != 0 {
				t.Errorf("the first set took over %.2f", share)
			}
			for n := range 9 {
				exec1(t, g.s.dsn, fmt.Sprintf(`INSERT INTO events (body) SELECT 'new' || n FROM generate_series(1, 150) n;
					UPDATE contracts SET state = state + 1 WHERE id BETWEEN %d AND %d; DELETE FROM events WHERE id = %d`, n*900, n*900+60, n*100+1))
				if share := g.must(strips); share < 0.35 {
					t.Errorf("generation %d took over %.2f", n+2, share)
				}
			}
			if share := g.must(strips); share < 0.8 {
				t.Errorf("nothing changed, and %.2f were taken over", share)
			}
			if !g.schema {
				t.Error("no row of a system table changed, and pg_dump wrote the schema")
			}
			g.equal(server, "back")
		})
	}
}

// Whatever changes what stored rows mean, or may have changed rows unseen, makes
// the next set read the table, or all.
func TestWhatHasToBeReadIsRead(t *testing.T) {
	// Without autovacuum, whose transactions may have changed something.
	server, g := growingNodeWith(t, "", map[string]string{"autovacuum": "off"})
	restart := func(t *testing.T) {
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	unreadable := func(t *testing.T) {
		if err := os.Remove(filepath.Join(string(g.files), g.s.name, "schema.dump")); err != nil {
			t.Fatal(err)
		}
	}
	change := func(sql string) func(*testing.T) { return func(t *testing.T) { exec1(t, g.s.dsn, sql) } }
	g.must(strips)
	g.touched()
	g.must(strips)
	for _, c := range []struct {
		name   string
		do     func(*testing.T)
		o      postgres.Options
		at, to float64 // the share that is taken over
	}{
		{"nothing", func(*testing.T) {}, strips, 0.8, 1},
		{"a comment", change(`COMMENT ON TABLE events IS 'what happened'`), strips, 0.8, 1},
		{"VACUUM and FREEZE", change(`VACUUM (FREEZE, ANALYZE)`), strips, 0.8, 1},
		{"rows locked", change(`SELECT count(*) FROM (SELECT FROM contracts FOR UPDATE) x`), strips, 0.8, 1},
		{"an update that is rolled back", change(`BEGIN; UPDATE contracts SET state = 9; ROLLBACK`), strips, 0.8, 1},
		{"a schema that cannot be read", unreadable, strips, 0.8, 1},
		{"VACUUM FULL", change(`VACUUM FULL contracts`), strips, 0.4, 0.9},
		{"a column with a constant", change(`ALTER TABLE events ADD level int DEFAULT 7`), strips, 0.1, 0.75},
		{"a label", change(`ALTER TYPE mood RENAME VALUE 'busy' TO 'loud'`), strips, 0.1, 0.75},
		{"a table emptied and filled with the same", change(`BEGIN; CREATE TEMP TABLE x AS TABLE large; TRUNCATE large; INSERT INTO large TABLE x; COMMIT`), strips, 0.3, 0.9},
		{"a restart", restart, strips, 0, 0},
		{"a reading that is too old", func(*testing.T) { time.Sleep(1100 * time.Millisecond) },
			func() postgres.Options { o := strips; o.Reread = time.Second; return o }(), 0, 0},
		{"all by choice", func(*testing.T) {}, func() postgres.Options { o := strips; o.Full = true; return o }(), 0, 0},
		{"and again nothing", func(*testing.T) {}, strips, 0.8, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.do(t)
			if share := g.must(c.o); share < c.at || share > c.to {
				t.Errorf("%.2f were taken over, want %.2f to %.2f", share, c.at, c.to)
			}
			want := strings.Contains(" nothing, VACUUM and FREEZE, rows locked, an update that is rolled back, and again nothing,",
				" "+c.name+",")
			if g.schema != want {
				t.Errorf("the schema was taken over: %v", g.schema)
			}
		})
	}
	g.equal(server, "back")
}

// On a server on which no transaction has ended since, no row is asked about. One that
// was open then, whichever number it had, has everything asked about.
func TestAServerThatStoodStillIsNotAsked(t *testing.T) {
	for _, v := range splicetest.Some(1, splicetest.Chosen()...) {
		t.Run("postgres"+v.Major, func(t *testing.T) {
			t.Parallel()
			server, g := growingNodeWith(t, v.Major, map[string]string{"autovacuum": "off"})
			g.must(strips)
			is := func(when string, want bool) {
				t.Helper()
				share := g.must(strips)
				took := g.part.TakenOver
				if still := took.Unwritten > 0; still != want || share < 0.35 {
					t.Errorf("%s: %d of %d bytes were not asked about", when, took.Unwritten, took.Bytes)
				}
				if want && (took.Unwritten != took.Bytes || !g.schema) {
					t.Errorf("%s: of %d bytes, %d were asked about; schema %t", when, took.Bytes, took.Bytes-took.Unwritten, g.schema)
				}
			}
			is("nothing changed", true)
			exec1(t, g.s.dsn, `ANALYZE`)
			is("after ANALYZE, which writes", false)
			exec1(t, g.s.dsn, `VACUUM`)
			is("after VACUUM, which does not", true)
			exec1(t, g.s.dsn, `DELETE FROM events WHERE id = 60`)
			is("a row was deleted", false)

			open, other := begin(t, g.s.dsn), begin(t, g.s.dsn)
			write(t, open, `INSERT INTO events (body) VALUES ('below')`)
			write(t, other, `INSERT INTO events (body) VALUES ('above'); COMMIT`)
			g.must(strips) // whose snapshot does not see the lower number
			write(t, open, `COMMIT`)
			is("one with a lower number was open", false)
			is("it has ended", true)

			write(t, open, `BEGIN; UPDATE contracts SET state = 9 WHERE id = 7`)
			g.must(strips)
			write(t, open, `COMMIT`)
			is("one with the highest number was open", false)
			g.equal(server, "back")
		})
	}
}

// A server on which nothing was written is not made to begin a session for each lane
// and group.
func TestAServerThatStoodStillIsAskedInFewSessions(t *testing.T) {
	newest := splicetest.Some(1, splicetest.Chosen()...)[0]
	server, g := growingNodeWith(t, newest.Major, map[string]string{"autovacuum": "off", "log_connections": "on"})
	exec1(t, g.s.dsn, `INSERT INTO events (body) SELECT repeat(md5(n::text), 4) FROM generate_series(1, 30000) n;
		INSERT INTO contracts SELECT n, 0, sha256(n::text::bytea) FROM generate_series(20000, 60000) n`)
	o := strips
	o.Lanes, o.Connections, o.SegmentBlocks = 2, 9, 16
	sessions := func() int {
		t.Helper()
		before := strings.Count(server.Log(), "holdfast dump ")
		g.must(o)
		return strings.Count(server.Log(), "holdfast dump ") - before
	}
	if n := sessions(); n < 8 {
		t.Errorf("the first set began %d sessions, want two lanes with three groups each and two more", n)
	}
	if n := sessions(); n > 4 || g.part.TakenOver.Unwritten == 0 {
		t.Errorf("nothing changed, and %d sessions began, with %+v", n, g.part.TakenOver)
	}
	exec1(t, g.s.dsn, `DELETE FROM events WHERE id = 60`)
	if n := sessions(); n < 8 {
		t.Errorf("a row was deleted, and %d sessions began", n)
	}
}

// begin begins a transaction in a session of its own.
func begin(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	write(t, conn, "BEGIN")
	return conn
}

func write(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// A row that changed on the disk without a transaction is found when its turn
// comes: the set is taken again in full, and says so.
func TestAChangeWithoutATransactionIsFound(t *testing.T) {
	server, g := growingNode(t, "")
	g.must(strips)
	path := one[string](t, g.s.dsn, `SELECT current_setting('data_directory') || '/' || pg_relation_filepath('events')`)
	// Behind the server's back, as a failing disk or memory would do it. The server keeps its start time.
	exec1(t, g.s.dsn, `CHECKPOINT`)
	page, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	const was, is = "c4ca4238a0b923820dcc509a6f75849b", "c4ca4238a0b923820dcc509a6f75849c" // md5('1')
	at := strings.Index(string(page), was)
	if at < 0 {
		t.Fatal("the first row is not where it was looked for")
	}
	file, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte(is), int64(at)); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	evict(t, g.s.dsn)
	audit := strips
	audit.Audit = 1
	var heard eventtest.Record
	audit.Events = heard.Hear
	p, err := g.next(audit)
	if err != nil {
		t.Fatal(err)
	}
	if p.Disproof == nil || p.Disproof.Table != `"public"."events"` || p.Disproof.From != 0 || p.TakenOver != nil {
		t.Errorf("disproof %+v, taken over %+v", p.Disproof, p.TakenOver)
	}
	if list := eventtest.Of[postgres.TakenOverDisproved](&heard); len(list) != 1 {
		t.Errorf("heard %v", heard.All())
	}
	g.equal(server, "back")
	if p, err := g.next(audit); err != nil || p.Disproof != nil {
		t.Errorf("the set after that one: %+v, %v", p.Disproof, err)
	}
}

// evict makes the server read its pages from the disk again: other pages take
// their place in its small memory.
func evict(t *testing.T, dsn string) {
	t.Helper()
	exec1(t, dsn, `SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(body), max(state) FROM contracts WHERE id > 0`)
}

// A transaction that had written before the position in the log, and is open when
// the snapshot is taken, makes the position no beginning of what is new, also when
// its number is the highest of all.
func TestOpenTransactionsAreWaitedFor(t *testing.T) {
	_, g := growingNode(t, "")
	o := strips
	o.Settle = 300 * time.Millisecond
	settled := func() bool {
		t.Helper()
		p, err := g.next(o)
		if err != nil {
			t.Fatal(err)
		}
		return p.WAL.Settled
	}
	if !settled() {
		t.Error("nothing is open, and the set says that something was")
	}
	conn, err := pgx.Connect(t.Context(), g.s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO events (body) VALUES ('open')`); err != nil {
		t.Fatal(err)
	}
	if settled() {
		t.Error("a transaction that has written is open, and the set says that all had ended")
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !settled() {
		t.Error("it ended, and the set says that it had not")
	}
}

// summarized are the versions that keep summaries of the log.
func summarized(t *testing.T) (with, without []splicetest.Version) {
	t.Helper()
	for _, v := range splicetest.Chosen() {
		major, err := strconv.Atoi(v.Major)
		if err != nil {
			t.Fatal(err)
		}
		if major >= 17 {
			with = append(with, v)
		} else {
			without = append(without, v)
		}
	}
	return with, without
}

// grow writes to a few strips, of a table that is not in the log too.
func (g *generations) grow() {
	g.t.Helper()
	exec1(g.t, g.s.dsn, `INSERT INTO events (body) SELECT 'new' || n FROM generate_series(1, 150) n;
		UPDATE contracts SET state = state + 1 WHERE id <= 60; DELETE FROM events WHERE id = 100;
		UPDATE large SET body = body || 'x' WHERE id % 10 = 0`)
}

// spared takes a set that may use summaries, and says which share of its bytes
// nobody was asked about; and, where no summary was used, why.
func (g *generations) spared() (share float64, why string) {
	g.t.Helper()
	var heard eventtest.Record
	o := strips
	o.Summaries, o.Events = true, heard.Hear
	if taken := g.must(o); taken < 0.35 {
		g.t.Errorf("%.2f were taken over", taken)
	}
	for _, e := range eventtest.Of[postgres.SummariesUnused](&heard) {
		why += e.Why
	}
	return float64(g.part.TakenOver.Unwritten) / float64(g.part.Bytes), why
}

// With summaries of the log nobody asks about rows of strips that were not written.
// Where the role may not ask for the checkpoint that they need, the rule is asked
// of everything. What comes back is the database either way.
func TestStripsThatNobodyWroteAreSpared(t *testing.T) {
	with, _ := summarized(t)
	for _, v := range with {
		t.Run("postgres"+v.Major, func(t *testing.T) {
			t.Parallel()
			server, g := growingNodeWith(t, v.Major, map[string]string{"summarize_wal": "on"})
			exec1(t, g.s.dsn, `ALTER TABLE large SET UNLOGGED; CREATE ROLE plain LOGIN; GRANT pg_read_all_data TO plain`)
			// Every page is written once, and not in the middle of the test; a summary has
			// all that was written since the checkpoint before.
			exec1(t, g.s.dsn, `VACUUM (FREEZE)`)
			exec1(t, g.s.dsn, `CHECKPOINT`)
			g.must(strips)
			var share float64
			var why string
			for range 4 { // pages with checksums are written once more, for hints that readers leave
				g.grow()
				if share, why = g.spared(); share < 0.15 || share > 0.95 || why != "" {
					t.Errorf("%.2f were spared: %s", share, why)
				}
			}
			if share < 0.5 {
				t.Errorf("in the end %.2f were spared", share)
			}
			g.equal(server, "back")

			owner := g.s.dsn
			g.s.dsn = server.DSNAs("plain", "node")
			if share, why := g.spared(); share != 0 || !strings.Contains(why, `GRANT pg_checkpoint TO "plain";`) {
				t.Errorf("without the right to a checkpoint %.2f were spared: %s", share, why)
			}
			exec1(t, owner, `GRANT pg_checkpoint TO plain`)
			if share, why := g.spared(); share < 0.5 || why != "" {
				t.Errorf("with the right to a checkpoint %.2f were spared: %s", share, why)
			}
			g.s.dsn = owner
			g.equal(server, "again")
		})
	}
}

// A server without summaries is asked by the rule.
func TestSummariesThatAreNotThereAreDoneWithout(t *testing.T) {
	with, without := summarized(t)
	for why, versions := range map[string][]splicetest.Version{
		"summarize_wal is off": with, "from version 17 on": without,
	} {
		for _, v := range versions {
			t.Run("postgres"+v.Major, func(t *testing.T) {
				t.Parallel()
				server, g := growingNode(t, v.Major)
				g.must(strips)
				g.grow()
				if share, said := g.spared(); share != 0 || !strings.Contains(said, why) {
					t.Errorf("%.2f were spared, and it said %q, want %q", share, said, why)
				}
				g.equal(server, "back")
			})
		}
	}
}
