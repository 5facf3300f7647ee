-- What COPY cannot carry: large objects, and tables whose rows are elsewhere.
create schema zoo_hard;
select lo_from_bytea(4200001, sha512('a large object'));
select lo_from_bytea(0, '');
comment on large object 4200001 is 'a large object';
do $foreign$ begin
  if exists (select from pg_available_extensions where name = 'postgres_fdw') then
    create extension postgres_fdw;
    create server elsewhere foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1', dbname 'nowhere');
    create user mapping for current_user server elsewhere options (user 'u', password 'not a real one');
    create foreign table zoo_hard.rows_elsewhere (a integer, b text) server elsewhere options (table_name 'x');
  end if;
end $foreign$;
create table zoo_hard.ordinary (a integer primary key);
insert into zoo_hard.ordinary values (1);
