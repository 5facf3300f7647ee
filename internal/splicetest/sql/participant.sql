-- A participant's database: the tables a backup reads and the tables that make
-- it big, with Canton's names and column types, and a remainder of the same
-- kind around them. Sequencer and mediator tables exist in every Canton
-- database and stay empty in a participant's.

create schema participant;
set search_path = participant;

create type change_type as enum ('deactivation', 'activation');
create type operation_type as enum ('create', 'add', 'assign', 'archive', 'purge', 'unassign');
create type pruning_phase as enum ('started', 'completed');
create type key_status as enum ('unassigned', 'assigned');

create table flyway_schema_history (
  installed_rank integer not null constraint flyway_schema_history_pk primary key,
  version varchar(50), description varchar(200) not null, type varchar(20) not null,
  script varchar(1000) not null, checksum integer, installed_by varchar(100) not null,
  installed_on timestamp without time zone not null default now(),
  execution_time integer not null, success boolean not null);
create index flyway_schema_history_s_idx on flyway_schema_history (success);

insert into flyway_schema_history
  (installed_rank, version, description, type, script, checksum, installed_by, installed_on, execution_time, success)
select ordinality, v, d, 'SQL', coalesce('V' || v, 'R') || '__' || d || '.sql', ('x' || left(md5(d || ordinality), 8))::bit(32)::int,
       'cnadmin', timestamp '2026-03-01 08:00:00' + ordinality * interval '1 second', 10 + ordinality * 7, true
from unnest(array['1.1', '1.2', '2.0', '2.1', '3.0', '4.0', '4.1', '4.2', '4.3', '5.0', '5.1', '5.2', null],
            array['initial', 'initial_views', 'lapi', 'lapi_views', 'reassignments', 'changes_for_3_4', 'changes_for_3_4_12',
                  'predecessors', 'pending_operations', 'changes_for_3_5', 'update_meta', 'partition_bft', 'autovacuum'])
     with ordinality as m(v, d, ordinality);

-- ---------------------------------------------------------------- identity and keys

create table common_node_id (
  identifier varchar(300) collate "C" not null primary key,
  namespace varchar(300) collate "C" not null);
create table common_crypto_private_keys (
  key_id varchar(300) collate "C" primary key,
  wrapper_key_id varchar(300) collate "C",
  purpose smallint not null, data bytea not null, name varchar(300) collate "C");
create table common_crypto_public_keys (
  key_id varchar(300) collate "C" primary key,
  purpose smallint not null, data bytea not null, name varchar(300) collate "C");
create table common_kms_metadata_store (
  fingerprint varchar(300) collate "C" primary key,
  kms_key_id varchar(300) collate "C" not null, purpose smallint not null, key_usage integer[]);
create table common_static_strings (
  id integer generated always as identity primary key,
  string varchar(300) collate "C" not null,
  source varchar(300) collate "C" not null,
  constraint common_static_strings_string_source_key unique (string, source));

-- ---------------------------------------------------------------- topology and sequenced events

create table common_topology_dispatching (
  store_id varchar(300) collate "C" primary key, watermark_ts bigint not null);
create table common_topology_transactions (
  id bigint generated always as identity primary key,
  store_id varchar(300) collate "C" not null, sequenced bigint not null,
  transaction_type integer not null, namespace varchar(300) collate "C" not null,
  identifier varchar(300) collate "C" not null, mapping_key_hash varchar(300) collate "C" not null,
  serial_counter integer not null, valid_from bigint not null, valid_until bigint,
  operation integer not null, instance bytea not null, tx_hash varchar(300) collate "C" not null,
  rejection_reason varchar(300) collate "C", is_proposal boolean not null,
  representative_protocol_version integer not null, hash_of_signatures varchar(300) collate "C" not null,
  batch_idx integer not null default 0,
  unique (store_id, mapping_key_hash, serial_counter, valid_from, operation, representative_protocol_version, hash_of_signatures, tx_hash));
create index idx_topology_sequenced on common_topology_transactions (store_id, sequenced);
create index idx_topology_valid_from on common_topology_transactions (store_id, valid_from);
create index idx_topology_type_namespace on common_topology_transactions (store_id, transaction_type, namespace, identifier);
create index idx_topology_effective on common_topology_transactions (store_id, transaction_type, valid_from, valid_until) where rejection_reason is null and not is_proposal;
create index idx_topology_proposals on common_topology_transactions (store_id, is_proposal) where is_proposal;
create index idx_topology_tx_hash on common_topology_transactions (store_id, tx_hash, is_proposal, valid_from, valid_until, rejection_reason);
create table common_sequenced_events (
  physical_synchronizer_idx integer not null,
  sequenced_event bytea not null,
  type varchar(3) collate "C" not null check (type in ('del', 'err', 'ign')),
  ts bigint not null, sequencer_counter bigint not null, trace_context bytea not null, ignore boolean not null,
  primary key (physical_synchronizer_idx, ts),
  constraint common_sequenced_events_counter_key unique (physical_synchronizer_idx, sequencer_counter)
) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_limit = 2000,
        autovacuum_vacuum_cost_delay = 5, autovacuum_vacuum_insert_scale_factor = 0.0, autovacuum_vacuum_insert_threshold = 100000);
