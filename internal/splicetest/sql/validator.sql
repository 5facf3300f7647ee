-- A validator app's database. The same migrations serve the scan and sv apps,
-- so that most tables stay empty in a validator.

create schema extensions;
do $pgcrypto$
begin
  if exists (select from pg_available_extensions where name = 'pgcrypto') then
    create extension pgcrypto with schema extensions;
  end if;
end $pgcrypto$;

create schema validator;
set search_path = validator, extensions;

grant usage on schema extensions to public;
alter default privileges in schema extensions grant select on tables to public;
alter default privileges in schema extensions grant usage on sequences to public;
alter default privileges in schema extensions grant execute on functions to public;

create table flyway_schema_history (
  installed_rank integer not null constraint flyway_schema_history_pk primary key,
  version varchar(50), description varchar(200) not null, type varchar(20) not null,
  script varchar(1000) not null, checksum integer, installed_by varchar(100) not null,
  installed_on timestamp without time zone not null default now(),
  execution_time integer not null, success boolean not null);
create index flyway_schema_history_s_idx on flyway_schema_history (success);
insert into flyway_schema_history
  (installed_rank, version, description, type, script, checksum, installed_by, installed_on, execution_time, success)
select n, lpad(n::text, 3, '0'), 'change ' || n, 'SQL', 'V' || lpad(n::text, 3, '0') || '__change_' || n || '.sql',
       ('x' || left(md5('validator' || n), 8))::bit(32)::int, 'cnadmin', timestamp '2026-03-01 08:01:00' + n * interval '100 ms', 3 + n % 11, true
from generate_series(1, 73) n;

-- ---------------------------------------------------------------- functions

create function daml_numeric_to_text(x numeric) returns text immutable returns null on null input language sql as
  $$ select case when trim_scale(x) = trunc(x) then trunc(x)::text || '.0' else trim_scale(x)::text end $$;
create function stable_int32_hash(input text) returns integer immutable returns null on null input language plpgsql as
  $$ begin return ('x' || encode(substring(extensions.digest(input, 'sha256') from 1 for 4), 'hex'))::bit(32)::integer; end $$;
create function daml_crypto_hash_text(input text) returns text immutable returns null on null input language plpgsql as
  $$ begin return encode(extensions.digest(convert_to(input, 'UTF8'), 'sha256'), 'hex'); end $$;
create function daml_crypto_hash_list(input text[]) returns text immutable returns null on null input language sql as
  $$ select validator.daml_crypto_hash_text(array_length(input, 1)::text || coalesce(string_agg(validator.daml_crypto_hash_text(i), '' order by o), ''))
     from unnest(input) with ordinality as l(i, o) $$;
create function daml_crypto_hash_variant(tag text, fields text[]) returns text immutable returns null on null input language sql as
  $$ select validator.daml_crypto_hash_list(array_prepend(validator.daml_crypto_hash_text(tag), fields)) $$;
create function hash_minting_allowance(provider text, amount numeric) returns text immutable language sql as
  $$ select validator.daml_crypto_hash_list(array[validator.daml_crypto_hash_text(provider), validator.daml_crypto_hash_text(validator.daml_numeric_to_text(amount))]) $$;
create function hash_batch_of_minting_allowances(hashes text[]) returns text immutable language sql as
  $$ select validator.daml_crypto_hash_variant('BatchOfMintingAllowances', hashes) $$;
create function hash_batch_of_batches(hashes text[]) returns text immutable language sql as
  $$ select validator.daml_crypto_hash_variant('BatchOfBatches', hashes) $$;

-- ---------------------------------------------------------------- the stores' state

create table store_descriptors (id serial primary key, descriptor jsonb not null unique);
create table store_last_ingested_offsets (
  store_id integer not null references store_descriptors (id), migration_id bigint not null, last_ingested_offset text,
  primary key (store_id, migration_id));
create table key_value_store (
  key text not null, value jsonb not null, store_id integer not null references store_descriptors (id), primary key (store_id, key));

