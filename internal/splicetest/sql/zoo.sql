-- A database with one of everything that a dump may meet: kinds of types, of
-- tables, of relations between them, and names that nobody should choose.
-- It is loaded into an empty database by a superuser.

create schema zoo;
create schema "Zoo 2. ""quoted""-ñ";
comment on schema zoo is E'one of everything\nin two lines; with a ''quote''';
set search_path = zoo;
set timezone = 'UTC';

do $roles$ begin
  if not exists (select from pg_roles where rolname = 'zoo reader') then
    create role "zoo reader";
  end if;
end $roles$;

-- ---------------------------------------------------------------- types of our own

begin; -- a value that was added is used in a later transaction
create type mood as enum ('sad', 'ok', 'happy, very', 'it''s "fine"', '');
alter type mood add value 'between' before 'happy, very';
commit;
create type complex as (re double precision, im double precision);
create type nested as (label text, c complex, moods mood[], at timestamptz);
create domain percent as numeric(5, 2) default 50 check (value between 0 and 100);
create domain email as text collate "C" not null check (value ~ '^[^@]+@[^@]+$');
create domain percents as percent[] check (array_length(value, 1) < 10);
create domain nested_domain as nested;
create function float8_distance(a double precision, b double precision) returns double precision immutable language sql as $$ select a - b $$;
create type float_range as range (subtype = double precision, subtype_diff = float8_distance, multirange_type_name = float_ranges);
create type mood_range as range (subtype = mood);

create table own_types (
  id integer primary key, m mood, ms mood[], c complex, cs complex[], n nested, ns nested[], d percent, e email default 'a@b', ps percents, nd nested_domain,
  r float_range, rs float_range[], mr float_ranges, mor mood_range);
insert into own_types values
  (1, 'sad', '{sad,"happy, very","it''s \"fine\"",NULL,""}', '(1,2)', '{"(1,2)","(NaN,)",NULL}', '("a ""b"", (c)","(1,)","{sad,ok}","2000-01-01 00:00:00+00")',
   array[row('x', row(0, -0), array['ok']::mood[], 'infinity')::nested], 12.50, 'x@y', '{0,100,NULL}', '(,,,)', '[1.5,2.5)', '{empty,"(,)"}', '{[1,2],[3,4]}', '[sad,between]'),
  (2, null, null, null, null, null, null, null, 'n@n', null, null, null, null, null, null),
  (3, 'between', '{}', '(,)', '{}', '(,"(,)",{},)', '{}', 0, 'o@o', '[3:4]={1,2}', '(\\,"(1,1)",{NULL},-infinity)', 'empty', '[0:0][0:0]={{"[0,)"}}', '{}', 'empty');
create table of_a_type of complex (re with options not null, primary key (re));
insert into of_a_type values (1.5, null), ('-infinity', 'nan');

-- ---------------------------------------------------------------- shapes of tables

create table no_columns ();
insert into no_columns default values; insert into no_columns default values; insert into no_columns default values;
create table all_generated (a integer generated always as (41 + 1) stored, b text generated always as ('constant') stored);
insert into all_generated default values; insert into all_generated default values;
create table some_generated (
  a integer, doubled integer generated always as (a * 2) stored, b text, upper_b text generated always as (upper(b)) stored, primary key (a));