alter table common_sequenced_events alter column sequenced_event set storage external;
create table common_sequenced_event_store_pruning (
  physical_synchronizer_idx integer primary key, phase pruning_phase not null, ts bigint not null, succeeded bigint);
create table common_head_sequencer_counters (
  physical_synchronizer_idx integer primary key, prehead_counter bigint not null, ts bigint not null);
create table common_pruning_schedules (
  node_type varchar(3) collate "C" primary key check (node_type in ('MED', 'SEQ')),
  cron varchar(300) collate "C" not null, max_duration bigint not null, retention bigint not null);
create table common_sequencer_connection_successors (
  physical_synchronizer_id varchar(300) collate "C" primary key, sequencer_connections bytea not null, upgrade_time bigint not null);

-- ---------------------------------------------------------------- ledger API: state

create table lapi_parameters (
  ledger_end bigint, participant_id varchar collate "C" not null,
  participant_pruned_up_to_inclusive bigint, ledger_end_sequential_id bigint,
  ledger_end_string_interning_id integer, ledger_end_publication_time bigint);
create table lapi_post_processing_end (post_processing_end bigint);
create table lapi_ledger_end_synchronizer_index (
  synchronizer_id integer not null unique, sequencer_timestamp bigint, repair_timestamp bigint,
  repair_counter bigint, record_time bigint not null);
create table lapi_string_interning (
  internal_id integer primary key not null, external_string text collate "C");
create table lapi_identity_provider_config (
  identity_provider_id varchar(255) collate "C" primary key not null,
  issuer varchar collate "C" not null unique, jwks_url varchar collate "C" not null,
  is_deactivated boolean not null, audience varchar collate "C");
create table lapi_users (
  internal_id integer generated always as identity primary key,
  user_id varchar(256) collate "C" not null unique, primary_party varchar(512) collate "C",
  created_at bigint not null, is_deactivated boolean not null default false, resource_version bigint not null default 0,
  identity_provider_id varchar(255) collate "C" default null references lapi_identity_provider_config,
  primary_party_authentication boolean not null default false);
create table lapi_user_rights (
  user_internal_id integer not null references lapi_users (internal_id) on delete cascade,
  user_right integer not null, for_party integer, granted_at bigint not null,
  unique (user_internal_id, user_right, for_party));
create unique index lapi_user_rights_without_party on lapi_user_rights (user_internal_id, user_right) where for_party is null;
create table lapi_user_annotations (
  internal_id integer not null references lapi_users (internal_id) on delete cascade,
  name varchar(512) collate "C" not null, val text collate "C", updated_at bigint not null, unique (internal_id, name));
create table lapi_party_records (
  internal_id integer generated always as identity primary key,
  party varchar(512) collate "C" not null unique, resource_version bigint not null, created_at bigint not null,
  identity_provider_id varchar(255) collate "C" default null references lapi_identity_provider_config);
create table lapi_party_record_annotations (
  internal_id integer not null references lapi_party_records (internal_id) on delete cascade,
  name varchar(512) collate "C" not null, val text collate "C", updated_at bigint not null, unique (internal_id, name));
create table lapi_party_entries (
  ledger_offset bigint not null, recorded_at bigint not null, submission_id varchar collate "C",
  party varchar collate "C", typ varchar collate "C" not null, rejection_reason varchar collate "C",
  is_local boolean, party_id integer);
create index lapi_party_entries_offset on lapi_party_entries (ledger_offset);
create index lapi_party_entries_party_offset on lapi_party_entries (party, ledger_offset);
create index lapi_party_entries_party_id_offset on lapi_party_entries (party_id, ledger_offset);
create table lapi_pruning_contract_candidate (internal_contract_id bigint not null);
create index lapi_pruning_contract_candidate_idx on lapi_pruning_contract_candidate (internal_contract_id);
create table lapi_achs_state (valid_at bigint not null, last_removed bigint not null, last_populated bigint not null);
create table lapi_filter_achs_stakeholder (
  event_sequential_id bigint not null, template_id integer not null, party_id integer not null, first_per_sequential_id boolean);
create index lapi_filter_achs_stakeholder_pt on lapi_filter_achs_stakeholder (party_id, template_id, event_sequential_id);

-- ---------------------------------------------------------------- ledger API: events