-- every store of active contracts has these columns, indexes and a sequence of event numbers
create table acs_store_template (
  store_id integer not null, migration_id bigint not null, event_number bigserial,
  contract_id text not null, template_id_package_id text not null, template_id_qualified_name text not null,
  create_arguments jsonb not null, created_event_blob bytea not null, created_at bigint not null,
  assigned_domain text, reassignment_counter bigint not null default 0, reassignment_target_domain text,
  reassignment_source_domain text, reassignment_submitter text, reassignment_unassign_id text,
  contract_expires_at bigint, package_name text not null default 'splice-amulet');
do $stores$
declare
  store text;
  columns text;
begin
  for store, columns in
    select * from (values
      ('validator_acs_store', 'user_party text, user_name text, provider_party text, validator_party text, traffic_domain_id text, traffic_member_id text'),
      ('user_wallet_acs_store', 'transfer_context_cid text, reward_coupon_round bigint, reward_coupon_weight bigint'),
      ('external_party_wallet_acs_store', 'reward_coupon_round bigint, reward_coupon_weight bigint'),
      ('acs_store_template_archived', 'archived_at bigint'),
      ('sv_acs_store', 'onboarding_secret text, sv_candidate_name text'),
      ('dso_acs_store', 'dso_round bigint, voter text, vote_request_tracking_cid text, amulet_round_of_expiry bigint, member_traffic_member text'),
      ('scan_acs_store', 'round bigint, validator text, amount numeric, feature_app_right_provider text, ans_entry_name text'),
      ('splitwell_acs_store', 'install_user text, group_id text, group_owner text'),
      ('ans_acs_store', 'ans_entry_name text, ans_entry_owner text, subscription_context text')) as s(store, columns)
  loop
    execute format('create table %I (like acs_store_template including defaults, %s)', store, columns);
    execute format('create sequence %I as bigint owned by %I.event_number', store || '_event_number_seq', store);
    execute format('alter table %I alter column event_number set default nextval(%L)', store, 'validator.' || quote_ident(store || '_event_number_seq'));
    execute format('alter table %I add constraint %I primary key (store_id, migration_id, event_number)', store, store || '_pkey');
    execute format('alter table %I add foreign key (store_id) references store_descriptors (id)', store);
    execute format('create unique index %I on %I (store_id, migration_id, contract_id)', store || '_sid_mid_cid', store);
    execute format('create index %I on %I (store_id, migration_id, template_id_qualified_name, event_number)', store || '_sid_mid_tid_en', store);
    execute format('create index %I on %I (store_id, migration_id, template_id_qualified_name, contract_expires_at) where contract_expires_at is not null', store || '_sid_mid_tid_ce', store);
    execute format('create index %I on %I (store_id, migration_id, template_id_qualified_name, event_number) where assigned_domain is null', store || '_in_flight', store);
    execute format('create index %I on %I using gin (create_arguments jsonb_path_ops)', store || '_arguments', store);
    execute format('create index %I on %I ((create_arguments ->> ''owner'')) where create_arguments ? ''owner''', store || '_owner', store);
  end loop;
end $stores$;
drop table acs_store_template;
create index validator_acs_store_sid_mid_user_party on validator_acs_store (store_id, migration_id, user_party) where user_party is not null;
create index validator_acs_store_sid_mid_user_name on validator_acs_store (store_id, migration_id, user_name) where user_name is not null;
create index validator_acs_store_sid_mid_provider on validator_acs_store (store_id, migration_id, provider_party) where provider_party is not null;
create index user_wallet_acs_store_reward on user_wallet_acs_store (store_id, migration_id, template_id_qualified_name, reward_coupon_round) where reward_coupon_round is not null;
create index external_party_wallet_acs_store_reward on external_party_wallet_acs_store (store_id, migration_id, template_id_qualified_name, reward_coupon_round) where reward_coupon_round is not null;

