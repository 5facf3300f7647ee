package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/event"
	"holdfast/internal/eventtest"
	"holdfast/internal/splicetest"
)

// whenSnapped is a listener that calls back once the snapshot is taken.
func whenSnapped(do func()) event.Listener {
	return func(e event.Event) {
		if _, ok := e.(postgres.SnapshotTaken); ok {
			do()
		}
	}
}

// hooked is a folder that calls back as a file begins to be filled.
type hooked struct {
	folder
	filling func(ctx context.Context, name string)
}

func (h hooked) Put(ctx context.Context, name string, fill func(io.Writer) error) (holdfast.Artifact, error) {
	return h.folder.Put(ctx, name, func(w io.Writer) error {
		return fill(&onFirstWrite{w, func() { h.filling(ctx, name) }})
	})
}

// onFirstWrite calls back when the first bytes have arrived: the statement that
// makes them is running.
type onFirstWrite struct {
	io.Writer
	call func()
}

func (o *onFirstWrite) Write(p []byte) (int, error) {
	if o.call != nil {
		o.call()
		o.call = nil
	}
	return o.Writer.Write(p)
}

// held is a store that takes its time, unless it is told that nobody wants the
// file any more.
func held(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(15 * time.Second):
	}
}

// farm makes a database with two large tables, one of them partitioned, and
// a few small ones.
func farm(t testing.TB, s *splicetest.Server, name string) source {
	t.Helper()
	exec1(t, s.DSN("postgres"), "CREATE DATABASE "+name)
	exec1(t, s.DSN(name), `
		CREATE TABLE a_small (id integer PRIMARY KEY, t text);
		INSERT INTO a_small SELECT n, 'small ' || n FROM generate_series(1, 10) n;
		CREATE TABLE b_small (id integer PRIMARY KEY);
		CREATE TABLE z_small (id integer PRIMARY KEY);
		CREATE TABLE large (id serial PRIMARY KEY, payload text);
		INSERT INTO large (payload) SELECT repeat(md5(n::text), 30) FROM generate_series(1, 1500) n;
		CREATE TABLE parted (id integer, payload text) PARTITION BY RANGE (id);
		CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);
		CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1000) TO (4000);
		INSERT INTO parted SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 3500) n;
		CREATE VIEW looked_at AS SELECT id FROM a_small;
		CREATE SEQUENCE counted; SELECT nextval('counted');
		ANALYZE`)
	return source{name, holdfast.App, s.DSN(name)}
}

// quick are options under which the farm's large tables have many segments and
// nobody waits long.
var quick = postgres.Options{SegmentBlocks: 32, Lanes: 2, WaitLimit: 300 * time.Millisecond, LockWait: time.Second}

func dumper(t testing.TB, s source, options postgres.Options) postgres.Dumper {
	return postgres.Dumper{Address: address(t, s.dsn), Tools: tools(t, ""), Options: options, Facts: facts}
}

func component(s source) holdfast.Component {
	return holdfast.Component{Name: holdfast.ComponentName(s.name), Kind: s.kind}
}

// proveRestores loads a capture next to its source and compares the rows.
func proveRestores(t testing.TB, s source, server *splicetest.Server, c holdfast.Part, files holdfast.Files) {
	t.Helper()
	if _, err := load(t, "", server.DSN("postgres"), s.name+"_restored", c, files); err != nil {
		t.Errorf("restore: %v", err)
	}
}

// nothingLeft says that no session of ours is left on the server within two
// seconds.
func nothingLeft(t testing.TB, server *splicetest.Server) {
	t.Helper()
	const query = `SELECT coalesce(string_agg(format('%s: %s (%s)', pid, application_name, query), '; '), '') FROM pg_stat_activity WHERE application_name ~ '^holdfast'`
	var left string
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if left = one[string](t, server.DSN("postgres"), query); left == "" {
			return
		}
	}
	t.Errorf("sessions are left behind: %s", left)
}