insert into some_generated (a, b) values (1, 'one'), (2, null), (-3, E'tab\t');
create table dropped_columns (gone integer, kept text, "gone too" bytea, also_kept integer, gone_last jsonb);
insert into dropped_columns values (1, 'before', '\x00', 10, '{}');
alter table dropped_columns drop column gone, drop column "gone too", drop column gone_last, add column later numeric default 7.5;
insert into dropped_columns values ('after', 20, null);
create table dropped_all (a integer);
insert into dropped_all values (1), (2);
alter table dropped_all drop column a;
create table empty_table (a integer primary key, b text);
create table only_nulls (a integer, b text, c bytea);
insert into only_nulls select from generate_series(1, 5);
create table single_text (t text);
insert into single_text values (''), (null), ('\N'), ('\.'), (E'\\.'), (E'a\nb'), (' '), ('NULL'), ('"'), (',');
create unlogged table unlogged_table (a serial primary key, b text);
insert into unlogged_table (b) select 'row ' || n from generate_series(1, 100) n;
do $wide$ begin
  execute 'create table wide (' || (select string_agg('c' || n || ' smallint', ', ') from generate_series(1, 1200) n) || ')';
  execute 'insert into wide select ' || (select string_agg(n::text, ', ') from generate_series(1, 1200) n);
  execute 'insert into wide (c1200) values (7)';
end $wide$;
create table modified_lengths (c char(10), v varchar(20), n numeric(12, 3), nn numeric(3, 0), b bit(7), vb bit varying(9), t time(2), ts timestamp(0) with time zone, i interval day to second (3), ca char(3)[], q interval year to month);
insert into modified_lengths values ('pad', 'kept  ', 123456789.125, 999, b'1010101', b'', '12:34:56.78', '2000-01-01 00:00:00+00', '1 day 02:03:04.567', '{a,bc,"d "}', '14 months');

-- values that go out of line, in every way that a value can be stored
create table toasted (id integer primary key, plain_value text, extended_value text, external_value text, main_value text, pglz_value text, default_value bytea)
  with (fillfactor = 70, toast_tuple_target = 512, autovacuum_enabled = false, toast.autovacuum_vacuum_threshold = 1000);
alter table toasted alter column plain_value set storage plain, alter column external_value set storage external, alter column main_value set storage main,
  alter column extended_value set statistics 300, alter column extended_value set (n_distinct = -0.5), alter column pglz_value set compression pglz;
do $lz4$ begin
  alter table toasted add column lz4_value text compression lz4;
exception when feature_not_supported then
  alter table toasted add column lz4_value text;
end $lz4$;
insert into toasted select n, repeat('p', 100), repeat('compresses well ', 5000 * n), repeat('stored as it is ', 700 * n), repeat('m', 3000 * n), repeat('pglz ', 9000),
  (select string_agg(sha512(convert_to(n || ' ' || k, 'UTF8')), '' order by k) from generate_series(1, 200 * n) k), repeat('lz4 ', 9000 * n)
from generate_series(1, 8) n;
create table large_values (id integer primary key, value bytea);
insert into large_values select 1, string_agg(sha512(convert_to('large ' || k, 'UTF8')), '' order by k) from generate_series(1, 100000) k;
insert into large_values values (2, '');

-- ---------------------------------------------------------------- inheritance and partitions

create table animals (id serial primary key, name text not null default 'unnamed', legs smallint check (legs >= 0));
create table birds (wingspan real) inherits (animals);
create table swimmers (depth real, name text not null default 'a swimmer');
create table penguins (colony text, name text default 'a penguin') inherits (birds, swimmers);
alter table birds alter column legs set default 2;
insert into animals (name, legs) values ('snake', 0), ('dog', 4);
insert into birds (name, wingspan) values ('eagle', 2.5);
insert into penguins (name, legs, wingspan, depth, colony) values ('pingu', 2, 0.5, 100, 'south');