do $interfaces$
declare store text;
begin
  foreach store in array array['validator_acs', 'user_wallet_acs', 'external_party_wallet_acs', 'dso_acs', 'sv_acs'] loop
    execute format('create table %I (
      interface_id_package_id text not null, interface_id_qualified_name text not null, interface_view jsonb not null,
      acs_event_number bigint not null, interface_sequence bigserial, store_id integer not null references store_descriptors (id), migration_id bigint not null,
      primary key (store_id, migration_id, acs_event_number, interface_id_package_id, interface_id_qualified_name))', store || '_interface_views');
    execute format('create index %I on %I (interface_id_package_id, interface_id_qualified_name)', store || '_iv_interface', store || '_interface_views');
    execute format('create index %I on %I (acs_event_number)', store || '_iv_number', store || '_interface_views');
  end loop;
end $interfaces$;

do $txlogs$
declare store text;
begin
  foreach store in array array['user_wallet', 'external_party_wallet', 'validator', 'dso', 'scan', 'splitwell'] loop
    execute format('create table %I (
      store_id integer not null references store_descriptors (id), migration_id bigint not null, entry_number bigserial,
      transaction_offset text, record_time bigint not null, domain_id text not null,
      entry_type text not null, entry_data jsonb not null, tx_log_id smallint, event_id text,
      primary key (store_id, migration_id, entry_number))', store || '_txlog_store');
    execute format('create index %I on %I (store_id, tx_log_id, entry_number)', store || '_txlog_log', store || '_txlog_store');
    execute format('create index %I on %I (store_id, entry_type, entry_number)', store || '_txlog_type', store || '_txlog_store');
    execute format('create index %I on %I (store_id, event_id) where event_id is not null', store || '_txlog_event', store || '_txlog_store');
    execute format('create index %I on %I (store_id, domain_id, record_time)', store || '_txlog_record', store || '_txlog_store');
  end loop;
end $txlogs$;

-- ---------------------------------------------------------------- the history of updates

create table update_history_descriptors (
  id bigserial primary key, party text not null, participant_id text not null, store_name text not null, unique (party, participant_id, store_name));
create table update_history_last_ingested_offsets (
  history_id bigint not null references update_history_descriptors (id), migration_id bigint not null, last_ingested_offset text,
  primary key (history_id, migration_id));
create table update_history_transactions (
  row_id bigserial primary key, history_id bigint not null references update_history_descriptors (id), update_id text not null,
  record_time bigint not null, participant_offset text not null, domain_id text not null, migration_id bigint not null,
  effective_at bigint not null, root_event_ids text[] not null, workflow_id text, command_id text, external_transaction_hash bytea);
create unique index updt_hist_tran_hi_mi_di_rt on update_history_transactions (history_id, migration_id, domain_id, record_time);
create index updt_hist_tran_hi_mi_rt_di on update_history_transactions (history_id, migration_id, record_time, domain_id);
create index updt_hist_tran_hi_ui on update_history_transactions (history_id, update_id);
create table update_history_creates (
  row_id bigserial primary key, history_id bigint not null references update_history_descriptors (id), event_id text not null,
  update_row_id bigint not null references update_history_transactions, contract_id text not null, created_at bigint not null,
  template_id_package_id text not null, template_id_module_name text not null, template_id_entity_name text not null, package_name text not null,
  record_time bigint not null, update_id text not null, create_arguments jsonb not null, contract_key jsonb, signatories text[] not null, observers text[] not null);
create index updt_hist_crea_hi_mi_ci on update_history_creates (history_id, contract_id);
create index updt_hist_crea_update on update_history_creates (update_row_id);
create index updt_hist_crea_template on update_history_creates (history_id, template_id_package_id, template_id_module_name, template_id_entity_name);
create table update_history_exercises (
  row_id bigserial primary key, history_id bigint not null references update_history_descriptors (id), event_id text not null,
  update_row_id bigint not null references update_history_transactions, child_event_ids text[] not null, choice text not null,
  contract_id text not null, consuming boolean not null, argument jsonb not null, result jsonb not null, acting_parties text[] not null, interface_id text);
create index updt_hist_exer_update on update_history_exercises (update_row_id);
create index updt_hist_exer_contract on update_history_exercises (history_id, contract_id);
create table update_history_assignments (
  row_id bigserial primary key, history_id bigint not null references update_history_descriptors (id), update_id text not null,
  record_time bigint not null, domain_id text not null, contract_id text not null, reassignment_counter bigint not null, create_arguments jsonb);
