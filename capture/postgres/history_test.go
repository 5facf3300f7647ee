package postgres_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/splicetest"
)

// counts is what the rule for unchanged rows asks of a whole table: how many rows
// it has, and how many of them are not below that horizon.
func counts(t *testing.T, dsn, horizon string) string {
	t.Helper()
	return one[string](t, dsn, `SELECT count(*) || ' rows, young ' ||
		count(*) FILTER (WHERE age(xmin) <= age('`+horizon+`'::xid)) FROM ONLY events`)
}

// below is the horizon of a capture that is taken now.
func below(t *testing.T, dsn string) string {
	t.Helper()
	return one[string](t, dsn, `SELECT pg_snapshot_xmin(pg_current_snapshot())::xid::text`)
}

// A data directory is put back to before a set, and its server goes on: the same
// transaction numbers are given to other rows. Counts alone call them unchanged.
func TestADirectoryThatIsPutBackIsReadWhole(t *testing.T) {
	server, g := growingNode(t, "")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	insert := func(what string) {
		exec1(t, g.s.dsn, fmt.Sprintf(`INSERT INTO events (body) SELECT '%s' || n FROM generate_series(1, 100) n`, what))
	}
	before := filepath.Join(t.TempDir(), "before")
	must(server.Stop())
	must(exec.Command("cp", "-a", server.Data(), before).Run()) // with its owner
	must(server.Resume(t.Context()))
	insert("lost")
	horizon := below(t, g.s.dsn)
	g.must(strips)
	seen := counts(t, g.s.dsn, horizon)
	must(server.Stop())
	must(os.RemoveAll(server.Data()))
	must(exec.Command("cp", "-a", before, server.Data()).Run())
	must(server.Resume(t.Context()))
	insert("kept")
	for range 3 { // so that it has given out as many numbers
		exec1(t, g.s.dsn, `SELECT pg_current_xact_id()`)
	}
	if now := counts(t, g.s.dsn, horizon); now != seen {
		t.Errorf("the rule counts %s, and counted %s: this is not the history that deceives it", now, seen)
	}
	if share := g.must(strips); share != 0 {
		t.Errorf("%.2f of another history were taken over", share)
	}
	g.equal(server, "back")
}

// A server crashes right after a set and loses no row that the set saw, though
// the application did not wait for the disk and the server was in no hurry. Its
// start time stays, so that the next set takes over.
func TestACrashLosesNothingThatASetSaw(t *testing.T) {
	server, g := growingNodeWith(t, "", map[string]string{
		"wal_writer_delay": "5s", "wal_writer_flush_after": "0", "autovacuum": "off",
		"shared_buffers":   "32MB", // a page that makes room would take the log with it to the disk
		"full_page_writes": "off",
	})
	exec1(t, g.s.dsn, "CHECKPOINT")
	exec1(t, g.s.dsn, "SELECT pg_switch_wal()") // the log writer writes whole pages: this one stays begun
	insert := func(what, wait string) {
		exec1(t, g.s.dsn, fmt.Sprintf(`SET synchronous_commit = %s;
			INSERT INTO events (body) SELECT '%s' || n FROM generate_series(1, 5) n`, wait, what))
	}
	started := one[string](t, g.s.dsn, "SELECT pg_postmaster_start_time()::text")
	insert("seen", "off")
	g.must(strips) // without its wait for the disk, the next rows would have the numbers of lost ones
	crash(t, server)
	if now := one[string](t, g.s.dsn, "SELECT pg_postmaster_start_time()::text"); now != started {
		t.Fatalf("the server was started again at %s, and not at %s", now, started)
	}
	insert("next", "on")
	if share := g.must(strips); share < 0.5 {
		t.Errorf("%.2f were taken over", share)
	}
	g.equal(server, "back")
}

// crash kills a process of a server, which ends all the others and recovers.
func crash(t *testing.T, server *splicetest.Server) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	const ready = "database system is ready to accept connections"
	before := strings.Count(server.Log(), ready)
	process, err := os.FindProcess(int(conn.PgConn().PID()))
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); strings.Count(server.Log(), ready) == before; {
		if time.Sleep(50 * time.Millisecond); time.Now().After(deadline) {
			t.Fatalf("the server does not recover:\n%s", server.Log())
		}
	}
}

// What a standby shows, another primary may take back: a set of one leaves
// nothing to take over, though the standby goes on as the primary, without a new
// start.
func TestASetOfAStandbyIsNoGround(t *testing.T) {
	server, g := growingNode(t, "")
	g.must(strips)
	standby, err := server.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Close() })
	g.s.dsn = standby.DSN("node")
	for _, what := range []string{"the primary's", "its own"} {
		if share := g.must(strips); share != 0 {
			t.Errorf("the standby took over %.2f from %s set", share, what)
		}
	}
	started := one[string](t, g.s.dsn, "SELECT pg_postmaster_start_time()::text")
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := one[string](t, g.s.dsn, "SELECT pg_postmaster_start_time()::text"); now != started {
		t.Fatalf("the standby was started again at %s, and not at %s", now, started)
	}
	if share := g.must(strips); share != 0 {
		t.Errorf("the new primary took over %.2f of what the standby showed", share)
	}
	if share := g.must(strips); share < 0.8 {
		t.Errorf("the new primary took over %.2f of its own", share)
	}
	g.equal(standby, "back")
}