func TestADumpStepsAsideForWhoeverNeedsATable(t *testing.T) {
	server := splicetest.NewServer(t, "")
	for _, c := range []struct{ name, sql, relation string }{
		{"truncated", "TRUNCATE large", "large"},
		{"altered", "ALTER TABLE large ADD COLUMN more integer DEFAULT 7", "large"},
		{"dropped", "DROP TABLE parted_2", "parted_2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := farm(t, server, c.name)
			var once sync.Once
			waited := make(chan time.Duration, 1)
			out := hooked{folder(t.TempDir()), func(ctx context.Context, name string) {
				if !strings.Contains(name, "."+c.relation+"/") {
					return
				}
				once.Do(func() {
					go func() {
						began := time.Now()
						exec1(t, s.dsn, c.sql)
						waited <- time.Since(began)
					}()
					held(ctx) // a slow store: without giving way the lock would be held as long
				})
			}}
			var heard eventtest.Record
			o := quick
			o.Events = heard.Hear
			capture, err := dumper(t, s, o).Capture(t.Context(), component(s), clock(), out, holdfast.Earlier{})
			if err != nil {
				t.Fatal(err)
			}
			gave := eventtest.Of[postgres.GaveWay](&heard)
			if len(gave) != 1 || gave[0].Relation != "public."+c.relation || gave[0].PID == 0 || gave[0].Try != 1 ||
				gave[0].Pause == 0 {
				t.Errorf("giving way is reported as %+v", gave)
			}
			// A DROP of a partition may wait for its parent first.
			behind := eventtest.Of[postgres.SessionWaits](&heard)
			last := len(behind) - 1
			if last < 0 || last > 0 && c.name != "dropped" || behind[last].PID != gave[0].PID || behind[last].Waited > gave[0].Waited ||
				behind[last].Relation != "public."+c.relation || behind[0].PID != gave[0].PID {
				t.Errorf("waiting is reported as %+v, then giving way as %+v", behind, gave)
			}
			if took := <-waited; took < quick.WaitLimit || took > quick.WaitLimit+1500*time.Millisecond {
				t.Errorf("%s took %v, the limit is %v", c.sql, took, quick.WaitLimit)
			}
			if len(capture.Waits) != 1 || capture.Waits[0].Relation != "public."+c.relation ||
				capture.Waits[0].Mode != "AccessExclusiveLock" || capture.Waits[0].PID == 0 ||
				capture.Waits[0].Waited < quick.WaitLimit {
				t.Errorf("waits caused: %+v", capture.Waits)
			}
			proveRestores(t, s, server, part(capture), out)
		})
	}
}

func TestADumpThatAlwaysHasToStepAsideIsBusy(t *testing.T) {
	splicetest.OnlyLong(t)
	server := splicetest.NewServer(t, "")
	s := farm(t, server, "busy")
	var wg sync.WaitGroup
	defer wg.Wait()
	out := hooked{folder(t.TempDir()), func(ctx context.Context, name string) {
		if strings.Contains(name, ".large/") {
			wg.Go(func() { exec1(t, s.dsn, "BEGIN; LOCK TABLE large; COMMIT") })
			held(ctx)
		}
	}}
	o := quick
	o.WaitLimit = 100 * time.Millisecond
	var heard eventtest.Record
	o.Events = heard.Hear
	_, err := dumper(t, s, o).Capture(t.Context(), component(s), clock(), out, holdfast.Earlier{})
	if holdfast.ClassOf(err) != holdfast.Busy || !strings.Contains(err.Error(), "gave way 4 times") ||
		!strings.Contains(err.Error(), "on public.large") {
		t.Errorf("%v", err)
	}
	if gave := eventtest.Of[postgres.GaveWay](&heard); len(gave) != 4 || gave[2].Pause != 6*time.Second ||
		gave[3].Pause != 0 {
		t.Errorf("reported: %+v", gave)
	}
	nothingLeft(t, server)
}