create table lapi_events_activate_contract (
  event_offset bigint not null, update_id bytea not null, workflow_id varchar collate "C",
  command_id varchar collate "C", submitters bytea, record_time bigint not null, synchronizer_id integer not null,
  trace_context bytea, external_transaction_hash bytea,
  event_type smallint not null, event_sequential_id bigint not null, node_id integer not null,
  additional_witnesses bytea, source_synchronizer_id integer, reassignment_counter bigint, reassignment_id bytea,
  representative_package_id integer not null, internal_contract_id bigint not null, create_key_hash varchar collate "C",
  traffic_cost bigint);
create index lapi_events_activate_contract_seq on lapi_events_activate_contract (event_sequential_id);
create index lapi_events_activate_contract_offset on lapi_events_activate_contract (event_offset);
create index lapi_events_activate_contract_internal on lapi_events_activate_contract (internal_contract_id, event_sequential_id);
create index lapi_events_activate_contract_key on lapi_events_activate_contract (create_key_hash, event_sequential_id) where create_key_hash is not null;
create table lapi_events_deactivate_contract (
  event_offset bigint not null, update_id bytea not null, workflow_id varchar collate "C",
  command_id varchar collate "C", submitters bytea, record_time bigint not null, synchronizer_id integer not null,
  trace_context bytea, external_transaction_hash bytea,
  event_type smallint not null, event_sequential_id bigint not null, node_id integer not null,
  deactivated_event_sequential_id bigint, additional_witnesses bytea,
  exercise_choice integer, exercise_choice_interface integer, exercise_argument bytea, exercise_result bytea,
  exercise_actors bytea, exercise_last_descendant_node_id integer,
  exercise_argument_compression smallint, exercise_result_compression smallint,
  reassignment_id bytea, assignment_exclusivity bigint, target_synchronizer_id integer, reassignment_counter bigint,
  contract_id bytea not null, internal_contract_id bigint, template_id integer not null, package_id integer not null,
  stakeholders bytea not null, ledger_effective_time bigint, traffic_cost bigint);
create index lapi_events_deactivate_contract_seq on lapi_events_deactivate_contract (event_sequential_id);
create index lapi_events_deactivate_contract_offset on lapi_events_deactivate_contract (event_offset);
create index lapi_events_deactivate_contract_internal on lapi_events_deactivate_contract (internal_contract_id, event_sequential_id);
create index lapi_events_deactivate_contract_deactivated on lapi_events_deactivate_contract (deactivated_event_sequential_id) where deactivated_event_sequential_id is not null;
create index lapi_events_deactivate_contract_unassign on lapi_events_deactivate_contract (event_sequential_id) where event_type = 4;
create table lapi_events_various_witnessed (
  event_offset bigint not null, update_id bytea not null, workflow_id varchar collate "C",
  command_id varchar collate "C", submitters bytea, record_time bigint not null, synchronizer_id integer not null,
  trace_context bytea, external_transaction_hash bytea,
  event_type smallint not null, event_sequential_id bigint not null, node_id integer not null, additional_witnesses bytea,
  consuming boolean, exercise_choice integer, exercise_choice_interface integer, exercise_argument bytea, exercise_result bytea,
  exercise_actors bytea, exercise_last_descendant_node_id integer,
  exercise_argument_compression smallint, exercise_result_compression smallint,
  representative_package_id integer, contract_id bytea, internal_contract_id bigint,
  template_id integer, package_id integer, ledger_effective_time bigint, traffic_cost bigint
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.02);
create index lapi_events_various_witnessed_seq on lapi_events_various_witnessed (event_sequential_id);
create index lapi_events_various_witnessed_offset on lapi_events_various_witnessed (event_offset);
create index lapi_events_various_witnessed_internal on lapi_events_various_witnessed (internal_contract_id, event_sequential_id) where internal_contract_id is not null;
create table lapi_events_party_to_participant (
  event_sequential_id bigint not null, event_offset bigint not null, update_id bytea not null,
  party_id integer not null, participant_id integer not null, participant_permission integer not null,
  participant_authorization_event integer not null, synchronizer_id integer not null, record_time bigint not null, trace_context bytea);
create index lapi_events_party_to_participant_seq on lapi_events_party_to_participant (event_sequential_id);
create index lapi_events_party_to_participant_offset on lapi_events_party_to_participant (event_offset);
create index lapi_events_party_to_participant_party on lapi_events_party_to_participant (party_id, event_sequential_id);

create table lapi_filter_activate_stakeholder (
  event_sequential_id bigint not null, template_id integer not null, party_id integer not null, first_per_sequential_id boolean
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.02);
create index lapi_filter_activate_stakeholder_pt on lapi_filter_activate_stakeholder (party_id, template_id, event_sequential_id);
create index lapi_filter_activate_stakeholder_p on lapi_filter_activate_stakeholder (party_id, event_sequential_id);
create index lapi_filter_activate_stakeholder_t on lapi_filter_activate_stakeholder (template_id, event_sequential_id) where first_per_sequential_id;
create index lapi_filter_activate_stakeholder_s on lapi_filter_activate_stakeholder (event_sequential_id) where first_per_sequential_id;
create table lapi_filter_activate_witness (like lapi_filter_activate_stakeholder)
  with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.02);