create table measurements (at date not null, region text not null, value numeric, primary key (at, region)) partition by range (at);
create table measurements_2025 partition of measurements for values from ('2025-01-01') to ('2026-01-01');
create table measurements_2026 partition of measurements for values from ('2026-01-01') to ('2027-01-01') partition by list (region);
create table measurements_2026_eu partition of measurements_2026 for values in ('eu', 'ch');
create table measurements_2026_us partition of measurements_2026 for values in ('us') partition by hash (at, region);
create table measurements_2026_us_0 partition of measurements_2026_us for values with (modulus 2, remainder 0);
create table measurements_2026_us_1 partition of measurements_2026_us for values with (modulus 2, remainder 1);
create table measurements_2026_default partition of measurements_2026 default;
create table measurements_default partition of measurements default;
create table measurements_2024 (gone text, value numeric, region text not null, extra integer, at date not null);
alter table measurements_2024 drop column gone, drop column extra;
alter table measurements attach partition measurements_2024 for values from ('2024-01-01') to ('2025-01-01');
create index on measurements (value);
insert into measurements select date '2023-06-01' + n * 7, (array['eu', 'ch', 'us', 'jp'])[1 + n % 4], n * 1.5 from generate_series(0, 220) n;
create table measurement_notes (id serial primary key, at date, region text, note text, foreign key (at, region) references measurements on delete cascade);
insert into measurement_notes (at, region, note) select at, region, 'a note' from measurements order by at, region limit 10;
create table by_expression (k text, v integer) partition by list (lower(k));
create table by_expression_a partition of by_expression for values in ('a');
create table by_expression_null partition of by_expression for values in (null);
insert into by_expression values ('A', 1), ('a', 2), (null, 3);
create table no_partitions (a integer) partition by range (a);
create table keyed_by_mood (m mood) partition by hash (m);
create table keyed_by_mood_0 partition of keyed_by_mood for values with (modulus 1, remainder 0);
insert into keyed_by_mood values ('sad'), ('ok'), ('between');

-- ---------------------------------------------------------------- numbers that count up

create table identities (always integer generated always as identity (start with 10 increment by 5), by_default bigint generated by default as identity, s smallserial, b bigserial, v text);
insert into identities (v) select 'row ' || n from generate_series(1, 7) n;
insert into identities (always, by_default, v) overriding system value values (1000, 2000, 'beside the sequence');
create sequence never_called as smallint start with 7 minvalue 3;
create sequence down increment by -3 start with -1 maxvalue -1 cache 10;
select nextval('down'), nextval('down');
create sequence round_and_round as integer minvalue 1 maxvalue 3 cycle;
select nextval('round_and_round') from generate_series(1, 4);
create sequence set_but_not_called;
select setval('set_but_not_called', 123456789012345, false);
create sequence exhausted maxvalue 2;
select nextval('exhausted'), nextval('exhausted');
create sequence "Sequence with space" owned by empty_table.a;
alter table empty_table alter column a set default nextval('"Sequence with space"');

-- ---------------------------------------------------------------- constraints, indexes, statistics

create table hens (id integer primary key, first_egg integer, name text);
create table eggs (id integer primary key, hen integer not null references hens deferrable initially deferred);
alter table hens add constraint hens_first_egg foreign key (first_egg) references eggs deferrable initially deferred;
begin;
insert into hens select n, n * 10, 'hen ' || n from generate_series(1, 5) n;
insert into eggs select n * 10, n from generate_series(1, 5) n;
commit;
create table tree (id integer primary key, parent integer references tree on update cascade on delete set null);
insert into tree values (1, null), (3, 1), (2, 3);
create table not_yet_valid (id integer, parent integer);
insert into not_yet_valid values (-1, 99), (2, 1);
alter table not_yet_valid add constraint positive check (id > 0) not valid, add constraint has_parent foreign key (parent) references tree not valid;
create table bookings (room integer, during tsrange not null, guest text unique deferrable, exclude using gist (during with &&) where (room = 1));
insert into bookings values (1, '[2026-01-01,2026-01-02)', 'a'), (1, '[2026-01-02,2026-01-03)', 'b'), (2, '[2026-01-01,2026-01-05)', 'c');
create table indexed (id integer, a text, b text collate "C", j jsonb, p point, arr integer[], ts timestamptz, r int4range, v tsvector, constraint "pk of indexed" primary key (id) include (a) with (fillfactor = 80));
insert into indexed select n, 'a' || n, 'b' || n % 10, jsonb_build_object('n', n), point(n, -n), array[n, n % 3], timestamptz '2026-01-01 00:00:00+00' + n * interval '1 minute', int4range(n, n + 5), to_tsvector('english', 'word number ' || n)
from generate_series(1, 500) n;
create unique index on indexed (lower(a), (id % 1000)) where id > 0;
create index "index with ""quotes""" on indexed (a desc nulls last, b collate "POSIX" text_pattern_ops) include (ts);
create index on indexed using hash (b);
create index on indexed using gin (j jsonb_path_ops) with (fastupdate = off);
create index on indexed using gin (arr);
create index on indexed using gin (v);
create index on indexed using gist (p);
create index on indexed using gist (r);
create index on indexed using spgist (p);
create index on indexed using brin (ts) with (pages_per_range = 16, autosummarize = on);
create index indexed_expression on indexed ((a || b), (id + 1));
alter index indexed_expression alter column 1 set statistics 500;
create index on only indexed (ts, id);
alter table indexed cluster on "pk of indexed";
create table replica_full (a integer, b text);
alter table replica_full replica identity full;
create table replica_index (a integer not null, b text);
create unique index replica_index_a on replica_index (a);
alter table replica_index replica identity using index replica_index_a;
create statistics on_columns (ndistinct, dependencies, mcv) on a, b, id from indexed;
create statistics "on expressions" on (id % 7), lower(a) from indexed;
alter statistics on_columns set statistics 200;

