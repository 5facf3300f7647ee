package endtoend

// schema is one animal of the zoo of schemas: what pg_dump writes, and what
// Postgres says to it in a restore.
type schema struct {
	name string
	sql  string // made in a schema of that name, which is on the search_path
	// refused is the object that a restore would stop at; "" where the schema
	// comes back.
	refused string
	says    string // part of the refusal
}

// refusedSchemas are dumped by pg_dump without complaint, and none of them comes
// back by loading the dump. Some need what is lost in an upgrade of a server:
// that is taken away in the catalogue.
var refusedSchemas = []schema{
	{"check_reads_another_table", `
		CREATE TABLE kinds (k text PRIMARY KEY);
		CREATE TABLE goods (id int PRIMARY KEY, k text);
		CREATE FUNCTION known_kind(x text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM kinds WHERE k = x)';
		INSERT INTO kinds VALUES ('a');
		INSERT INTO goods VALUES (1, 'a');
		ALTER TABLE goods ADD CONSTRAINT kind_is_known CHECK (known_kind(k))`,
		"constraint kind_is_known on check_reads_another_table.goods", "relation \"kinds\" does not exist"},
	{"check_needs_search_path", `
		CREATE FUNCTION inner_rule(x int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT x > 0';
		CREATE FUNCTION outer_rule(x int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN inner_rule(x); END';
		CREATE TABLE t (x int CONSTRAINT ruled CHECK (outer_rule(x)));
		INSERT INTO t VALUES (1)`,
		"constraint ruled on check_needs_search_path.t", "finds inner_rule by search_path"},
	{"check_casts_by_search_path", `
		CREATE TYPE mood AS ENUM ('good', 'bad');
		CREATE FUNCTION is_mood(x text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN x::mood IS NOT NULL; END';
		CREATE TABLE t (x text CONSTRAINT felt CHECK (is_mood(x)));
		INSERT INTO t VALUES ('good')`,
		"constraint felt on check_casts_by_search_path.t", "finds mood by search_path"},
	{"check_compares_without_operator", `
		CREATE TABLE t (a ext.hstore, b ext.hstore, CONSTRAINT differ CHECK (a IS DISTINCT FROM b));
		INSERT INTO t VALUES ('a=>1', 'a=>2')`,
		"table check_compares_without_operator.t", "operator does not exist"},
	{"domain_in_an_array_reads_a_table", `
		CREATE TABLE codes (c text);
		INSERT INTO codes VALUES ('x');
		CREATE FUNCTION is_code(x text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM domain_in_an_array_reads_a_table.codes WHERE c = x)';
		CREATE DOMAIN code AS text CONSTRAINT listed CHECK (is_code(VALUE));
		CREATE TABLE t (c code[]);
		INSERT INTO t VALUES ('{x}')`,
		"constraint listed on domain_in_an_array_reads_a_table.code", "reads domain_in_an_array_reads_a_table.codes"},
	{"domain_needs_search_path", `
		CREATE FUNCTION inner_rule(x text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT x ~ '^a' $$;
		CREATE FUNCTION outer_rule(x text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT inner_rule(x)';
		CREATE DOMAIN word AS text CONSTRAINT ruled CHECK (outer_rule(VALUE));
		CREATE TABLE t (w word);
		INSERT INTO t VALUES ('ab')`,
		"constraint ruled on domain_needs_search_path.word", "search_path"},
	{"generated_column_reads_a_table", `
		CREATE TABLE rates (r int);
		INSERT INTO rates VALUES (3);
		CREATE FUNCTION rated(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN x * (SELECT r FROM generated_column_reads_a_table.rates); END';
		CREATE TABLE t (x int, y int GENERATED ALWAYS AS (rated(x)) STORED);
		INSERT INTO t VALUES (1)`,
		"generated column y of table generated_column_reads_a_table.t", "reads generated_column_reads_a_table.rates"},
	{"generated_column_needs_search_path", `
		CREATE TEXT SEARCH CONFIGURATION words (COPY = pg_catalog.simple);
		CREATE FUNCTION vector(x text) RETURNS tsvector LANGUAGE sql IMMUTABLE AS $$ SELECT to_tsvector('words', x) $$;
		CREATE TABLE t (x text, y tsvector GENERATED ALWAYS AS (vector(x)) STORED);
		INSERT INTO t VALUES ('a')`,
		"t", "text search configuration \"words\" does not exist"},
	{"index_needs_search_path", `
		CREATE TABLE t (x text);
		INSERT INTO t VALUES ('á');
		CREATE FUNCTION plain(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN unaccent(x); END $$;
		CREATE INDEX plain_x ON t (plain(x))`,
		"plain_x", "unaccent"},
	{"operator_class_needs_search_path", `
		CREATE TABLE t (x int);
		INSERT INTO t VALUES (1), (2);
		CREATE FUNCTION inner_order(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT b - a';
		CREATE FUNCTION outer_order(a int, b int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN inner_order(a, b); END';
		CREATE OPERATOR CLASS backwards FOR TYPE int USING btree AS
			OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 outer_order(int, int);
		CREATE INDEX reverse ON t (x backwards)`,
		"index operator_class_needs_search_path.reverse", "finds inner_order by search_path"},
	{"partition_key_needs_search_path", `
		CREATE FUNCTION inner_key(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x % 10';
		CREATE FUNCTION outer_key(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN inner_key(x); END';
		CREATE TABLE t (x int) PARTITION BY RANGE (outer_key(x));
		CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (10);
		INSERT INTO t VALUES (1)`,
		"partition key of table partition_key_needs_search_path.t", "finds inner_key by search_path"},
	{"statistics_need_search_path", `
		CREATE FUNCTION inner_part(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x / 2';
		CREATE FUNCTION outer_part(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN inner_part(x); END';
		CREATE TABLE t (x int, y int);
		INSERT INTO t SELECT n, n FROM generate_series(1, 100) n;
		CREATE STATISTICS halves ON (outer_part(x)), y FROM t`,
		"statistics halves of table statistics_need_search_path.t", "finds inner_part by search_path"},
	{"view_compares_without_operator", `
		CREATE TABLE t (a ext.hstore, b ext.hstore);
		CREATE VIEW changed AS SELECT a FROM t WHERE a IS DISTINCT FROM b`,
		"view view_compares_without_operator.changed", "operator does not exist"},
	{"view_joins_without_operator", `
		CREATE TABLE t (h ext.hstore, a int);
		CREATE TABLE u (h ext.hstore, b int);
		CREATE VIEW joined AS SELECT t.a, u.b FROM t JOIN u USING (h)`,
		"view view_joins_without_operator.joined", "operator does not exist"},
	{"trigger_compares_without_operator", `
		CREATE TABLE t (h ext.hstore);
		CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE TRIGGER on_change BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.h IS DISTINCT FROM NEW.h) EXECUTE FUNCTION note()`,
		"trigger trigger_compares_without_operator.t on_change", "operator does not exist"},
	{"rule_compares_without_operator", `
		CREATE TABLE t (h ext.hstore);
		CREATE RULE kept AS ON UPDATE TO t WHERE NULLIF(OLD.h, NEW.h) IS NULL DO INSTEAD NOTHING`,
		"rule rule_compares_without_operator.t kept", "operator does not exist"},
	{"policy_compares_without_operator", `
		CREATE TABLE t (h ext.hstore);
		ALTER TABLE t ENABLE ROW LEVEL SECURITY;
		CREATE POLICY own ON t USING (h IS DISTINCT FROM 'a=>1'::ext.hstore)`,
		"policy policy_compares_without_operator.t own", "operator does not exist"},
	{"index_compares_without_operator", `
		CREATE TABLE t (h ext.hstore, x int);
		CREATE INDEX changed ON t (x) WHERE h IS DISTINCT FROM ''::ext.hstore`,
		"index changed", "operator does not exist"},
	{"materialized_view_needs_search_path", `
		CREATE TABLE t (x int);
		INSERT INTO t VALUES (1);
		CREATE FUNCTION total() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT sum(x) FROM t); END';
		CREATE MATERIALIZED VIEW sums AS SELECT materialized_view_needs_search_path.total() AS n`,
		"materialized view materialized_view_needs_search_path.sums", "\"t\" does not exist"},
	{"materialized_view_of_a_server_that_is_gone", `
		CREATE SERVER gone FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '@SOCKET@', port '@PORT@', dbname 'postgres');
		CREATE USER MAPPING FOR PUBLIC SERVER gone OPTIONS (user 'postgres');
		CREATE FOREIGN TABLE far (datname name) SERVER gone OPTIONS (schema_name 'pg_catalog', table_name 'pg_database');
		CREATE MATERIALIZED VIEW near AS SELECT * FROM far;
		ALTER SERVER gone OPTIONS (SET port '1')`,
		"materialized view materialized_view_of_a_server_that_is_gone.near", "could not connect"},
	{"extension_missing", `
		CREATE EXTENSION tcn;
		UPDATE pg_extension SET extname = 'provider_housekeeping' WHERE extname = 'tcn'`,
		"extension provider_housekeeping", "provider_housekeeping"},
	{"library_missing", `
		CREATE FUNCTION fast() RETURNS trigger LANGUAGE c AS '$libdir/refint', 'check_primary_key';
		UPDATE pg_proc SET probin = '$libdir/uninstalled' WHERE proname = 'fast'`,
		"function library_missing.fast()", "uninstalled"},
	{"wrapper_without_its_library", `
		CREATE FUNCTION handler() RETURNS fdw_handler LANGUAGE c AS '$libdir/postgres_fdw', 'postgres_fdw_handler';
		CREATE FOREIGN DATA WRAPPER wrapped HANDLER handler;
		CREATE SERVER behind FOREIGN DATA WRAPPER wrapped;
		UPDATE pg_proc SET probin = '$libdir/wrapper_uninstalled' WHERE proname = 'handler'`,
		"function wrapper_without_its_library.handler()", "wrapper_uninstalled"},
	{"dictionary_without_its_file", `
		CREATE TEXT SEARCH DICTIONARY stops (TEMPLATE = pg_catalog.simple, stopwords = english);
		UPDATE pg_ts_dict SET dictinitoption = 'stopwords = ''uninstalled''' WHERE dictname = 'stops'`,
		"text search dictionary dictionary_without_its_file.stops", "uninstalled"},
	{"collation_of_a_locale_that_is_gone", `
		CREATE COLLATION plattdeutsch (locale = 'C.utf8');
		UPDATE pg_collation SET collcollate = 'nds_DE.utf8', collctype = 'nds_DE.utf8' WHERE collname = 'plattdeutsch'`,
		"collation collation_of_a_locale_that_is_gone.plattdeutsch", "locale"},
	{"label_of_a_provider_that_is_gone", `
		CREATE TABLE secret (x int);
		INSERT INTO pg_seclabel SELECT 'label_of_a_provider_that_is_gone.secret'::regclass, 'pg_class'::regclass, 0, 'selinux', 'system_u:object_r:sepgsql_table_t:s0'`,
		"security label label_of_a_provider_that_is_gone.TABLE secret", "selinux"},
}

