package postgres_test

import (
	"strings"
	"testing"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/internal/splicetest"
)

// elsewhere are schemas whose rows cannot be written, or do not stay, when they
// are loaded in the order in which a dump has them.
var elsewhere = map[string]string{
	"a CHECK that looks into another table": `
		CREATE TABLE zinds (k text PRIMARY KEY);
		CREATE TABLE goods (id int PRIMARY KEY, k text);
		CREATE FUNCTION known_kind(x text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM zinds WHERE k = x)';
		INSERT INTO zinds VALUES ('a'), ('b'); INSERT INTO goods SELECT n, 'a' FROM generate_series(1, 50) n;
		ALTER TABLE goods ADD CONSTRAINT kind_is_known CHECK (known_kind(k));
		COMMENT ON CONSTRAINT kind_is_known ON goods IS 'it''s looked up';`,
	"one that claims to be immutable, of a parent, its partitions and an heir": `
		CREATE TABLE zlast (n int);
		INSERT INTO zlast VALUES (100);
		CREATE FUNCTION low(x int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN x < (SELECT max(n) FROM zlast); END';
		CREATE TABLE parts (n int, CONSTRAINT low CHECK (low(n))) PARTITION BY RANGE (n);
		CREATE TABLE part_a PARTITION OF parts FOR VALUES FROM (0) TO (10);
		CREATE TABLE part_b PARTITION OF parts FOR VALUES FROM (10) TO (20);
		INSERT INTO parts SELECT generate_series(0, 19);
		CREATE TABLE parent (n int, CONSTRAINT low CHECK (low(n)), CONSTRAINT own CHECK (low(n + 1)) NO INHERIT);
		CREATE TABLE heir (m int, CONSTRAINT low CHECK (low(n))) INHERITS (parent);
		INSERT INTO heir VALUES (1, 2);`,
	"a chain within one table": `
		CREATE TABLE blocks (id int PRIMARY KEY, previous int);
		CREATE FUNCTION follows(x int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT x IS NULL OR EXISTS (SELECT FROM blocks WHERE id = x)';
		INSERT INTO blocks VALUES (1, NULL), (2, 1), (3, 2);
		DELETE FROM blocks WHERE id = 1; INSERT INTO blocks VALUES (1, NULL);
		ALTER TABLE blocks ADD CONSTRAINT follows CHECK (follows(previous));`,
	"a domain, and one that an array is made of": `
		CREATE TABLE zinds (k text PRIMARY KEY); INSERT INTO zinds VALUES ('a');
		CREATE FUNCTION known_kind(x text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM zinds WHERE k = x)';
		CREATE FUNCTION fine(x text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT x <> ''''';
		CREATE DOMAIN kind AS text CONSTRAINT known CHECK (known_kind(VALUE));
		CREATE DOMAIN word AS text CONSTRAINT fine CHECK (fine(VALUE));
		CREATE TABLE goods (k kind, words word[]); INSERT INTO goods VALUES ('a', '{x,y}');`,
	"an index and a view over a function without a schema": `
		CREATE SCHEMA app; ALTER DATABASE CURRENT SET search_path = app, public; SET search_path = app, public;
		CREATE TABLE zinds (k text PRIMARY KEY, rank int); INSERT INTO zinds VALUES ('a', 7);
		CREATE FUNCTION rank_of(x text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT rank FROM app.zinds WHERE k = x); END';
		CREATE TABLE goods (k text); INSERT INTO goods VALUES ('a'), ('a');
		CREATE INDEX by_rank ON goods (rank_of(k));
		COMMENT ON INDEX by_rank IS 'of another table';
		CREATE MATERIALIZED VIEW ranked AS SELECT k, rank_of(k) FROM goods;`,
	"an index in a database whose own functions come before Postgres'": `
		CREATE TABLE zinds (k text PRIMARY KEY, rank int); INSERT INTO zinds VALUES ('a', 7);
		CREATE FUNCTION rank_of(x text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT rank FROM public.zinds WHERE k = x); END';
		CREATE FUNCTION lower(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE ''shadowed''; END';
		CREATE TABLE goods (k text); INSERT INTO goods VALUES ('a');
		CREATE INDEX by_rank ON goods (rank_of(k), pg_catalog.lower(k));
		ALTER DATABASE CURRENT SET search_path = public, pg_catalog;`,
	"event triggers that write": `
		CREATE TABLE audit (at int GENERATED ALWAYS AS IDENTITY, tag text);
		CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.audit (tag) VALUES (tg_tag); END';
		CREATE TABLE goods (id int PRIMARY KEY); INSERT INTO goods VALUES (1);
		CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM goods;
		GRANT SELECT ON goods TO PUBLIC;
		CREATE EVENT TRIGGER note_start ON ddl_command_start EXECUTE FUNCTION note();
		CREATE EVENT TRIGGER note_end ON ddl_command_end EXECUTE FUNCTION note();
		COMMENT ON EVENT TRIGGER note_end IS 'who did what';`,
}

