-- The tables of a participant that say who it is and how far it is, and one of
-- updates.
create schema participant;
create table participant.common_node_id (
  identifier varchar(300) collate "C" not null primary key, namespace varchar(300) collate "C" not null);
create table participant.lapi_parameters (
  ledger_end bigint, participant_id varchar collate "C" not null,
  participant_pruned_up_to_inclusive bigint, ledger_end_sequential_id bigint,
  ledger_end_string_interning_id integer, ledger_end_publication_time bigint);
create table participant.lapi_string_interning (
  internal_id integer primary key not null, external_string text collate "C");
create table participant.lapi_update_meta (
  update_id bytea not null, event_offset bigint not null, publication_time bigint not null, record_time bigint not null,
  synchronizer_id integer not null, event_sequential_id_first bigint not null, event_sequential_id_last bigint not null);
create index lapi_update_meta_update_id on participant.lapi_update_meta using hash (update_id);
create index lapi_update_meta_offset on participant.lapi_update_meta (event_offset);
