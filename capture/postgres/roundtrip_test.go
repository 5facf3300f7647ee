package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/content"
	"holdfast/internal/splicetest"
	"holdfast/target"
)

// tools are the newest client programs at hand; pg_dump refuses a server that
// is newer than itself.
func tools(t testing.TB, major string) postgres.Tools {
	t.Helper()
	dir := os.Getenv("HOLDFAST_TEST_PG_TOOLS")
	if dir == "" && slices.Contains([]string{"16", "17", "18"}, major) {
		t.Skipf("needs HOLDFAST_TEST_PG_TOOLS, a directory with client programs of Postgres 18, for a server "+
			"of version %s", major)
	}
	return postgres.Tools{Dir: dir}
}

// program is the path of a client program at hand.
func program(t testing.TB, name string) string {
	t.Helper()
	if dir := os.Getenv("HOLDFAST_TEST_PG_TOOLS"); dir != "" {
		return dir + "/" + name
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs HOLDFAST_TEST_PG_TOOLS, or %s in PATH", name)
	}
	return path
}

// has says which server versions there are.
func has(versions ...string) bool {
	for _, v := range versions {
		if _, err := splicetest.FindVersion(v); err != nil {
			return false
		}
	}
	return true
}

// source is one database to dump.
type source struct {
	name string
	kind holdfast.Kind
	dsn  string
}

// menagerie makes a server with a database of every sort: a node's, an
// application's, and one with whatever else Postgres can hold.
func menagerie(t testing.TB, version string) (*splicetest.Server, []source) {
	t.Helper()
	node := splicetest.NewNode(t, splicetest.NodeOptions{Version: version, App: true})
	s := node.Participant
	exec1(t, s.DSN("postgres"), `CREATE DATABASE zoo`)
	if err := splicetest.Zoo(t.Context(), s.DSN("zoo")); err != nil {
		t.Fatal(err)
	}
	exec1(t, s.DSN("zoo"), more)
	return s, []source{
		{"participant", holdfast.Participant, node.ParticipantDSN()},
		{"validator", holdfast.Validator, node.ValidatorDSN()},
		{"app", holdfast.App, node.AppDSN()},
		{"zoo", holdfast.App, s.DSN("zoo")},
	}
}

// more is what the zoo does not have: settings of the database itself, a table
// cut into segments whose rows were updated and deleted, and names that only
// just fit.
const more = `
ALTER DATABASE zoo SET search_path = zoo, "Zoo 2. ""quoted""-ñ", public;
ALTER DATABASE zoo SET my.text = E'two\nlines, a quote '' and a backslash \\';
ALTER DATABASE zoo SET default_transaction_read_only = on;
ALTER DATABASE zoo SET statement_timeout = '1min';
SET default_transaction_read_only = off;
CREATE TABLE zoo.large (id integer PRIMARY KEY, payload bytea, words text);
INSERT INTO zoo.large SELECT n, sha512(n::text::bytea), repeat(md5(n::text), 10) FROM generate_series(1, 12000) n;
DELETE FROM zoo.large WHERE id % 7 = 0;
UPDATE zoo.large SET words = 'short' WHERE id % 11 = 0;
CREATE SCHEMA "` + longName + `";
CREATE TABLE "` + longName + `"."` + longName + `" (a integer);
INSERT INTO "` + longName + `"."` + longName + `" VALUES (1);
CREATE TABLE "` + longName + `"."` + longTwin + `" (a integer);
INSERT INTO "` + longName + `"."` + longTwin + `" VALUES (2);
`

const (
	longName = "ééééééééééééééééééééééééééééééé" // 62 bytes of the 63 a name may have
	longTwin = "éééééééééééééééééééééééééééééée"
)