create index updt_hist_assi_hi_rt on update_history_assignments (history_id, domain_id, record_time);
create table update_history_unassignments (
  row_id bigserial primary key, history_id bigint not null references update_history_descriptors (id), update_id text not null,
  record_time bigint not null, domain_id text not null, contract_id text not null, reassignment_counter bigint not null, target_domain text);
create index updt_hist_unas_hi_rt on update_history_unassignments (history_id, domain_id, record_time);
create table update_history_backfilling (
  history_id bigint primary key references update_history_descriptors (id), joining_migration_id bigint not null, joining_domain_id text not null,
  joining_update_id text not null, complete boolean not null, import_updates_complete boolean not null);

-- ---------------------------------------------------------------- other applications' tables

create table active_parties (store_id bigint not null, party text not null, closed_round bigint not null, primary key (store_id, party));
create function initialize_active_parties() returns void language sql as
  $$ insert into validator.active_parties select 1, party, 0 from validator.update_history_descriptors on conflict do nothing $$;
create table acs_snapshot (
  snapshot_record_time bigint not null, migration_id bigint not null, history_id bigint not null,
  first_row_id bigint not null, last_row_id bigint not null, unlocked_amulet_balance numeric, locked_amulet_balance numeric,
  primary key (history_id, migration_id, snapshot_record_time));
create table acs_snapshot_data (row_id bigserial primary key, create_id bigint not null, template_id text not null, stakeholder text not null);
create index acs_snapshot_data_stakeholder on acs_snapshot_data (row_id, stakeholder, template_id);
create table acs_incremental_snapshot (snapshot_id bigserial primary key, history_id bigint not null, record_time bigint not null, table_name text not null);
create table acs_incremental_snapshot_data_next (snapshot_id bigint not null, create_id bigint not null, primary key (snapshot_id, create_id));
create table round_totals (
  store_id integer not null, closed_round bigint not null, closed_round_effective_at bigint not null, app_rewards numeric not null, validator_rewards numeric not null,
  change_to_initial_amount_as_of_round_zero numeric not null, change_to_holding_fees_rate numeric not null, total_amulet_balance numeric, primary key (store_id, closed_round));
create table round_party_totals (
  store_id integer not null, closed_round bigint not null, party text not null, app_rewards numeric not null, validator_rewards numeric not null,
  traffic_purchased bigint not null, primary key (store_id, closed_round, party));
create index round_party_totals_party on round_party_totals (store_id, party, closed_round);
create table app_activity_record_store (
  record_id bigserial primary key, history_id bigint not null, round_number bigint not null, provider text not null, weight bigint not null);
create index app_activity_record_round on app_activity_record_store (history_id, round_number);
create table app_activity_party_totals (history_id bigint not null, round_number bigint not null, provider text not null, total numeric not null, primary key (history_id, round_number, provider));
create table app_reward_root_hashes (history_id bigint not null, round_number bigint not null, root_hash bytea not null, primary key (history_id, round_number));
create table scan_verdict_store (
  row_id bigserial primary key, history_id bigint not null, update_id text not null unique, record_time bigint not null, verdict smallint not null, views jsonb);
create index scan_verdict_store_time on scan_verdict_store (history_id, record_time);
create table scan_verdict_transaction_view_store (verdict_row_id bigint not null references scan_verdict_store on delete cascade, view_id integer not null, parties text[] not null, primary key (verdict_row_id, view_id));
create table svs_votes (requester text not null, request_cid text not null, vote jsonb not null, primary key (requester, request_cid));
create table traffic_purchases (id bigserial primary key, member text not null, purchased bigint not null, spent numeric(38, 10) not null, at timestamptz not null default now());
create table processed_featured_markers (store_id bigint not null, contract_id text not null, weight numeric(38, 10), primary key (store_id, contract_id));
create table bulk_storage_progress (name text primary key, progress jsonb not null, updated_at timestamptz not null default now());
create table instance_heartbeats (instance_id uuid primary key, host inet, seen_at timestamptz not null default now());
