package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/splicetest"
)

// systemLook counts a database's system rows as a capture does, by the horizon of
// the look before it.
func systemLook(t *testing.T, conn *pgx.Conn, horizon string) (schemaReading, string) {
	t.Helper()
	ctx := t.Context()
	r := &run{}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	must(t, err)
	defer func() { _ = tx.Rollback(ctx) }()
	r.common = tx
	_, err = r.readGround(ctx)
	must(t, err)
	if horizon == "" {
		horizon = r.ground.horizon()
	}
	out, err := countSystemRows(ctx, tx, horizon)
	must(t, err)
	out.Program = "pg_dump"
	return out, r.ground.horizon()
}

const schemaOfMany = `
	CREATE ROLE reader; CREATE ROLE writer;
	CREATE TYPE mood AS ENUM ('calm', 'busy'); CREATE DOMAIN words AS text; CREATE TYPE pair AS (a int, b text);
	CREATE TABLE events (id bigserial PRIMARY KEY, kind mood DEFAULT 'calm', body text CHECK (body <> ''), n int);
	CREATE TABLE parts (id int, at date) PARTITION BY RANGE (id);
	CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (10); CREATE TABLE part2 (id int, at date);
	CREATE SEQUENCE counter; CREATE VIEW busy AS SELECT id FROM events WHERE kind = 'busy';
	CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM events;
	CREATE INDEX by_body ON events (body); CREATE UNIQUE INDEX by_n ON events (n);
	CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
	CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE FUNCTION watched() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
	CREATE TRIGGER noting BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION noted();
	CREATE RULE silent AS ON DELETE TO events DO INSTEAD NOTHING;
	CREATE POLICY own ON events USING (n > 0); CREATE STATISTICS linked ON kind, n FROM events;
	CREATE TABLE kept (id int PRIMARY KEY, other int REFERENCES kept);
	CREATE PUBLICATION news FOR TABLE events; CREATE COLLATION plain FROM "C"`