func exec1(t testing.TB, dsn, sql string) {
	t.Helper()
	conn := connect(t, dsn)
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%.200s: %v", sql, err)
	}
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// one returns the single value that a query answers.
func one[T any](t testing.TB, dsn, query string, args ...any) T {
	t.Helper()
	conn := connect(t, dsn)
	defer conn.Close(context.Background())
	var v T
	if err := conn.QueryRow(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// plain is pg_dump's own plain text of a database, as sorted lines, without
// what differs between two dumps of one database.
func plain(t testing.TB, dsn string, options ...string) []string {
	t.Helper()
	cmd := exec.Command(program(t, "pg_dump"), append(options, "--format=plain", "--no-password", dsn)...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pg_dump: %v: %s", err, complaint.String())
	}
	var lines []string
	for _, line := range strings.Split(string(out), "\n") {
		if !noise(line) {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// piped copies a database the plain way, pg_dump into psql: what Postgres's own
// tools make of it, even where they write an expression in another form than
// it was given.
func piped(t testing.TB, dsn string, to *splicetest.Server, name string) string {
	t.Helper()
	ident := pgx.Identifier{name}.Sanitize()
	exec1(t, to.DSN("postgres"), "CREATE DATABASE "+ident+" TEMPLATE template0")
	write := exec.Command(program(t, "pg_dump"), "--format=plain", "--no-password", dsn)
	read := exec.Command(program(t, "psql"), "--quiet", "--no-psqlrc", "--output=/dev/null", "--dbname="+to.DSN(name))
	var complaint bytes.Buffer
	write.Stderr = &complaint
	var err error
	if read.Stdin, err = write.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := write.Start(); err != nil {
		t.Fatal(err)
	}
	out, err := read.CombinedOutput()
	if err := errors.Join(err, write.Wait()); err != nil {
		t.Fatalf("pg_dump into psql: %v: %s%s", err, complaint.String(), out)
	}
	return to.DSN(name)
}

func noise(line string) bool {
	return line == "" || strings.HasPrefix(line, `\restrict `) || strings.HasPrefix(line, `\unrestrict `) ||
		strings.HasPrefix(line, "-- Dumped ")
}

// differences lists what only one of the two has, a few of each.
func differences(a, b []string) []string {
	count := map[string]int{}
	for _, line := range a {
		count[line]++
	}
	for _, line := range b {
		count[line]--
	}
	var out []string
	for _, line := range slices.Sorted(maps.Keys(count)) {
		switch n := count[line]; {
		case n > 0:
			out = append(out, fmt.Sprintf("only in the plain copy: %.300s", line))
		case n < 0:
			out = append(out, fmt.Sprintf("only in ours: %.300s", line))
		}
		if len(out) == 20 {
			break
		}
	}
	return out
}

func dump(t testing.TB, major string, s source, options postgres.Options) (holdfast.Part, folder) {
	t.Helper()
	out := folder(t.TempDir())
	d := postgres.Dumper{Address: address(t, s.dsn), Tools: tools(t, major), Options: options, Facts: facts}
	c, err := d.Capture(t.Context(), holdfast.Component{
		Name: holdfast.ComponentName(s.name),
		Kind: s.kind,
	}, clock(), out, holdfast.Earlier{})
	if err != nil {
		t.Fatalf("dump %s: %v", s.name, err)
	}
	return part(c), out
}

// part is the one component that a dump stands for.
func part(c holdfast.Capture) holdfast.Part {
	return holdfast.Part{Captured: c.Components[0], Capture: c}
}

// rowsOf are what a dump holds.
func rowsOf(p holdfast.Part) content.Rows { return p.Content.(content.Rows) }

// load restores beside, into a database of that name on the server.
func load(
	t testing.TB, major, server, name string, c holdfast.Part, files holdfast.Files,
) (target.Compatibility, error) {
	t.Helper()
	return loadWith(t, major, server, name, c, files, postgres.LoadOptions{})
}

func loadWith(
	t testing.TB, major, server, name string, c holdfast.Part, files holdfast.Files, o postgres.LoadOptions,
) (target.Compatibility, error) {
	t.Helper()
	l := postgres.Loader{Address: address(t, server), Tools: tools(t, major), Facts: facts, Options: o}
	plan, err := l.Survey(t.Context(), c)
	if err != nil {
		return plan, err
	}
	if err := target.Refuse(plan.Differences); err != nil {
		return plan, err
	}
	if err := l.Create(t.Context(), name, c); err != nil {
		return plan, err
	}
	if _, err := l.Load(t.Context(), name, c, plan, files); err != nil {
		return plan, err
	}
	open(t, server, name)
	return plan, nil
}

// open lets everybody into a database that a Loader has closed.
func open(t testing.TB, server, name string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), "SET default_transaction_read_only = off"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(),
		"ALTER DATABASE "+pgx.Identifier{name}.Sanitize()+" ALLOW_CONNECTIONS true"); err != nil {
		t.Fatal(err)
	}
}

func TestRestoredDatabaseEqualsTheOriginal(t *testing.T) {
	splicetest.EachVersion(t, func(t *testing.T, version string) {
		t.Parallel()
		tools(t, version)
		server, sources := menagerie(t, version)
		for _, s := range sources {
			t.Run(s.name, func(t *testing.T) { roundTrip(t, version, s, version, server) })
		}
	})
}

func TestRestoreIntoANewerMajor(t *testing.T) {
	for _, way := range splicetest.Some(1, [][2]string{{"14", "18"}, {"15", "17"}}...) {
		from, to := way[0], way[1]
		t.Run(from+" to "+to, func(t *testing.T) {
			if !has(from, to) {
				t.Skipf("needs HOLDFAST_TEST_PG with servers of versions %s and %s", from, to)
			}
			t.Parallel()
			_, sources := menagerie(t, from)
			exec1(t, sources[3].dsn,
				`BEGIN READ WRITE; ALTER TABLE zoo.toasted ALTER COLUMN lz4_value SET COMPRESSION DEFAULT; COMMIT`)
			fresh := splicetest.NewServer(t, to)
			exec1(t, fresh.DSN("postgres"), `CREATE ROLE cnadmin SUPERUSER LOGIN; CREATE ROLE "zoo reader"`)
			for _, s := range sources {
				t.Run(s.name, func(t *testing.T) { roundTrip(t, from, s, to, fresh) })
			}
		})
	}
}

func roundTrip(t *testing.T, from string, s source, to string, server *splicetest.Server) {
	c, files := dump(t, from, s, postgres.Options{SegmentBlocks: 8})
	cut := 0
	for _, table := range rowsOf(c).Tables {
		if len(table.Segments) > 1 {
			cut++
		}
	}
	if s.name == "participant" || s.name == "zoo" {
		if cut == 0 {
			t.Errorf("no table of %s was cut into segments", s.name)
		}
	}
	name := "restored " + s.name
	plan, err := load(t, to, server.DSN("postgres"), name, c, files)
	if err != nil {
		t.Fatal(err)
	}
	if !plan.KeepOwners {
		t.Errorf("owners were not kept: %v are missing", plan.MissingRoles)
	}
	copied := server.DSN(name)
	if d := differences(plain(t, piped(t, s.dsn, server, "piped "+s.name)), plain(t, copied)); len(d) > 0 {
		t.Errorf("pg_dump sees differences:\n%s", strings.Join(d, "\n"))
	}
	a, err := splicetest.Fingerprint(t.Context(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	b, err := splicetest.Fingerprint(t.Context(), copied)
	if err != nil {
		t.Fatal(err)
	}
	for name := range a {
		if a[name] != b[name] {
			t.Errorf("%s: %s in the original, %s in the copy", name, a[name], b[name])
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d relations in the original, %d in the copy", len(a), len(b))
	}
	const populated = `SELECT coalesce(string_agg(oid::regclass::text, ' ' ORDER BY oid::regclass::text COLLATE "C"), '') FROM pg_class WHERE relkind = 'm' AND relispopulated`
	if a, b := one[string](t, s.dsn, populated), one[string](t, copied, populated); a != b {
		t.Errorf("populated materialized views: %q and %q", a, b)
	}
	// A column that nobody has looked at yet has a planner without eyes.
	const unanalyzed = `SELECT coalesce(string_agg(c.oid::regclass::text, ' '), '') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relnatts > 0
		  AND pg_relation_size(c.oid) > 0 AND c.reltuples <= 0`
	if names := one[string](t, copied, unanalyzed); names != "" {
		t.Errorf("not analyzed: %s", names)
	}
	const settings = `SELECT coalesce(array_to_string(setconfig, '; '), '') FROM pg_database d LEFT JOIN pg_db_role_setting s ON s.setdatabase = d.oid AND s.setrole = 0 WHERE datname = current_database()`
	if a, b := one[string](t, s.dsn, settings), one[string](t, copied, settings); a != b {
		t.Errorf("settings: %q and %q", a, b)
	}
	const owner = `SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()`
	if a, b := one[string](t, s.dsn, owner), one[string](t, copied, owner); a != b {
		t.Errorf("owner: %q and %q", a, b)
	}
}