create index lapi_filter_activate_witness_pt on lapi_filter_activate_witness (party_id, template_id, event_sequential_id);
create index lapi_filter_activate_witness_p on lapi_filter_activate_witness (party_id, event_sequential_id);
create index lapi_filter_activate_witness_t on lapi_filter_activate_witness (template_id, event_sequential_id) where first_per_sequential_id;
create index lapi_filter_activate_witness_s on lapi_filter_activate_witness (event_sequential_id) where first_per_sequential_id;
create table lapi_filter_deactivate_stakeholder (like lapi_filter_activate_stakeholder)
  with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.02);
create index lapi_filter_deactivate_stakeholder_pt on lapi_filter_deactivate_stakeholder (party_id, template_id, event_sequential_id);
create index lapi_filter_deactivate_stakeholder_p on lapi_filter_deactivate_stakeholder (party_id, event_sequential_id);
create index lapi_filter_deactivate_stakeholder_t on lapi_filter_deactivate_stakeholder (template_id, event_sequential_id) where first_per_sequential_id;
create index lapi_filter_deactivate_stakeholder_s on lapi_filter_deactivate_stakeholder (event_sequential_id) where first_per_sequential_id;
create table lapi_filter_deactivate_witness (like lapi_filter_activate_stakeholder)
  with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.02);
create index lapi_filter_deactivate_witness_pt on lapi_filter_deactivate_witness (party_id, template_id, event_sequential_id);
create index lapi_filter_deactivate_witness_p on lapi_filter_deactivate_witness (party_id, event_sequential_id);
create index lapi_filter_deactivate_witness_t on lapi_filter_deactivate_witness (template_id, event_sequential_id) where first_per_sequential_id;
create index lapi_filter_deactivate_witness_s on lapi_filter_deactivate_witness (event_sequential_id) where first_per_sequential_id;
create table lapi_filter_various_witness (like lapi_filter_activate_stakeholder)
  with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.02);
create index lapi_filter_various_witness_pt on lapi_filter_various_witness (party_id, template_id, event_sequential_id);
create index lapi_filter_various_witness_p on lapi_filter_various_witness (party_id, event_sequential_id);
create index lapi_filter_various_witness_t on lapi_filter_various_witness (template_id, event_sequential_id) where first_per_sequential_id;
create index lapi_filter_various_witness_s on lapi_filter_various_witness (event_sequential_id) where first_per_sequential_id;

create table lapi_update_meta (
  update_id bytea not null, event_offset bigint not null, publication_time bigint not null, record_time bigint not null,
  synchronizer_id integer not null, event_sequential_id_first bigint not null, event_sequential_id_last bigint not null);
create index lapi_update_meta_update_id on lapi_update_meta using hash (update_id);
create index lapi_update_meta_offset on lapi_update_meta (event_offset);
create index lapi_update_meta_publication on lapi_update_meta (publication_time, event_offset);
create index lapi_update_meta_record on lapi_update_meta (synchronizer_id, record_time, event_offset);
create index lapi_update_meta_last on lapi_update_meta (event_sequential_id_last);
create table lapi_command_completions (
  completion_offset bigint not null, record_time bigint not null, publication_time bigint not null, user_id integer not null,
  submitters bytea not null, command_id varchar collate "C" not null, update_id bytea, submission_id varchar collate "C",
  deduplication_offset bigint, deduplication_duration_seconds bigint, deduplication_duration_nanos integer,
  synchronizer_id integer not null, message_uuid varchar collate "C", is_transaction boolean not null, trace_context bytea,
  rejection_status_code integer, rejection_status_message varchar collate "C", rejection_status_details bytea, traffic_cost bigint);
create index lapi_command_completions_user_offset on lapi_command_completions (user_id, completion_offset);
create index lapi_command_completions_offset on lapi_command_completions (completion_offset);
create index lapi_command_completions_publication on lapi_command_completions (publication_time, completion_offset);
create index lapi_command_completions_record on lapi_command_completions (synchronizer_id, record_time, completion_offset);
create index lapi_command_completions_submission on lapi_command_completions (submission_id) where submission_id is not null;

-- ---------------------------------------------------------------- participant: contracts and journals

create table par_daml_packages (
  package_id varchar(300) collate "C" primary key, data bytea not null, name varchar(300) collate "C" not null,
  version varchar(300) collate "C" not null, uploaded_at bigint not null, package_size bigint not null);
