-- The tables of a validator app that say how far it is, and one of its history.
create schema validator;
create table validator.store_descriptors (id serial primary key, descriptor jsonb not null unique);
create table validator.store_last_ingested_offsets (
  store_id integer not null references validator.store_descriptors (id), migration_id bigint not null, last_ingested_offset text,
  primary key (store_id, migration_id));
create table validator.user_wallet_txlog_store (
  entry_number bigserial primary key, store_id integer not null references validator.store_descriptors (id),
  migration_id bigint not null, transaction_offset text not null, record_time bigint not null, domain_id text not null,
  entry_type text not null, entry_data jsonb not null, event_id text);
create index user_wallet_txlog_store_offset on validator.user_wallet_txlog_store (store_id, migration_id, transaction_offset);