func TestOthersWaitsAreNotOurs(t *testing.T) {
	splicetest.OnlyLong(t)
	server := splicetest.NewServer(t, "")
	s := farm(t, server, "indexed")
	writer := connect(t, s.dsn)
	defer writer.Close(context.Background())
	if _, err := writer.Exec(t.Context(), "BEGIN; UPDATE large SET payload = '' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	var wg sync.WaitGroup
	out := hooked{folder(t.TempDir()), func(_ context.Context, name string) {
		if strings.Contains(name, ".large/") {
			once.Do(func() {
				wg.Go(func() { exec1(t, s.dsn, "CREATE INDEX ON large (payload)") }) // waits for the writer, not for us
				time.Sleep(3 * quick.WaitLimit)
			})
		}
	}}
	capture, err := dumper(t, s, quick).Capture(t.Context(), component(s), clock(), out, holdfast.Earlier{})
	if err != nil || len(capture.Waits) > 0 {
		t.Errorf("%v, waits %+v", err, capture.Waits)
	}
	if _, err := writer.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

func TestATableThatSomebodyHoldsIsNamedWithItsHolder(t *testing.T) {
	server := splicetest.NewServer(t, "")
	s := farm(t, server, "held")
	holder := connect(t, s.dsn)
	defer holder.Close(context.Background())
	if _, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE b_small"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var heard eventtest.Record
	o := quick
	o.Events = heard.Hear
	_, err := dumper(t, s, o).Capture(t.Context(), component(s), clock(), folder(t.TempDir()), holdfast.Earlier{})
	_, do := holdfast.Advice(err)
	if holdfast.ClassOf(err) != holdfast.Busy ||
		!strings.Contains(do, fmt.Sprintf("session %d on public.b_small", holder.PgConn().PID())) {
		t.Errorf("%v; %s", err, do)
	}
	retried := eventtest.Of[postgres.LocksRetried](&heard)
	if len(retried) < 2 || retried[0].Try != 1 || retried[0].Err == nil || retried[1].Pause != 2*retried[0].Pause {
		t.Errorf("reported: %+v", retried)
	}
	if took := time.Since(began); took < quick.LockWait || took > quick.LockWait+6*time.Second {
		t.Errorf("it tried for %v, the limit is %v", took, quick.LockWait)
	}
	nothingLeft(t, server)
}

// inTheGap runs a dump of s that is held between reading the catalogue and
// having its locks while change runs.
func inTheGap(t *testing.T, s source, change string) (holdfast.Part, folder, error) {
	t.Helper()
	holder := connect(t, s.dsn)
	defer holder.Close(context.Background())
	if _, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE a_small"); err != nil {
		t.Fatal(err)
	}
	o := quick
	o.WaitLimit, o.LockWait = 10*time.Second, 20*time.Second // time enough in the queue
	out := folder(t.TempDir())
	type result struct {
		c   holdfast.Part
		err error
	}
	done := make(chan result, 1)
	go func() {
		c, err := dumper(t, s, o).Capture(t.Context(), component(s), clock(), out, holdfast.Earlier{})
		if err != nil {
			done <- result{err: err}
			return
		}
		done <- result{part(c), nil}
	}()
	for one[int](t, s.dsn, `SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessShareLock'`) == 0 {
		select {
		case r := <-done:
			t.Fatalf("it did not wait: %v", r.err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	exec1(t, s.dsn, change)
	if _, err := holder.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	r := <-done
	return r.c, out, r.err
}

func TestTablesThatChangeBetweenCatalogueAndSnapshot(t *testing.T) {
	server := splicetest.NewServer(t, "")
	for _, c := range splicetest.Some(3, []struct{ name, sql string }{
		{"one_more", "CREATE TABLE new_one (id serial); INSERT INTO new_one DEFAULT VALUES"},
		{"one_less", "DROP TABLE z_small"},
		{"other_columns", "ALTER TABLE large ADD COLUMN more integer DEFAULT 7, DROP COLUMN payload"},
		{"emptied", "TRUNCATE large"},
		{"renamed", "ALTER TABLE z_small RENAME TO y_small"},
		{"replaced",
			"DROP TABLE z_small; CREATE TABLE z_small (id integer PRIMARY KEY); INSERT INTO z_small VALUES (1)"},
		{"grown", "INSERT INTO large (payload) SELECT repeat('x', 900) FROM generate_series(1, 1000)"},
	}...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := farm(t, server, c.name)
			capture, files, err := inTheGap(t, s, c.sql)
			if err != nil {
				t.Fatal(err)
			}
			proveRestores(t, s, server, capture, files)
			a, err := splicetest.Fingerprint(t.Context(), s.dsn)
			if err != nil {
				t.Fatal(err)
			}
			b, err := splicetest.Fingerprint(t.Context(), server.DSN(s.name+"_restored"))
			if err != nil {
				t.Fatal(err)
			}
			for name := range a {
				if a[name] != b[name] {
					t.Errorf("%s: %s in the original, %s in the copy", name, a[name], b[name])
				}
			}
			if len(a) != len(b) {
				t.Errorf("%d relations and %d", len(a), len(b))
			}
		})
	}
}

func TestTheSchemaMayChangeRightAfterTheSnapshot(t *testing.T) {
	server := splicetest.NewServer(t, "")
	for _, c := range splicetest.Some(3, []struct{ name, sql string }{
		{"table_added", "CREATE TABLE too_late (id serial PRIMARY KEY); INSERT INTO too_late DEFAULT VALUES"},
		{"sequence_added", "CREATE SEQUENCE too_late"},
		{"sequence_dropped", "DROP SEQUENCE counted"},
		{"view_dropped", "DROP VIEW looked_at"},
		{"partition_added", "CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM (4000) TO (5000)"},
		{"function_added", "CREATE FUNCTION too_late() RETURNS integer LANGUAGE sql AS 'SELECT 1'"},
	}...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := farm(t, server, c.name)
			o := quick
			var once sync.Once
			o.Events = whenSnapped(func() { once.Do(func() { exec1(t, s.dsn, c.sql) }) })
			out := folder(t.TempDir())
			capture, err := dumper(t, s, o).Capture(t.Context(), component(s), clock(), out, holdfast.Earlier{})
			if err != nil {
				t.Fatal(err)
			}
			proveRestores(t, s, server, part(capture), out)
		})
	}
}

