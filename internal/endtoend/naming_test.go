package endtoend

import (
	"encoding/json"
	"strings"
	"testing"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/restore"
	"holdfast/step"
)

// cronServer is one with pg_cron for the database orders.
func cronServer(t *testing.T) *splicetest.Server {
	return splicetest.NewServerWith(t, splicetest.Options{Settings: map[string]string{
		"shared_preload_libraries": "pg_cron", "cron.database_name": "orders",
	}})
}

// jobs are those of pg_cron, and the number that the last one got.
func jobs(t *testing.T, s *splicetest.Server) string {
	t.Helper()
	return query[string](t, s.DSN("orders"), `SELECT string_agg(jobid || ' ' || jobname || ' ' || database, ', ' ORDER BY jobid)
		|| '; ' || (SELECT last_value || ' ' || is_called FROM cron.jobid_seq) FROM cron.job`)
}

// A database with an extension that is bound to the database's name is proven,
// comes back where the name is free, and says how to free it where it is not.
func TestAnExtensionThatIsBoundToTheDatabasesName(t *testing.T) {
	server := cronServer(t)
	execute(t, server.DSN("postgres"), `CREATE DATABASE orders`)
	execute(t, server.DSN("orders"), `CREATE TABLE o AS SELECT generate_series(1, 100) AS id; CREATE EXTENSION pg_cron;
		SELECT cron.schedule('one', '0 3 1 1 *', 'VACUUM'), cron.schedule('two', '0 4 1 1 *', 'VACUUM');
		SELECT cron.unschedule('two'); SELECT cron.schedule('three', '0 5 1 1 *', 'VACUUM');
		GRANT USAGE ON SCHEMA cron TO pg_monitor;
		GRANT SELECT ON cron.job_run_details TO pg_monitor; GRANT EXECUTE ON FUNCTION cron.unschedule(bigint) TO pg_monitor`)
	const want = "1 one orders, 3 three orders; 3 true"
	p := apps(t, server, "postgres", "orders")
	set, err := p.rehearsing(t)
	if err != nil || set.State != holdfast.Proven {
		t.Fatalf("the set is %s: %v", set.State, err)
	}
	part, _ := set.Part("orders")
	if f := part.Rehearsal.Finding(); f.Verdict != holdfast.Holds || !strings.Contains(f.Evidence, "pg_cron is made only in") {
		t.Errorf("the rehearsal says %s: %s", f.Verdict, f.Evidence)
	}

	// On the server that it is of, the name is taken, until the operator frees it.
	_, err = p.restore(t, set.ID, restore.Options{})
	says(t, err, holdfast.Refused, "extension pg_cron", "the very name orders")
	_, do := holdfast.Advice(err)
	p.without = []string{"extension pg_cron"}
	if _, err := p.restore(t, set.ID, restore.Options{OnlyProve: true}); err != nil {
		t.Errorf("without the extension: %v", err)
	}
	p.without = nil
	execute(t, server.DSN("orders"), `INSERT INTO o VALUES (101)`)
	statements, _, _ := strings.Cut(do, " (an undo")
	for _, s := range strings.SplitAfter(statements, ";") {
		execute(t, server.DSN("postgres"), s)
	}
	cameBack := func(s *splicetest.Server) {
		t.Helper()
		p.mustRestore(t, set.ID, restore.Options{})
		if got := jobs(t, s); got != want {
			t.Errorf("the jobs are %q, want %q", got, want)
		}
		if got := query[int](t, s.DSN("orders"), `SELECT cron.schedule('four', '0 6 1 1 *', 'VACUUM')`); got != 4 {
			t.Errorf("the next job has number %d", got)
		}
	}
	cameBack(server)
	execute(t, server.DSN("postgres"), `ALTER DATABASE orders ALLOW_CONNECTIONS false`)
	execute(t, server.DSN("postgres"), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'orders'`)
	if _, err := p.undo(t); err != nil {
		t.Fatalf("undo: %v", err)
	}
	if got := query[int](t, server.DSN("orders"), `SELECT count(*)::int FROM o`); got != 101 {
		t.Errorf("the database that was put back has %d rows", got)
	}

	// On another server nobody has to do anything, not even where an earlier run was
	// killed while the new database had the name.
	other := cronServer(t)
	p.Node.Addresses["orders"] = target(t, other.DSN("orders"))
	label, _ := json.Marshal(step.Label{Role: step.Naming, Database: "orders", Component: "orders", Set: set.ID})
	execute(t, other.DSN("postgres"), `CREATE DATABASE orders`)
	execute(t, other.DSN("postgres"), `COMMENT ON DATABASE orders IS '`+string(label)+`'`)
	if halves, err := p.Node.Halves(t.Context()); err != nil || len(halves) != 1 {
		t.Errorf("a backup would take it for the node's: %v, %v", halves, err)
	}
	if left := p.leftovers(t); len(left) != 1 || left[0] != "orders" {
		t.Errorf("left are %v", left)
	}
	cameBack(other)
	if left := databasesOf(t, other); len(left) != 1 {
		t.Errorf("there are databases %v", left)
	}

	// A server that was set up for another database says so before anything is built.
	execute(t, other.DSN("postgres"), `ALTER DATABASE orders ALLOW_CONNECTIONS false`)
	p.Node.Addresses["orders"] = target(t, other.DSN("sales"))
	_, err = p.restore(t, set.ID, restore.Options{})
	says(t, err, holdfast.Refused, "only in database orders, which cron.database_name names")
}