// While the system tables stay the same by the rule, a schema does. Each of these
// changes what pg_dump writes.
func TestWhatChangesASchemaIsSeen(t *testing.T) {
	server, err := splicetest.Start(t.Context(), splicetest.Options{Settings: map[string]string{"fsync": "on"}})
	must(t, err)
	t.Cleanup(func() { _ = server.Close() })
	must(t, (&history{t: t, dsn: server.DSN("postgres")}).exec(`CREATE DATABASE node`))
	conn, err := pgx.Connect(t.Context(), server.DSN("node"))
	must(t, err)
	defer closeConn(conn)
	do := func(sql string) {
		t.Helper()
		must(t, execute(t.Context(), conn, sql))
	}
	do(schemaOfMany)
	was, horizon := systemLook(t, conn, "")
	look := func(what string) bool {
		now, next := systemLook(t, conn, horizon)
		same := now.same(was)
		was, horizon = now, next
		was.young = 0
		if !now.holds() {
			t.Errorf("%s: the system tables could not be read", what)
		}
		return same
	}
	for _, sql := range []string{
		`SELECT 1`, `INSERT INTO events (body, n) SELECT 'x', n FROM generate_series(1, 500) n`, `SELECT nextval('counter')`,
		`UPDATE events SET n = -n`, `ANALYZE`, `REFRESH MATERIALIZED VIEW counted`, `VACUUM (FREEZE)`,
		`BEGIN; ALTER TABLE events ADD gone int; ROLLBACK`, `CREATE DATABASE other`,
		`SELECT lo_create(0)`, `BEGIN; SELECT lo_create(0); COMMIT`,
	} {
		do(sql)
		changes := map[string]bool{`REFRESH MATERIALIZED VIEW counted`: true} // its file: pg_dump runs once more
		if same := look(sql); same == changes[sql] {
			t.Errorf("%s: the schema is called the same: %v", sql, same)
		}
	}
	for _, sql := range []string{
		`ALTER TABLE events ADD late int`, `ALTER TABLE events ALTER late SET DEFAULT 3`, `ALTER TABLE events DROP late`,
		`ALTER TABLE events ALTER n SET STATISTICS 7`, `ALTER TABLE events ALTER body SET STORAGE EXTERNAL`,
		`ALTER TABLE events ALTER n SET (n_distinct = 5)`, `ALTER TABLE events ALTER n SET NOT NULL`,
		`ALTER TABLE events RENAME n TO m`, `ALTER TABLE events RENAME m TO n`, `ALTER TABLE events SET (fillfactor = 70)`,
		`ALTER TABLE events REPLICA IDENTITY FULL`, `ALTER TABLE events CLUSTER ON by_body`, `ALTER TABLE part2 SET UNLOGGED`, `ALTER TABLE part2 SET LOGGED`,
		`ALTER TABLE events ENABLE ROW LEVEL SECURITY`, `ALTER TABLE events FORCE ROW LEVEL SECURITY`,
		`ALTER TABLE events DISABLE TRIGGER noting`, `ALTER TABLE events DISABLE RULE silent`, `ALTER POLICY own ON events USING (n > 1)`,
		`ALTER TABLE events ADD CONSTRAINT small CHECK (n < 1000000) NOT VALID`, `ALTER TABLE events VALIDATE CONSTRAINT small`,
		`ALTER TABLE events RENAME CONSTRAINT small TO little`, `ALTER TABLE kept ALTER CONSTRAINT kept_other_fkey DEFERRABLE`,
		`ALTER TABLE parts ATTACH PARTITION part2 FOR VALUES FROM (10) TO (20)`, `ALTER TABLE parts DETACH PARTITION part2`,
		`ALTER TYPE mood ADD VALUE 'loud'`, `ALTER TYPE mood RENAME VALUE 'loud' TO 'noisy'`, `ALTER TYPE pair ADD ATTRIBUTE c int`,
		`ALTER DOMAIN words ADD CONSTRAINT filled CHECK (VALUE <> '')`, `ALTER DOMAIN words SET DEFAULT 'w'`,
		`ALTER SEQUENCE counter INCREMENT 5`, `ALTER SEQUENCE counter OWNED BY kept.id`, `ALTER VIEW busy SET (security_barrier)`,
		`CREATE OR REPLACE VIEW busy AS SELECT id, body FROM events`, `CREATE OR REPLACE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n + n'`,
		`ALTER FUNCTION twice COST 9`, `ALTER FUNCTION twice SET search_path = public`, `DROP INDEX by_body`, `CREATE INDEX by_body ON events (lower(body))`,
		`ALTER INDEX by_n RENAME TO by_number`, `ALTER STATISTICS linked SET STATISTICS 5`, `DROP STATISTICS linked`,
		`COMMENT ON TABLE events IS 'what happened'`, `COMMENT ON COLUMN events.n IS 'how often'`, `COMMENT ON SCHEMA public IS 'all'`,
		`GRANT SELECT ON events TO reader`, `GRANT UPDATE (n) ON events TO reader`, `REVOKE SELECT ON events FROM reader`,
		`ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader`, `REVOKE EXECUTE ON FUNCTION twice FROM PUBLIC`,
		`ALTER TABLE events OWNER TO writer`, `ALTER ROLE writer RENAME TO author`, `ALTER SCHEMA public OWNER TO author`,
		`CREATE SCHEMA second`, `ALTER TABLE kept SET SCHEMA second`, `DROP TABLE second.kept`, `CREATE EXTENSION pg_trgm`, `DROP EXTENSION pg_trgm`,
		`CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION watched()`, `ALTER EVENT TRIGGER watching DISABLE`, `DROP EVENT TRIGGER watching`,
		`CREATE CAST (mood AS int) WITH INOUT`, `DROP CAST (mood AS int)`, `CREATE OPERATOR ### (FUNCTION = int4pl, LEFTARG = int, RIGHTARG = int)`,
		`CREATE AGGREGATE added (int) (SFUNC = int4pl, STYPE = int)`, `CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple)`,
		`ALTER TEXT SEARCH CONFIGURATION plain DROP MAPPING FOR word`, `DROP COLLATION plain`, `CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal))`,
		`ALTER PUBLICATION news SET (publish = 'insert')`, `DROP PUBLICATION news`, `TRUNCATE events`,
		`SELECT setval(pg_get_serial_sequence('events', 'id'), 1); ALTER TABLE events ALTER id DROP DEFAULT`,
	} {
		do(sql)
		if look(sql) {
			t.Errorf("%s: the schema is called the same", sql)
		}
	}
	do(`CREATE FOREIGN DATA WRAPPER far; CREATE SERVER there FOREIGN DATA WRAPPER far`)
	if now, _ := systemLook(t, conn, horizon); now.holds() {
		t.Error("who is mapped to whom on a foreign server may be read by few, and is said to be known")
	}
}