func TestLocksGoBackAsSoonAsTheirTablesAreDone(t *testing.T) {
	server := splicetest.NewServer(t, "")
	s := farm(t, server, "leases")
	const locked = `SELECT coalesce(string_agg(DISTINCT relation::regclass::text, ' ' ORDER BY relation::regclass::text), '')
		FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation
		WHERE a.application_name ~ '^holdfast' AND c.relnamespace = 'public'::regnamespace AND l.mode = 'AccessShareLock' AND c.relkind = 'r'`
	for _, c := range []struct {
		connections int
		held        string // while the largest is read
	}{{0, "large parted_1 parted_2"}, {16, "parted_2"}} {
		locksGoBack(t, s, c.connections, c.held, locked)
	}
	nothingLeft(t, server)
}

// locksGoBack captures with so many connections. While the largest table is read,
// only those are locked.
func locksGoBack(t *testing.T, s source, connections int, held, locked string) {
	t.Helper()
	var atSnapshot string
	o := quick
	o.Connections = connections
	o.Events = whenSnapped(func() { atSnapshot = one[string](t, s.dsn, locked) })
	var once sync.Once
	out := hooked{folder(t.TempDir()), func(_ context.Context, name string) {
		if !strings.Contains(name, ".parted_2/") { // the largest
			return
		}
		once.Do(func() {
			var now string
			for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				if now = one[string](t, s.dsn, locked); now == held {
					return
				}
			}
			t.Errorf("with %d connections: while parted_2 is read, locks are held on %s; want %s", connections, now, held)
		})
	}}
	if _, err := dumper(t, s, o).Capture(t.Context(), component(s), clock(), out, holdfast.Earlier{}); err != nil {
		t.Fatal(err)
	}
	if want := "a_small b_small large parted_1 parted_2 z_small"; atSnapshot != want {
		t.Errorf("at the snapshot locks were held on %s; every table is %s", atSnapshot, want)
	}
}