create table par_dars (
  main_package_id varchar(300) collate "C" primary key, data bytea not null,
  description varchar(300) collate "C" not null, name varchar(300) collate "C" not null, version varchar(300) collate "C" not null);
create table par_dar_packages (
  main_package_id varchar(300) collate "C" not null references par_dars on delete cascade,
  package_id varchar(300) collate "C" not null references par_daml_packages, primary key (main_package_id, package_id));
create index idx_par_dar_packages_package on par_dar_packages (package_id);
create table par_contracts (
  internal_contract_id bigint generated always as identity primary key,
  contract_id bytea not null unique, instance bytea not null,
  package_id varchar(300) collate "C" not null, template_id varchar collate "C" not null
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.02);
create index idx_par_contracts_package on par_contracts (package_id, template_id);
create table par_active_contracts (
  synchronizer_idx integer not null, contract_id bytea not null, change change_type not null, operation operation_type not null,
  ts bigint not null, repair_counter bigint not null, remote_synchronizer_idx integer, reassignment_counter bigint,
  primary key (synchronizer_idx, contract_id, ts, repair_counter, change));
create index idx_par_active_contracts_contract on par_active_contracts (contract_id);
create index idx_par_active_contracts_ts on par_active_contracts (synchronizer_idx, ts, change, repair_counter, contract_id);
create index idx_par_active_contracts_pruning on par_active_contracts (synchronizer_idx, ts) where change = 'deactivation';
create table par_active_contract_pruning (
  synchronizer_idx integer primary key, phase pruning_phase not null, ts bigint not null, succeeded bigint);
create table par_journal_requests (
  physical_synchronizer_idx integer not null, request_counter bigint not null, request_state_index smallint not null,
  request_timestamp bigint not null, commit_time bigint, repair_context varchar(300) collate "C",
  primary key (physical_synchronizer_idx, request_counter));
create index idx_par_journal_requests_timestamp on par_journal_requests (physical_synchronizer_idx, request_timestamp);
create index idx_par_journal_requests_commit on par_journal_requests (physical_synchronizer_idx, commit_time);
create table par_fresh_submitted_transaction (
  physical_synchronizer_idx integer not null, root_hash_hex varchar(300) collate "C" not null,
  request_id bigint not null, max_sequencing_time bigint not null, primary key (physical_synchronizer_idx, root_hash_hex));
create index idx_par_fresh_submitted_transaction on par_fresh_submitted_transaction (physical_synchronizer_idx, max_sequencing_time);
create table par_fresh_submitted_transaction_pruning (
  physical_synchronizer_idx integer primary key, phase pruning_phase not null, ts bigint not null, succeeded bigint);
create table par_in_flight_submission (
  change_id_hash varchar(300) collate "C" primary key, submission_id varchar(300) collate "C",
  submission_synchronizer_id varchar(300) collate "C" not null, message_id varchar(300) collate "C" not null,
  root_hash_hex varchar(300) collate "C", sequencing_timeout bigint, sequencer_counter bigint, sequencing_time bigint,
  tracking_data bytea, trace_context bytea not null);
create index idx_par_in_flight_root_hash on par_in_flight_submission (root_hash_hex);
create index idx_par_in_flight_timeout on par_in_flight_submission (submission_synchronizer_id, sequencing_timeout);
create index idx_par_in_flight_sequencing on par_in_flight_submission (submission_synchronizer_id, sequencing_time);
create index idx_par_in_flight_message on par_in_flight_submission (submission_synchronizer_id, message_id);
create table par_command_deduplication (
  change_id_hash varchar(300) collate "C" primary key, user_id varchar(300) collate "C" not null, command_id varchar(300) collate "C" not null,
  act_as bytea not null, offset_definite_answer bigint not null, publication_time_definite_answer bigint not null,
  submission_id_definite_answer varchar(300) collate "C", trace_context_definite_answer bytea not null,
  offset_acceptance bigint, publication_time_acceptance bigint, submission_id_acceptance varchar(300) collate "C", trace_context_acceptance bytea);
create index idx_par_command_dedup_offset on par_command_deduplication (offset_definite_answer);
create table par_command_deduplication_pruning (
  client varchar(300) collate "C" primary key, pruning_offset varchar(300) collate "C" not null, publication_time bigint not null);
create table par_reassignments (
  target_synchronizer_idx integer not null, source_synchronizer_idx integer not null, reassignment_id varchar collate "C" not null,
  unassignment_global_offset bigint, assignment_global_offset bigint, unassignment_timestamp bigint,
  source_protocol_version integer, contracts bytea[] not null, unassignment_data bytea, assignment_timestamp bigint,
  primary key (target_synchronizer_idx, reassignment_id));