-- ---------------------------------------------------------------- views and code

create view plain_view (number, letter) as select id, a from indexed where id < 10;
create view on_a_view with (security_barrier) as select number + 1 as next, letter from plain_view;
create view checked_view as select * from hens where id > 2 with cascaded check option;
create recursive view ancestors (id, ancestor) as select id, parent from tree union all select a.id, t.parent from ancestors a join tree t on t.id = a.ancestor where t.parent is not null;
create materialized view totals as select b, count(*) as n from indexed group by b;
create unique index on totals (b);
create materialized view totals_of_totals as select sum(n) as n, max(b) as b from totals;
create materialized view never_filled as select * from totals with no data;
create view over_materialized as select * from totals_of_totals;

create function touched() returns trigger language plpgsql as $f$ begin new.name := coalesce(new.name, '') || '!'; return new; end $f$;
create trigger touch before insert or update of name on hens for each row when (new.id > 0) execute function touched();
create trigger touch_always after update on eggs for each statement execute function touched();
alter table eggs enable always trigger touch_always;
create trigger disabled before delete on eggs for each row execute function touched();
alter table eggs disable trigger disabled;
create function complain() returns trigger language plpgsql as $f$ begin raise exception 'this trigger is not to run'; end $f$;
create constraint trigger later after insert on bookings deferrable initially deferred for each row execute function complain();
alter table bookings disable trigger later;
create trigger no_rows_by_hand before insert on measurements for each row when (new.value < -1000000) execute function complain();
create rule insert_into_view as on insert to plain_view do instead insert into indexed (id, a) values (new.number, new.letter);
create rule quiet as on delete to replica_full do instead nothing;
create function standard_body(n integer) returns bigint language sql stable begin atomic select count(*) from hens where id > n; end;
create function many_arguments(inout a integer, variadic b text[] default array['x', 'it''s'], out c text) returns setof record language plpgsql cost 7 rows 3 parallel safe set search_path = zoo as $f$ begin c := array_to_string(b, ','); return next; end $f$;
create procedure noop(inout n integer) language plpgsql as $p$ begin commit; end $p$;
create function with_default_on_table() returns integer stable language sql as $$ select count(*)::integer from zoo.hens $$;
create table default_calls (a integer default with_default_on_table(), b timestamptz default '2026-01-01 00:00:00+00', c text default E'a\\b''c');
insert into default_calls default values;
create function add_complex(complex, complex) returns complex immutable language sql as $$ select row($1.re + $2.re, $1.im + $2.im)::zoo.complex $$;
create aggregate sum_complex(complex) (sfunc = add_complex, stype = complex, initcond = '(0,0)', combinefunc = add_complex, parallel = safe);
create operator ||+|| (function = add_complex, leftarg = complex, rightarg = complex, commutator = operator(||+||));
create function complex_to_text(complex) returns text immutable language sql as $$ select $1.re || '+' || $1.im || 'i' $$;
create cast (complex as text) with function complex_to_text(complex) as assignment;
create operator family mood_family using btree;
create operator class text_backwards for type text using btree as operator 1 > , operator 2 >= , operator 3 = , operator 4 <= , operator 5 < , function 1 bttextcmp(text, text);
create access method another_heap type table handler heap_tableam_handler;
create table in_another_heap (a integer) using another_heap;
insert into in_another_heap select generate_series(1, 10);