// plainSchemas are what people have. All of them come back: the first ones
// because a restore puts checks and indexes in place when all rows are there.
var plainSchemas = []schema{
	{name: "index_on_nested_functions", sql: `
		SET search_path = index_on_nested_functions, public;
		CREATE FUNCTION public.nested_inner(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
		CREATE FUNCTION public.nested_outer(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT nested_inner($1)';
		CREATE TABLE t (a int, b int);
		INSERT INTO t SELECT n, n FROM generate_series(1, 100) n;
		CREATE INDEX ON t (public.nested_outer(a))`},
	{name: "check_reads_its_own_table", sql: `
		CREATE TABLE blocks (n int PRIMARY KEY, parent int);
		CREATE FUNCTION follows(x int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
			RETURN x IS NULL OR EXISTS (SELECT 1 FROM check_reads_its_own_table.blocks b WHERE b.n = x); END $$;
		ALTER TABLE blocks ADD CONSTRAINT chained CHECK (follows(parent));
		INSERT INTO blocks VALUES (1); INSERT INTO blocks VALUES (2, 1)`},
	{name: "check_reads_through_another_function", sql: `
		CREATE TABLE limits (most int);
		INSERT INTO limits VALUES (10);
		CREATE FUNCTION most() RETURNS int LANGUAGE sql STABLE AS 'SELECT max(most) FROM check_reads_through_another_function.limits';
		CREATE FUNCTION fits(x int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT coalesce(x <= check_reads_through_another_function.most(), false)';
		CREATE TABLE bids (x int CONSTRAINT fits CHECK (fits(x)));
		INSERT INTO bids VALUES (1)`},
	{name: "check_reads_in_the_standards_form", sql: `
		CREATE TABLE kinds (k text);
		INSERT INTO kinds VALUES ('a');
		CREATE FUNCTION known(x text) RETURNS boolean STABLE BEGIN ATOMIC SELECT EXISTS (SELECT 1 FROM kinds WHERE k = x); END;
		CREATE TABLE goods (k text CONSTRAINT known CHECK (known(k)));
		INSERT INTO goods VALUES ('a')`},
	{name: "check_reads_by_execute", sql: `
		CREATE TABLE kinds (k text);
		INSERT INTO kinds VALUES ('a');
		CREATE FUNCTION known(x text) RETURNS boolean LANGUAGE plpgsql AS $$ DECLARE found boolean; BEGIN
			EXECUTE 'SELECT EXISTS (SELECT FROM check_reads_by_execute.kinds WHERE k = $1)' INTO found USING x; RETURN found; END $$;
		CREATE TABLE goods (k text CONSTRAINT known CHECK (known(k)));
		INSERT INTO goods VALUES ('a')`},
	{name: "domain_reads_a_table", sql: `
		CREATE TABLE codes (c text);
		INSERT INTO codes VALUES ('x');
		CREATE FUNCTION is_code(x text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM domain_reads_a_table.codes WHERE c = x)';
		CREATE DOMAIN code AS text CONSTRAINT listed CHECK (is_code(VALUE));
		CREATE TABLE t (c code);
		INSERT INTO t VALUES ('x')`},
	{name: "index_reads_a_table", sql: `
		CREATE TABLE weights (w int);
		INSERT INTO weights VALUES (2);
		CREATE TABLE t (x int);
		INSERT INTO t VALUES (1);
		CREATE FUNCTION weighed(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN x / (SELECT count(*) FROM index_reads_a_table.weights); END';
		CREATE INDEX heavy ON t (weighed(x))`},
	{name: "partial_index_reads_a_table", sql: `
		CREATE TABLE flags (f boolean);
		INSERT INTO flags VALUES (true);
		CREATE TABLE t (x int);
		INSERT INTO t VALUES (1);
		CREATE FUNCTION flagged(x int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT bool_or(f) FROM partial_index_reads_a_table.flags); END';
		CREATE INDEX only_flagged ON t (x) WHERE flagged(x)`},
	{name: "triggers_that_read_tables", sql: `
		CREATE TABLE kinds (k text PRIMARY KEY);
		CREATE TABLE goods (k text);
		CREATE FUNCTION checked() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NOT EXISTS (SELECT FROM kinds WHERE k = NEW.k) THEN RAISE ''unknown''; END IF; RETURN NEW; END';
		CREATE CONSTRAINT TRIGGER checked AFTER INSERT ON goods DEFERRABLE FOR EACH ROW EXECUTE FUNCTION checked();
		INSERT INTO kinds VALUES ('a'); INSERT INTO goods VALUES ('a')`},
	{name: "defaults_that_read_tables", sql: `
		CREATE TABLE t (x int);
		CREATE FUNCTION next() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t';
		CREATE TABLE u (x bigint DEFAULT next(), y int DEFAULT 7);
		INSERT INTO u DEFAULT VALUES`},
	{name: "partitions", sql: `
		CREATE TABLE by_range (x int, y text, PRIMARY KEY (x)) PARTITION BY RANGE (x);
		CREATE TABLE by_range_1 PARTITION OF by_range FOR VALUES FROM (0) TO (10) PARTITION BY HASH (x);
		CREATE TABLE by_range_1_0 PARTITION OF by_range_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
		CREATE TABLE by_range_1_1 PARTITION OF by_range_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
		CREATE TABLE by_list (k text) PARTITION BY LIST (lower(k));
		CREATE TABLE by_list_a PARTITION OF by_list FOR VALUES IN ('a');
		CREATE TABLE by_list_rest PARTITION OF by_list DEFAULT;
		INSERT INTO by_range SELECT n, n FROM generate_series(0, 9) n; INSERT INTO by_list VALUES ('A'), ('b')`},
	{name: "views", sql: `
		CREATE TABLE t (x int PRIMARY KEY, y text);
		CREATE VIEW v AS SELECT x, count(y) FROM t GROUP BY x;
		CREATE VIEW w AS SELECT v.* FROM v WHERE x IS DISTINCT FROM 3;
		CREATE RECURSIVE VIEW r (n) AS SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3;
		CREATE VIEW grouped AS SELECT t.* FROM t GROUP BY x`},
	{name: "materialized_views", sql: `
		CREATE TABLE t (x int);
		INSERT INTO t VALUES (1), (2);
		CREATE MATERIALIZED VIEW a AS SELECT 10 / count(*) AS n FROM t;
		CREATE UNIQUE INDEX ON a (n);
		CREATE MATERIALIZED VIEW b AS SELECT n * 2 AS n FROM a;
		CREATE MATERIALIZED VIEW never AS SELECT 1 AS n WITH NO DATA`},
	{name: "domains_and_enums", sql: `
		CREATE TYPE mood AS ENUM ('good', 'bad');
		CREATE DOMAIN positive AS int CHECK (VALUE > 0);
		CREATE DOMAIN small AS positive CHECK (VALUE < 100) NOT NULL;
		CREATE TABLE t (m mood DEFAULT 'good', s small, l text CHECK (l ~ '^[a-z]+$'));
		INSERT INTO t VALUES ('bad', 7, 'abc')`},
	{name: "identity_and_sequences", sql: `
		CREATE TABLE t (x int GENERATED ALWAYS AS IDENTITY, y serial, z bigint GENERATED BY DEFAULT AS IDENTITY (START 100));
		CREATE SEQUENCE own CYCLE MAXVALUE 5;
		INSERT INTO t DEFAULT VALUES; SELECT nextval('own')`},
	{name: "generated_columns", sql: `
		CREATE FUNCTION doubled(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 2';
		CREATE TABLE t (x int, y int GENERATED ALWAYS AS (x + 1) STORED, z int GENERATED ALWAYS AS (generated_columns.doubled(x)) STORED);
		INSERT INTO t VALUES (1)`},
	{name: "row_security", sql: `
		CREATE TABLE people (who name);
		CREATE FUNCTION mine(w name) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT EXISTS (SELECT FROM people p WHERE p.who = w)';
		CREATE TABLE t (who name);
		ALTER TABLE t ENABLE ROW LEVEL SECURITY;
		CREATE POLICY own ON t USING (mine(who)) WITH CHECK (who = current_user)`},
	{name: "composite_types", sql: `
		CREATE TYPE point3 AS (x int, y int, z text[]);
		CREATE TABLE t (p point3, ps point3[]);
		INSERT INTO t VALUES (ROW(1, 2, '{a}'), ARRAY[ROW(1, 2, '{b}')::point3])`},
	{name: "aggregates_operators_casts", sql: `
		CREATE FUNCTION plus(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + coalesce(b, 0)';
		CREATE AGGREGATE total(int) (SFUNC = plus, STYPE = int, INITCOND = '0');
		CREATE OPERATOR |+| (LEFTARG = int, RIGHTARG = int, FUNCTION = plus);
		CREATE TYPE wrapped AS (v int);
		CREATE FUNCTION wrap(int) RETURNS wrapped LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1)::aggregates_operators_casts.wrapped';
		CREATE CAST (int AS wrapped) WITH FUNCTION wrap(int);
		CREATE VIEW v AS SELECT 1 OPERATOR(aggregates_operators_casts.|+|) 2 AS n`},
	{name: "full_text", sql: `
		CREATE TEXT SEARCH DICTIONARY stops (TEMPLATE = pg_catalog.simple, stopwords = english);
		CREATE TEXT SEARCH CONFIGURATION words (COPY = pg_catalog.english);
		ALTER TEXT SEARCH CONFIGURATION words ALTER MAPPING FOR asciiword WITH stops;
		CREATE TABLE t (x text, v tsvector GENERATED ALWAYS AS (to_tsvector('full_text.words', x)) STORED);
		CREATE INDEX ON t USING gin (v);
		INSERT INTO t VALUES ('a word')`},
	{name: "trigrams", sql: `
		CREATE TABLE t (x text);
		CREATE INDEX ON t USING gin (x ext.gin_trgm_ops);
		CREATE INDEX ON t (lower(x)) WHERE x <> '';
		INSERT INTO t VALUES ('abc')`},
	{name: "unaccented_properly", sql: `
		CREATE FUNCTION plain(x text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT ext.unaccent('ext.unaccent', x) $$;
		CREATE FUNCTION plain_too(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE SET search_path = ext AS $$ BEGIN RETURN unaccent(x); END $$;
		CREATE TABLE t (x text);
		CREATE INDEX ON t (plain(x)); CREATE INDEX ON t (plain_too(x));
		INSERT INTO t VALUES ('á')`},
	{name: "foreign_keys_in_a_circle", sql: `
		CREATE TABLE a (x int PRIMARY KEY, b int);
		CREATE TABLE b (x int PRIMARY KEY, a int REFERENCES a DEFERRABLE INITIALLY DEFERRED, up int REFERENCES b);
		ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED;
		BEGIN; INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1, 1); COMMIT`},
	{name: "exclusion", sql: `
		CREATE TABLE t (room int, during tstzrange, EXCLUDE USING gist (room ext.gist_int4_ops WITH =, during WITH &&));
		INSERT INTO t VALUES (1, '[2026-01-01,2026-01-02)')`},
	{name: "inheritance", sql: `
		CREATE TABLE parent (x int CHECK (x > 0), y text NOT NULL);
		CREATE TABLE child (z int, CHECK (z <> x)) INHERITS (parent);
		CREATE TABLE grandchild () INHERITS (child);
		INSERT INTO grandchild VALUES (1, 'a', 2)`},
	{name: "rules", sql: `
		CREATE TABLE t (x int);
		CREATE VIEW v AS SELECT x FROM t;
		CREATE RULE ins AS ON INSERT TO v DO INSTEAD INSERT INTO t VALUES (NEW.x);
		INSERT INTO v VALUES (1)`},
	{name: "functions_in_the_standards_form", sql: `
		CREATE TABLE t (x int PRIMARY KEY, y text);
		CREATE FUNCTION all_of_it() RETURNS SETOF t LANGUAGE sql BEGIN ATOMIC SELECT t.x, t.y FROM t ORDER BY t.x; END;
		CREATE PROCEDURE put(a int) LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (a, 'put'); END;
		CREATE FUNCTION half(x int) RETURNS int IMMUTABLE RETURN x / 2;
		CREATE INDEX ON t (half(x));
		CALL put(4)`},
	{name: "not_valid", sql: `
		CREATE TABLE kinds (k text PRIMARY KEY);
		CREATE TABLE t (x int, k text);
		INSERT INTO t VALUES (-1, 'unknown');
		CREATE FUNCTION known(x text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM not_valid.kinds WHERE k = x)';
		ALTER TABLE t ADD CONSTRAINT positive CHECK (x > 0) NOT VALID, ADD CONSTRAINT known CHECK (known(k)) NOT VALID,
			ADD FOREIGN KEY (k) REFERENCES kinds NOT VALID`},
	{name: "invalid_index", sql: `
		CREATE TABLE t (x int);
		INSERT INTO t VALUES (1), (1);
		CREATE INDEX half_made ON t (x);
		UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'invalid_index.half_made'::regclass`},
	{name: "unlogged_and_odd", sql: `
		CREATE UNLOGGED TABLE u (x int);
		CREATE TABLE "Odd ""name"", with 'quotes'" ("select" int, "from" text, "ä" text CHECK ("ä" <> ''));
		CREATE TABLE empty_row ();
		INSERT INTO u VALUES (1); INSERT INTO empty_row DEFAULT VALUES`},
	{name: "citext_and_ranges", sql: `
		CREATE TYPE span AS RANGE (SUBTYPE = int);
		CREATE TABLE t (c ext.citext PRIMARY KEY, s span, i inet[], CHECK (c <> ''));
		INSERT INTO t VALUES ('Abc', '[1,3)', '{10.0.0.1}')`},
	{name: "statistics_and_publication", sql: `
		CREATE TABLE t (x int, y int);
		INSERT INTO t SELECT n, n FROM generate_series(1, 100) n;
		CREATE STATISTICS s (dependencies) ON x, y FROM t;
		CREATE STATISTICS e ON (x + y), y FROM t;
		CREATE PUBLICATION one_table FOR TABLE t`},
	{name: "foreign_tables", sql: `
		CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'nowhere.invalid');
		CREATE USER MAPPING FOR PUBLIC SERVER away OPTIONS (user 'nobody');
		CREATE FOREIGN TABLE far (x int CHECK (x > 0)) SERVER away;
		CREATE VIEW seen AS SELECT * FROM far`},
	{name: "a_function_for_a_role_that_is_gone", sql: `
		CREATE ROLE gone_role;
		CREATE FUNCTION acting() RETURNS int LANGUAGE sql AS 'SELECT 1';
		ALTER FUNCTION acting() SET role = 'gone_role';
		DROP ROLE gone_role`},
	{name: "checks_with_functions", sql: `
		CREATE TYPE mood AS ENUM ('good', 'bad');
		CREATE FUNCTION digits(x text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
			-- from kinds, which is a word in a comment
			RETURN x ~ '^[0-9]+$' AND extract(year FROM now()) > 0 AND 'from kinds' <> x; END $$;
		CREATE FUNCTION long(x text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT length(x) > 2 AND checks_with_functions.digits(x)';
		CREATE FUNCTION felt(x text) RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = checks_with_functions AS 'SELECT x::mood IS NOT NULL';
		CREATE TABLE kinds (k text);
		CREATE TABLE t (x text CHECK (digits(x)), y text CHECK (long(y)), z text CHECK (felt(z)));
		INSERT INTO t VALUES ('1', '123', 'good')`},
}