create index idx_par_reassignments_unassigned on par_reassignments (unassignment_global_offset) where unassignment_global_offset is not null;
create index idx_par_reassignments_assigned on par_reassignments (assignment_global_offset) where assignment_global_offset is not null;

-- ---------------------------------------------------------------- participant: synchronizers, settings, pruning

create table par_synchronizer_connection_configs (
  synchronizer_alias varchar(300) collate "C" not null,
  physical_synchronizer_id varchar(300) collate "C",
  empty_if_null_physical_synchronizer_id varchar(300) collate "C" generated always as (coalesce(physical_synchronizer_id, '')) stored,
  config bytea not null, status char(1) not null default 'A', synchronizer_predecessor bytea,
  primary key (synchronizer_alias, empty_if_null_physical_synchronizer_id));
create table par_registered_synchronizers (
  physical_synchronizer_id varchar(300) collate "C" primary key, synchronizer_alias varchar(300) collate "C" not null);
create table par_synchronizer_connectivity_status (
  physical_synchronizer_id varchar(300) collate "C" primary key, params bytea not null, is_topology_initialized boolean not null);
create table par_settings (
  client integer primary key, max_infight_validation_requests integer, max_submission_rate integer,
  max_deduplication_duration bytea, max_submission_burst_factor double precision not null default 0.5);
create table par_pruning_operation (
  name varchar(40) collate "C" primary key, started_up_to_inclusive bigint, completed_up_to_inclusive bigint);
create table par_pruning_schedules (
  lock char(1) primary key default 'X' check (lock = 'X'), cron varchar(300) collate "C" not null,
  max_duration bigint not null, retention bigint not null, prune_internally_only boolean not null default false);
create table par_pending_operations (
  operation_name varchar(300) collate "C" not null, operation_key varchar(300) collate "C" not null,
  operation bytea not null, synchronizer_id varchar(300) collate "C" not null,
  primary key (synchronizer_id, operation_name, operation_key));
create table par_party_replication (
  id varchar(300) collate "C" primary key, party varchar(300) collate "C" not null, synchronizer_id varchar(300) collate "C" not null, state bytea not null);
create table par_lsu_state (
  physical_synchronizer_id varchar(300) collate "C" primary key, successor bytea, upgrade_time bigint, step varchar(40) collate "C");
create table par_external_hashes (tx_hash varchar(300) collate "C" primary key, recorded_at bigint not null);

-- ---------------------------------------------------------------- participant: commitments

create table par_computed_acs_commitments (
  synchronizer_idx integer not null, counter_participant varchar(300) collate "C" not null,
  from_exclusive bigint not null, to_inclusive bigint not null, commitment bytea not null,
  primary key (synchronizer_idx, counter_participant, from_exclusive, to_inclusive),
  constraint check_nonempty_interval_computed check (to_inclusive > from_exclusive));
create table par_received_acs_commitments (
  synchronizer_idx integer not null, sender varchar(300) collate "C" not null,
  from_exclusive bigint not null, to_inclusive bigint not null, signed_commitment bytea not null,
  constraint check_to_after_from check (to_inclusive > from_exclusive));
create index idx_par_received_acs_commitments on par_received_acs_commitments (synchronizer_idx, sender, from_exclusive, to_inclusive);
create table par_outstanding_acs_commitments (
  synchronizer_idx integer not null, counter_participant varchar(300) collate "C" not null,
  from_exclusive bigint not null, to_inclusive bigint not null, matching_state smallint not null, multi_hosted_cleared boolean not null default false,
  constraint check_nonempty_interval_outstanding check (to_inclusive > from_exclusive));
create unique index idx_par_outstanding_acs_unique on par_outstanding_acs_commitments (synchronizer_idx, counter_participant, from_exclusive, to_inclusive);
create index idx_par_outstanding_acs_by_time on par_outstanding_acs_commitments (synchronizer_idx, from_exclusive);
create table par_last_computed_acs_commitments (synchronizer_idx integer primary key, ts bigint not null);
create table par_commitment_snapshot (
  synchronizer_idx integer not null, stakeholders_hash varchar(300) collate "C" not null, stakeholders bytea not null,
  commitment bytea not null, primary key (synchronizer_idx, stakeholders_hash));
create table par_commitment_snapshot_time (synchronizer_idx integer primary key, ts bigint not null, tie_breaker bigint not null);
create table par_commitment_checkpoint_snapshot (like par_commitment_snapshot including all);
create table par_commitment_checkpoint_snapshot_time (like par_commitment_snapshot_time including all);
create table par_commitment_reinitialization (
  synchronizer_idx integer primary key, ts_reinit_started bigint, ts_reinit_completed bigint);