create text search dictionary zoo_dictionary (template = simple, accept = false);
create text search configuration zoo_configuration (copy = english);
alter text search configuration zoo_configuration alter mapping for asciiword with zoo_dictionary, english_stem;
create collation zoo_c from "C";
do $icu$ begin
  create collation zoo_icu (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  create table collated (t text collate zoo_icu primary key);
  insert into collated values ('Abc'), ('def');
exception when feature_not_supported or undefined_object or invalid_parameter_value then
  raise notice 'no ICU collations here';
end $icu$;
create conversion zoo_conversion for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;

create function noticed() returns event_trigger language plpgsql as $f$ begin null; end $f$;
create event trigger zoo_event on ddl_command_end when tag in ('CREATE OPERATOR FAMILY') execute function noticed();
set client_min_messages = error;
create publication zoo_publication for table hens, eggs with (publish = 'insert, update');
create publication "everything published" for all tables with (publish = 'insert');
reset client_min_messages;

-- ---------------------------------------------------------------- rights and comments

grant usage on schema zoo to "zoo reader", public;
grant select on hens to "zoo reader" with grant option;
grant select (a, b), update (b) on some_generated to public;
grant usage on sequence never_called to "zoo reader";
grant usage on type mood to "zoo reader";
revoke execute on function standard_body(integer) from public;
alter default privileges in schema zoo grant select on tables to "zoo reader";
create table guarded (id integer primary key, owner name default current_user, secret text);
alter table guarded enable row level security, force row level security;
create policy own_rows on guarded as permissive for select to "zoo reader" using (owner = current_user);
create policy never on guarded as restrictive for delete using (false);
insert into guarded values (1, 'somebody', 'hidden'), (2, 'else', 'hidden too');
comment on table hens is 'hens; "quoted" and ''quoted''';
comment on column hens.name is E'line one\nline two \\ backslash';
comment on constraint hens_first_egg on hens is 'the cycle';
comment on index "index with ""quotes""" is 'an index';
comment on function standard_body(integer) is 'a function';
comment on type mood is 'a type';
comment on trigger touch on hens is 'a trigger';
comment on materialized view totals is 'a materialized view';

-- ---------------------------------------------------------------- names

set search_path = "Zoo 2. ""quoted""-ñ";
do $names$
declare name text;
begin
  foreach name in array array['select', 'table', 'UPPER', 'MiXeD', 'with space', 'trailing ', ' leading', 'dot.ted', 'da-sh', 'sla/sh', '../up', '..', '.', 'back\slash', 'quo"te', 'apo''strophe',
      E'new\nline', E'ta\tb', 'semi;colon', '$dollar$', '100%', 'star*', 'que?ry', 'pi|pe', 'co:lon', '~', '-rf', '--', 'ünïcödé', '日本語の表', '🚀', 'NUL', 'con', 'a&b<c>', '%2F', '#hash', '@at',
      repeat('n', 63), repeat('é', 31)] loop
    execute format('create table %I (%I integer primary key, %I text default %L)', name, name, 'value of ' || left(name, 20), name);
    execute format('insert into %I values (1, %L), (2, default)', name, 'row of ' || name);
    execute format('comment on table %I is %L', name, 'comment on ' || name);
  end loop;
end $names$;
create view "view with.dot" as select "quo""te" from "quo""te";
create table pg_looks_like_a_catalog (xmax_ integer, "oid" oid, "user" text, "order" integer, "NULL" text);
insert into pg_looks_like_a_catalog values (1, 2, 'u', 3, null);
create function "Function ""quoted"""("arg 1" integer) returns integer language sql as $$ select "arg 1" $$;
reset search_path;

-- ---------------------------------------------------------------- what only newer or fuller servers have

do $newer$ begin
  if current_setting('server_version_num')::integer >= 150000 then
    execute 'create table zoo.nulls_not_distinct (a integer, b integer, unique nulls not distinct (a, b))';
    execute 'insert into zoo.nulls_not_distinct values (1, null), (null, null)';
    execute 'create view zoo.invoker_view with (security_invoker = true) as select * from zoo.hens';
    execute 'create publication zoo_rows for table zoo.hens (id, name) where (id > 1)';
    execute 'create publication zoo_schema for tables in schema zoo_types with (publish = ''insert'')';
    execute 'create unlogged sequence zoo.unlogged_sequence';
    execute 'alter table zoo.tree add other integer, add constraint set_some foreign key (other) references zoo.hens on delete set null (other)';
  end if;
end $newer$;
do $newest$ begin
  if current_setting('server_version_num')::integer >= 180000 then
    execute 'create table zoo.virtual_generated (a integer not null, twice integer generated always as (a * 2) virtual, half integer generated always as (a / 2) stored, constraint a_is_there not null a)';
    execute 'insert into zoo.virtual_generated (a) values (1), (7)';
    execute 'create table zoo.only_virtual (twice integer generated always as (1 + 1) virtual)';
    execute 'insert into zoo.only_virtual default values';
    execute 'create table zoo.not_enforced (a integer check (a > 0) not enforced)';
    execute 'insert into zoo.not_enforced values (-1)';
  end if;
end $newest$;
do $extensions$
declare wanted text;
begin
  create schema zoo_extensions;
  foreach wanted in array array['btree_gist', 'hstore', 'citext', 'ltree', 'cube', 'intarray', 'isn', 'pg_trgm', 'seg', 'pgcrypto'] loop
    if exists (select from pg_available_extensions where name = wanted) then
      execute format('create extension %I with schema zoo_extensions', wanted);
    end if;
  end loop;
  if exists (select from pg_extension where extname = 'btree_gist') then
    execute 'create table zoo_extensions.reserved (room integer, during tsrange, exclude using gist (room with =, during with &&))';
    execute 'insert into zoo_extensions.reserved values (1, ''[2026-01-01,2026-01-02)''), (2, ''[2026-01-01,2026-01-02)'')';
  end if;
  set local search_path = zoo_extensions, pg_catalog;
  if exists (select from pg_extension where extname = 'hstore') then
    execute 'create table of_hstore (h hstore, hs hstore[])';
    execute $h$insert into of_hstore values ('a=>1, "b c"=>NULL, "q\"uote"=>"x,y"', array['a=>b'::hstore, '']), ('', null)$h$;
  end if;
  if exists (select from pg_extension where extname = 'citext') then
    execute 'create table of_citext (c citext primary key)';
    execute $c$insert into of_citext values ('Abc'), ('DEF')$c$;
  end if;
  if exists (select from pg_extension where extname = 'ltree') then
    execute 'create table of_ltree (l ltree, q lquery, t ltxtquery)';
    execute $l$insert into of_ltree values ('Top.Science.Astronomy', '*.Astro*{1,2}', 'Europe & !Asia'), ('', null, null)$l$;
  end if;
  if exists (select from pg_extension where extname = 'cube') then
    execute 'create table of_cube (c cube)';
    execute $c$insert into of_cube values ('(1,2,3),(4,5,6)'), ('(0)')$c$;
  end if;
end $extensions$;