func TestACancelledDumpLetsGo(t *testing.T) {
	server := splicetest.NewServer(t, "")
	s := farm(t, server, "cancelled")
	for _, at := range []string{"schema.dump", ".a_small/", ".parted_2/"} {
		ctx, cancel := context.WithCancel(t.Context())
		var once sync.Once // several strips of a table may begin at the same time
		var cancelled time.Time
		out := hooked{folder(t.TempDir()), func(_ context.Context, name string) {
			if strings.Contains(name, at) {
				once.Do(func() { cancelled = time.Now(); cancel() })
			}
		}}
		_, err := dumper(t, s, quick).Capture(ctx, component(s), clock(), out, holdfast.Earlier{})
		if !errors.Is(err, context.Canceled) || holdfast.ClassOf(err) != holdfast.Interrupted {
			t.Errorf("cancelled at %s: %v", at, err)
		}
		nothingLeft(t, server)
		if took := time.Since(cancelled); took > 2*time.Second {
			t.Errorf("cancelled at %s: it took %v to let go", at, took)
		}
		cancel()
	}
}

func TestAFailingStoreFailsTheDumpInItsOwnWords(t *testing.T) {
	server := splicetest.NewServer(t, "")
	s := farm(t, server, "store")
	for _, at := range []string{"schema.dump", "globals.sql", ".a_small/", ".large/"} {
		_, err := dumper(t, s, quick).Capture(t.Context(), component(s), clock(), failing{folder(t.TempDir()), at}, holdfast.Earlier{})
		if !errors.Is(err, errStore) || holdfast.ClassOf(err) != holdfast.Failed ||
			strings.Contains(fmt.Sprint(advice(err)), "connection") {
			t.Errorf("the store fails at %s: %v", at, err)
		}
		nothingLeft(t, server)
	}
}

var errStore = errors.New("no space left in the store")

// failing is a folder that is full by the time it is given a certain file.
type failing struct {
	folder
	at string
}

func (f failing) Put(ctx context.Context, name string, fill func(io.Writer) error) (holdfast.Artifact, error) {
	if !strings.Contains(name, f.at) {
		return f.folder.Put(ctx, name, fill)
	}
	return holdfast.Artifact{}, fill(failingWriter{})
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errStore }

func advice(err error) string {
	why, do := holdfast.Advice(err)
	return why + " " + do
}

func TestALookNamesWhoKeepsATableLocked(t *testing.T) {
	t.Parallel()
	server := splicetest.NewServer(t, "")
	s := farm(t, server, "farm")
	holder, err := pgx.Connect(t.Context(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.Background())
	if _, err := holder.Exec(t.Context(),
		`SET application_name = 'migration'; BEGIN; LOCK TABLE a_small`); err != nil {
		t.Fatal(err)
	}
	_, err = postgres.Dumper{
		Address: address(t, s.dsn),
		Tools:   tools(t, ""),
	}.Look(t.Context(), holdfast.Component{Name: "farm", Kind: holdfast.App})
	if holdfast.ClassOf(err) != holdfast.Busy {
		t.Fatalf("a locked table: %v", err)
	}
	for _, want := range []string{fmt.Sprintf("session %d on public.a_small", holder.PgConn().PID()),
		"application migration", "user postgres", "query since 20", "idle in transaction", "pg_terminate_backend"} {
		if !strings.Contains(advice(err), want) {
			t.Errorf("%q is not said: %s", want, advice(err))
		}
	}
}