create table par_commitment_queue (
  synchronizer_idx integer not null, sender varchar(300) collate "C" not null, counter_participant varchar(300) collate "C" not null,
  from_exclusive bigint not null, to_inclusive bigint not null, commitment bytea not null, commitment_hash varchar(300) collate "C" not null,
  constraint check_nonempty_interval_queue check (to_inclusive > from_exclusive),
  primary key (synchronizer_idx, sender, counter_participant, from_exclusive, to_inclusive, commitment_hash));
create index idx_par_commitment_queue_by_time on par_commitment_queue (synchronizer_idx, to_inclusive);
create table par_commitment_pruning (
  synchronizer_idx integer primary key, phase pruning_phase not null, ts bigint not null, succeeded bigint);
create table acs_slow_participant_config (
  synchronizer_id varchar collate "C" primary key, threshold_distinguished bigint not null, threshold_default bigint not null);
create table acs_slow_counter_participants (
  synchronizer_id varchar collate "C" not null, participant_id varchar collate "C" not null,
  is_distinguished boolean not null, is_added_to_metrics boolean not null, primary key (synchronizer_id, participant_id));
create table acs_no_wait_counter_participants (
  synchronizer_id varchar collate "C" not null, participant_id varchar collate "C" not null, primary key (synchronizer_id, participant_id));
create table par_acs_mismatches (
  synchronizer_idx integer not null, counter_participant varchar(300) collate "C" not null, detected_at bigint not null,
  details bytea, primary key (synchronizer_idx, counter_participant, detected_at));

-- a sequence of its own: no column owns it
create sequence participant_event_publisher_local_offsets as bigint start with 1000 increment by 1 cache 20;

-- ---------------------------------------------------------------- sequencer and mediator: empty in a participant

create table sequencer_members (
  member varchar(300) collate "C" primary key, id integer generated always as identity unique,
  registered_ts bigint not null, pruned_previous_event_timestamp bigint, enabled boolean not null default true);
create table sequencer_payloads (id bigint primary key, instance_discriminator varchar(36) collate "C" not null, content bytea not null);
alter table sequencer_payloads alter column content set storage external;
create table sequencer_watermarks (node_index integer primary key, watermark_ts bigint not null, sequencer_online boolean not null);
create table sequencer_acknowledgements (member integer primary key, ts bigint not null);
create table sequencer_lower_bound (
  single_row_lock char(1) not null default 'X' primary key check (single_row_lock = 'X'), ts bigint not null, latest_topology_client_timestamp bigint);
create table sequencer_events (
  ts bigint primary key, node_index smallint not null, event_type char(1) not null check (event_type in ('D', 'E', 'R')),
  message_id varchar(300) collate "C", sender integer, recipients integer[], payload_id bigint, topology_timestamp bigint,
  trace_context bytea not null, error bytea, consumed_cost bigint, extra_traffic_consumed bigint, base_traffic_remainder bigint
) with (autovacuum_vacuum_insert_scale_factor = 0.0, autovacuum_vacuum_insert_threshold = 100000);
create index idx_sequencer_events_node on sequencer_events (node_index, ts);
create table sequencer_event_recipients (
  ts bigint not null, recipient_id integer not null, node_index smallint not null, is_topology_event boolean not null,
  primary key (node_index, recipient_id, ts)
) with (autovacuum_vacuum_insert_scale_factor = 0.0, autovacuum_vacuum_insert_threshold = 100000);
create index idx_sequencer_event_recipients_topology on sequencer_event_recipients (node_index, recipient_id, ts) where is_topology_event;
create table sequencer_synchronizer_configuration (
  lock char(1) not null default 'X' primary key check (lock = 'X'), synchronizer_id varchar(300) collate "C" not null, static_synchronizer_parameters bytea not null);
create table sequencer_rate_limits (member varchar(300) collate "C" primary key, burst integer not null, per_second integer not null);
create table sequencer_predecessor (
  lock char(1) not null default 'X' primary key check (lock = 'X'), physical_synchronizer_id varchar(300) collate "C" not null, upgrade_time bigint not null);
create table seq_block_height (
  height bigint primary key, latest_event_ts bigint not null, latest_sequencer_event_ts bigint, latest_pending_topology_ts bigint);
create index idx_seq_block_height_ts on seq_block_height (latest_event_ts);
create table seq_in_flight_aggregation (
  aggregation_id varchar(300) collate "C" primary key, max_sequencing_time bigint not null, aggregation_rule bytea not null);
create index idx_seq_in_flight_aggregation_time on seq_in_flight_aggregation (max_sequencing_time);
create table seq_in_flight_aggregated_sender (
  aggregation_id varchar(300) collate "C" not null references seq_in_flight_aggregation on delete cascade,
  sender varchar(300) collate "C" not null, sequencing_timestamp bigint not null, signatures bytea not null, primary key (aggregation_id, sender));
