-- What the owner of a database can set for other roles. Every trap names its
-- kind; only a superuser springs it.
CREATE SCHEMA trap;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
CREATE FUNCTION trap.spring(kind pg_catalog.text) RETURNS pg_catalog.void LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER) THEN
    RAISE LOG 'TRAP sprung: % as %', kind, CURRENT_USER;
    RAISE EXCEPTION 'TRAP sprung: % as %', kind, CURRENT_USER;
  END IF;
END $$;

-- Siblings of Postgres's functions and operators, for the types of catalogues
-- and for those that a literal may become.
DO $$
DECLARE
  f pg_catalog.record;
  arguments pg_catalog.text;
BEGIN
  FOR f IN SELECT p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid) AS args,
      pg_catalog.pg_get_function_result(p.oid) AS result
    FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
    AND p.proname IN ('current_setting', 'set_config', 'pg_backend_pid', 'pg_database_size', 'quote_ident',
      'concat', 'left', 'format_type', 'pg_get_userbyid', 'pg_encoding_to_char', 'pg_has_role',
      'has_table_privilege', 'has_schema_privilege', 'has_sequence_privilege', 'has_database_privilege',
      'has_function_privilege', 'pg_is_in_recovery', 'pg_export_snapshot', 'pg_snapshot_xmin',
      'pg_snapshot_xmax', 'pg_current_snapshot', 'pg_current_wal_insert_lsn', 'pg_relation_size',
      'pg_table_size', 'pg_try_advisory_lock', 'pg_advisory_unlock', 'host', 'clock_timestamp', 'now',
      'inet_server_addr', 'pg_size_bytes', 'array_to_string', 'pg_blocking_pids', 'date_trunc', 'to_char',
      'shobj_description', 'obj_description', 'pg_describe_object', 'row_security_active', 'setval', 'nextval',
      'pg_control_system', 'pg_postmaster_start_time', 'version', 'texteq', 'nameeq', 'oideq')
    AND pg_catalog.pg_get_function_result(p.oid) NOT LIKE '%TABLE%'
  LOOP
    BEGIN
      EXECUTE pg_catalog.format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS
        ''BEGIN PERFORM trap.spring(%L); RETURN NULL; END''', f.proname, f.args, f.result, 'function ' || f.proname);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
END $$;
CREATE FUNCTION public.format(text, name, name) RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN PERFORM trap.spring('function format'); RETURN ''; END $$;
CREATE FUNCTION public.concat(name, name, name) RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN PERFORM trap.spring('function concat'); RETURN ''; END $$;
CREATE FUNCTION public.pg_table_size(oid) RETURNS bigint LANGUAGE plpgsql AS
  $$ BEGIN PERFORM trap.spring('function pg_table_size'); RETURN 0; END $$;
DO $$
DECLARE
  o pg_catalog.record;
BEGIN
  FOR o IN SELECT x.name, l.type AS l, r.type AS r
    FROM pg_catalog.unnest('{=,<>,!~,~,~~,<,>,>=,<=,||}'::text[]) AS x(name),
      pg_catalog.unnest('{name,text,oid,int,bigint,"\"char\"",unknown,regclass}'::text[]) AS l(type),
      pg_catalog.unnest('{name,text,oid,int,bigint,"\"char\"",unknown,regclass}'::text[]) AS r(type)
  LOOP
    BEGIN
      EXECUTE pg_catalog.format('CREATE FUNCTION trap.%I(%s, %s) RETURNS pg_catalog.bool LANGUAGE plpgsql AS
        ''BEGIN PERFORM trap.spring(%L); RETURN true; END''', o.name, o.l, o.r, 'operator ' || o.name);
      EXECUTE pg_catalog.format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = trap.%I)',
        o.name, o.l, o.r, o.name);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
END $$;
SET search_path = pg_catalog, pg_temp;