// managedSchemas are refused where no superuser restores: on a managed server.
var managedSchemas = []schema{
	{"event_trigger", `
		CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN NULL; END';
		CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION note()`,
		"event trigger noted", "permission denied"},
	{"publication_of_everything", `
		CREATE PUBLICATION everything FOR ALL TABLES`,
		"publication everything", "superuser"},
	{"function_in_c", `
		CREATE FUNCTION fast() RETURNS trigger LANGUAGE c AS '$libdir/refint', 'check_primary_key'`,
		"function function_in_c.fast()", "permission denied"},
	{"extension_of_a_superuser", `
		CREATE EXTENSION pg_stat_statements`,
		"extension pg_stat_statements", "permission denied"},
	{"base_type", `
		CREATE TYPE bare;
		CREATE FUNCTION bare_in(cstring) RETURNS bare LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
		CREATE FUNCTION bare_out(bare) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
		CREATE TYPE bare (INPUT = bare_in, OUTPUT = bare_out, LIKE = int4)`,
		"base_type.bare", "superuser"},
	{"operator_class", `
		CREATE OPERATOR CLASS backwards FOR TYPE int USING btree AS
			OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 btint4cmp(int, int)`,
		"operator class operator_class.backwards", "superuser"},
	{"foreign_data_wrapper", `
		CREATE FOREIGN DATA WRAPPER bare_wrapper`,
		"foreign data wrapper bare_wrapper", "permission denied"},
	{"leakproof", `
		CREATE FUNCTION tight(int) RETURNS boolean LANGUAGE sql IMMUTABLE LEAKPROOF AS 'SELECT true'`,
		"function leakproof.tight(integer)", "superuser"},
}