create index idx_seq_in_flight_sender_time on seq_in_flight_aggregated_sender (sequencing_timestamp);
create table seq_traffic_control_balance_updates (
  member varchar(300) collate "C" not null, sequencing_timestamp bigint not null, balance bigint not null, serial bigint not null,
  primary key (member, sequencing_timestamp));
create index idx_seq_traffic_balance_time on seq_traffic_control_balance_updates (sequencing_timestamp);
create table seq_traffic_control_consumed_journal (
  member varchar(300) collate "C" not null, sequencing_timestamp bigint not null, extra_traffic_consumed bigint not null,
  base_traffic_remainder bigint not null, last_consumed_cost bigint not null, primary key (member, sequencing_timestamp));
create index idx_seq_traffic_consumed_time on seq_traffic_control_consumed_journal (sequencing_timestamp);
create table seq_traffic_control_initial_timestamp (initial_timestamp bigint not null primary key);
create table seq_traffic_summaries (
  member varchar(300) collate "C" not null, day date not null, submitted bigint not null default 0, primary key (member, day));
create table med_response_aggregations (
  request_id bigint not null primary key, mediator_confirmation_request bytea not null, version bigint not null,
  verdict bytea not null, request_trace_context bytea not null, finalization_time bigint not null);
create index idx_med_response_aggregations_version on med_response_aggregations (version);
create index idx_med_response_aggregations_final on med_response_aggregations (finalization_time, request_id);
create table mediator_deduplication_store (
  mediator_id varchar(300) collate "C" not null, uuid varchar(36) collate "C" not null, request_time bigint not null, expire_after bigint not null);
create index idx_mediator_deduplication_expire on mediator_deduplication_store (expire_after, mediator_id);
create table mediator_synchronizer_configuration (
  lock char(1) not null default 'X' primary key check (lock = 'X'), synchronizer_id varchar(300) collate "C" not null,
  static_synchronizer_parameters bytea not null, sequencer_connection bytea not null, is_topology_initialized boolean not null default false);
create table mediator_verdict_cursors (client varchar(300) collate "C" primary key, ts bigint not null, tie_breaker bigint not null);

-- ---------------------------------------------------------------- block ordering: partitioned by epoch

create table ord_p2p_endpoints (
  address varchar collate "C" not null, port smallint not null, transport_security boolean not null,
  custom_server_trust_certificates bytea, client_certificate_chain bytea, client_private_key_file varchar collate "C", primary key (address, port, transport_security));
create table ord_output_lower_bound (
  single_row_lock char(1) not null default 'X' primary key check (single_row_lock = 'X'), epoch_number bigint not null, block_number bigint not null);
create table ord_epochs (
  epoch_number bigint not null primary key, start_block_number bigint not null, epoch_length bigint not null,
  topology_ts bigint not null, in_progress boolean not null) partition by range (epoch_number);
create table ord_availability_batch (
  id varchar collate "C" not null, batch bytea not null, epoch_number bigint not null, primary key (epoch_number, id)) partition by range (epoch_number);
create table ord_pbft_messages_in_progress (
  block_number bigint not null, epoch_number bigint not null, view_number smallint not null, message bytea not null,
  discriminator smallint not null, from_sequencer_id varchar collate "C" not null,
  primary key (epoch_number, block_number, view_number, from_sequencer_id, discriminator)) partition by range (epoch_number);
create table ord_pbft_messages_completed (
  block_number bigint not null, epoch_number bigint not null, message bytea not null, discriminator smallint not null,
  from_sequencer_id varchar collate "C" not null,
  primary key (epoch_number, block_number, from_sequencer_id, discriminator)) partition by range (epoch_number);
create table ord_metadata_output_blocks (
  epoch_number bigint not null, block_number bigint not null, bft_ts bigint not null, primary key (epoch_number, block_number)) partition by range (epoch_number);
create table ord_metadata_output_epochs (
  epoch_number bigint not null primary key, could_alter_ordering_topology boolean not null) partition by range (epoch_number);
create table ord_leader_selection_state (epoch_number bigint not null primary key, state bytea not null) partition by range (epoch_number);

create function create_partitions_for_epoch_range(first_epoch bigint, last_epoch bigint, suffix text) returns void language plpgsql as $$
declare parent text;
begin
  foreach parent in array array['ord_epochs', 'ord_availability_batch', 'ord_pbft_messages_in_progress', 'ord_pbft_messages_completed',
                                'ord_metadata_output_blocks', 'ord_metadata_output_epochs', 'ord_leader_selection_state'] loop
    execute format('create table if not exists %I partition of %I for values from (%s) to (%s)', parent || suffix, parent, first_epoch, last_epoch);
  end loop;
end $$;
select create_partitions_for_epoch_range(0, 1500, '_p0');
select create_partitions_for_epoch_range(1500, 3000, '_p1');
create index idx_ord_availability_batch_id on ord_availability_batch (id);