-- Relations under the names of Postgres's and of Canton's.
CREATE VIEW public.pg_class AS SELECT trap.spring('view')::text AS x, 0 AS relname;
CREATE VIEW public.pg_database AS SELECT trap.spring('view')::text AS datname;
CREATE SCHEMA canton;
CREATE VIEW canton.common_node_id AS SELECT trap.spring('view')::text AS identifier, ''::text AS namespace;
CREATE VIEW canton.lapi_parameters AS SELECT trap.spring('view')::text AS participant_id, 1 AS ledger_end;

-- A cast that reading a column as text would run.
CREATE TYPE trap.mood AS ENUM ('sad', 'ok');
CREATE FUNCTION trap.of_mood(trap.mood) RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN PERFORM trap.spring('cast'); RETURN 'x'; END $$;
CREATE CAST (trap.mood AS text) WITH FUNCTION trap.of_mood(trap.mood) AS IMPLICIT;
CREATE DOMAIN trap.feeling AS trap.mood;
CREATE SCHEMA splice;
CREATE TABLE splice.store_descriptors (id trap.mood, descriptor trap.feeling);
CREATE TABLE splice.store_last_ingested_offsets (store_id trap.mood, migration_id trap.feeling, last_ingested_offset trap.mood);
INSERT INTO splice.store_descriptors VALUES ('ok', 'ok');
INSERT INTO splice.store_last_ingested_offsets VALUES ('ok', 'ok', 'ok');

-- What a restore runs when it writes rows, builds indexes, checks keys, and fills
-- materialized views.
CREATE FUNCTION trap.fine(n int, kind text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN PERFORM trap.spring(kind); RETURN n; END $$;
CREATE FUNCTION trap.fine_sql(n int, kind text) RETURNS int IMMUTABLE LANGUAGE sql AS
  $$ SELECT trap.fine(n, kind) $$;
CREATE DOMAIN trap.checked AS int CHECK (trap.fine(VALUE, 'domain') = VALUE);
CREATE TABLE trap.rows (
  n int PRIMARY KEY CHECK (trap.fine(n, 'check') = n),
  m int CHECK (trap.fine_sql(m, 'check in SQL') = m),
  d trap.checked,
  g int GENERATED ALWAYS AS (trap.fine(n, 'generated column')) STORED,
  f int DEFAULT trap.fine(1, 'default'));
INSERT INTO trap.rows (n, m, d) SELECT i, i, i FROM generate_series(1, 100) i;
CREATE INDEX ON trap.rows (trap.fine(n, 'index'));
CREATE TABLE trap.parted (n int) PARTITION BY RANGE (trap.fine(n, 'partition'));
CREATE TABLE trap.part PARTITION OF trap.parted FOR VALUES FROM (0) TO (1000);
INSERT INTO trap.parted SELECT i FROM generate_series(1, 100) i;
CREATE MATERIALIZED VIEW trap.filled AS SELECT trap.fine(n, 'materialized view') FROM trap.rows;
CREATE FUNCTION trap.on_row() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM trap.spring('trigger'); RETURN NEW; END $$;
CREATE TRIGGER t BEFORE INSERT ON trap.rows FOR EACH ROW EXECUTE FUNCTION trap.on_row();
ALTER TABLE trap.rows ENABLE ALWAYS TRIGGER t;
CREATE STATISTICS trap.both ON n, m FROM trap.rows;

-- A trigger on events, which a superuser has made, springs only in a database
-- that is being restored: in the live one it is the superuser's will.
CREATE FUNCTION trap.on_event() RETURNS event_trigger LANGUAGE plpgsql AS
  $$ BEGIN IF current_database() LIKE '%~new~%' THEN PERFORM trap.spring('event trigger'); END IF; END $$;

-- Settings that whoever connects begins with.
ALTER DATABASE app SET search_path = public, pg_catalog;
ALTER DATABASE app SET standard_conforming_strings = off;
ALTER DATABASE app SET row_security = on;
ALTER DATABASE app SET default_transaction_read_only = on;
ALTER DATABASE app SET check_function_bodies = on;
ALTER DATABASE app SET quote_all_identifiers = on;