// onLogin is such a one of Postgres 17: it writes at every login, and keeps
// everybody else out.
const onLogin = `
	CREATE TABLE logins (who text); CREATE TABLE goods (id int); INSERT INTO goods VALUES (1);
	CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN
		INSERT INTO public.logins VALUES (current_user);
		IF current_setting(''application_name'') LIKE ''holdfast restore%'' THEN RAISE ''not you''; END IF; END';
	CREATE EVENT TRIGGER note ON login EXECUTE FUNCTION note();
	ALTER EVENT TRIGGER note ENABLE ALWAYS;`

// Each of them comes back, and is then as it was for whoever reads it with
// pg_dump: constraints valid, comments in place.
func TestWhatLooksElsewhereComesBack(t *testing.T) {
	version := ""
	if has("17") {
		version = "17"
		elsewhere["a trigger on login"] = onLogin
	}
	server := splicetest.NewServer(t, version)
	for name, schema := range elsewhere {
		t.Run(name, func(t *testing.T) { comesBack(t, server, version, name, schema) })
	}
}

// Before Postgres 17 no session can keep event triggers from running, so they are
// made last; what is theirs to see has to come back on those versions too.
func TestEventTriggersComeBackOnOlderServers(t *testing.T) {
	const which = "event triggers that write"
	for _, v := range splicetest.Chosen() {
		version := v.Major
		if version >= "17" {
			continue // with the others
		}
		t.Run("postgres"+version, func(t *testing.T) {
			t.Parallel()
			comesBack(t, splicetest.NewServer(t, version), version, which, elsewhere[which])
		})
	}
}

// comesBack makes a database of the schema, takes a dump of it, loads that, and
// compares.
func comesBack(t *testing.T, server *splicetest.Server, version, name, schema string) {
	t.Helper()
	db := strings.ReplaceAll(name, " ", "_")[:min(len(name), 24)]
	exec1(t, server.DSN("postgres"), `CREATE DATABASE "`+db+`"`)
	exec1(t, server.DSN(db), strings.ReplaceAll(schema, "CURRENT", `"`+db+`"`))
	s := source{"app", holdfast.App, server.DSN(db)}
	c, files := dump(t, version, s, postgres.Options{})
	if _, err := load(t, version, server.DSN("postgres"), "back "+db, c, files); err != nil {
		t.Fatal(err)
	}
	want, err := splicetest.Fingerprint(t.Context(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	got, err := splicetest.Fingerprint(t.Context(), server.DSN("back "+db))
	if err != nil {
		t.Fatal(err)
	}
	for table := range want {
		if want[table] != got[table] && table != "public.logins" { // which this reading wrote into
			t.Errorf("%s: %s, was %s", table, got[table], want[table])
		}
	}
	schemaOnly := func(dsn string) []string { return plain(t, dsn, "--schema-only") }
	if d := differences(schemaOnly(s.dsn), schemaOnly(server.DSN("back "+db))); len(d) > 0 {
		t.Errorf("pg_dump sees differences:\n%s", strings.Join(d, "\n"))
	}
	const valid = `SELECT coalesce(string_agg(conname || convalidated || coninhcount || conislocal, ' ' ORDER BY conname, conrelid::regclass::text), '')
		FROM pg_constraint WHERE connamespace >= 2200`
	if a, b := one[string](t, s.dsn, valid), one[string](t, server.DSN("back "+db), valid); a != b {
		t.Errorf("constraints: %s, were %s", b, a)
	}
}

// A CHECK that held when its row was written and does not hold any more is named,
// with the way on.
func TestACheckOnTheTimeIsNamed(t *testing.T) {
	server := splicetest.NewServer(t, "")
	exec1(t, server.DSN("postgres"), `CREATE TABLE offers (until timestamptz CONSTRAINT open CHECK (until > now()));
		INSERT INTO offers VALUES (now() + '50ms'); SELECT pg_sleep(0.1)`)
	c, files := dump(t, "", source{"app", holdfast.App, server.DSN("postgres")}, postgres.Options{})
	_, err := load(t, "", server.DSN("postgres"), "back", c, files)
	_, do := holdfast.Advice(err)
	if holdfast.ClassOf(err) != holdfast.NotProven || !strings.Contains(err.Error(), "constraint open on public.offers") ||
		!strings.Contains(do, "--without 'constraint open on public.offers'") {
		t.Errorf("%v\n%s", err, do)
	}
}
