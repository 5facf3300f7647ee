-- Appends the ledger updates of offsets $1+1 to $2: one transaction each with a
-- create and, from the 41st on, an archival of the contract 40 before. The same
-- offset always makes the same bytes. $3: leave the requests pending, as a
-- participant does until it has committed them.
with base as materialized (
  select o, 1760000000000000 + o * 700000 as ts,
    '\x1220'::bytea || sha256(convert_to('update ' || o, 'UTF8')) as update_id,
    left(encode(sha256(convert_to('command ' || o, 'UTF8')), 'hex'), 32) as command_id,
    encode(sha256(convert_to('trace ' || o, 'UTF8')), 'hex') as trace,
    '\x00'::bytea || sha256(convert_to('contract ' || o, 'UTF8')) || '\xca1212'::bytea
      || substring(sha512(convert_to('suffix ' || o, 'UTF8')) from 1 for 34) as contract_id,
    case when o > 40 then '\x00'::bytea || sha256(convert_to('contract ' || o - 40, 'UTF8')) || '\xca1212'::bytea
      || substring(sha512(convert_to('suffix ' || o - 40, 'UTF8')) from 1 for 34) end as archived_id
  from generate_series($1::bigint + 1, $2::bigint) o
), updates as materialized (
  select base.*, '\x0a370a35'::bytea || convert_to('00-' || left(trace, 32) || '-' || right(trace, 16) || '-01', 'UTF8') as trace_context
  from base
), skeleton as materialized (
  -- what contracts of one template have in common, and the parties in them
  select convert_to(repeat('splice-amulet:Splice.Amulet:Amulet/dso/owner/amount/initialAmount/createdAt/', 2), 'UTF8') as template,
         convert_to('DSO::1220' || encode(sha256('dso'), 'hex') || 'validator-operator', 'UTF8') as party
), sequenced as (
  insert into participant.common_sequenced_events (physical_synchronizer_idx, sequenced_event, type, ts, sequencer_counter, trace_context, ignore)
  select 5, '\x0a1408051a10'::bytea || substring(
      (select string_agg(sha512(convert_to('event ' || o || ' ' || k, 'UTF8')), '' order by k) from generate_series(0, 36) k where k * 64 < 900 + o * 37 % 1400)
      from 1 for (900 + o * 37 % 1400)::int), 'del', ts, o, trace_context, false
  from updates
), contracts as (
  insert into participant.par_contracts (internal_contract_id, contract_id, instance, package_id, template_id) overriding system value
  select o, contract_id, template || party || substring(
      (select string_agg(sha512(convert_to('instance ' || o || ' ' || k, 'UTF8')), '' order by k) from generate_series(0, 13) k where k * 64 < 380 + o * 53 % 500)
      from 1 for (380 + o * 53 % 500)::int) || party,
    encode(sha256(convert_to('package ' || o % 9, 'UTF8')), 'hex'),
    'Splice.' || (array['Amulet:Amulet', 'Amulet:LockedAmulet', 'Amulet:AppRewardCoupon', 'Amulet:ValidatorRewardCoupon', 'Round:OpenMiningRound', 'AmuletTransferInstruction:AmuletTransferInstruction'])[1 + o % 6]
  from updates, skeleton
), activations as (
  insert into participant.lapi_events_activate_contract (event_offset, update_id, workflow_id, command_id, submitters, record_time, synchronizer_id,
    trace_context, event_type, event_sequential_id, node_id, representative_package_id, internal_contract_id, traffic_cost)
  select o, update_id, '', command_id, '\x0102', ts, 1, trace_context, 1, 2 * o, 3, 10 + (o % 9)::int, o, 900 + o * 37 % 1400
  from updates
), deactivations as (
  insert into participant.lapi_events_deactivate_contract (event_offset, update_id, workflow_id, command_id, submitters, record_time, synchronizer_id,
    trace_context, event_type, event_sequential_id, node_id, deactivated_event_sequential_id, exercise_choice, exercise_argument, exercise_result,
    exercise_actors, exercise_last_descendant_node_id, contract_id, internal_contract_id, template_id, package_id, stakeholders, ledger_effective_time, traffic_cost)
  select o, update_id, '', command_id, '\x0102', ts, 1, trace_context, 3, 2 * o + 1, 1, 2 * (o - 40), 27,
    party || sha512(convert_to('argument ' || o, 'UTF8')) || sha512(convert_to('more ' || o, 'UTF8')), sha512(convert_to('result ' || o, 'UTF8')) || sha256(convert_to('result ' || o, 'UTF8')),
    '\x0102', 4, archived_id, o - 40, 20 + (o % 6)::int, 10 + (o % 9)::int, '\x010203', ts, 0
  from updates, skeleton where o > 40
), witnessed as (
  insert into participant.lapi_events_various_witnessed (event_offset, update_id, workflow_id, command_id, submitters, record_time, synchronizer_id,
    trace_context, event_type, event_sequential_id, node_id, consuming, exercise_choice, exercise_argument, exercise_actors, contract_id, template_id, package_id, ledger_effective_time)
  select o, update_id, '', command_id, '\x0102', ts, 1, trace_context, 5, 2 * o + 1, 0, false, 26, sha256(convert_to('witness ' || o, 'UTF8')), '\x01', contract_id, 21, 11, ts
  from updates where o <= 40 or o % 7 = 0
), stakeholders as (
  insert into participant.lapi_filter_activate_stakeholder select 2 * o, 20 + (o % 6)::int, 1 + p, p = 1 from updates, generate_series(1, 3) p
), archivers as (
  insert into participant.lapi_filter_deactivate_stakeholder select 2 * o + 1, 20 + (o % 6)::int, 1 + p, p = 1 from updates, generate_series(1, 2) p where o > 40
), witnesses as (
  insert into participant.lapi_filter_various_witness select 2 * o + 1, 21, 2, true from updates where o <= 40 or o % 7 = 0
), metas as (
  insert into participant.lapi_update_meta (update_id, event_offset, publication_time, record_time, synchronizer_id, event_sequential_id_first, event_sequential_id_last)
  select update_id, o, ts + 90000, ts, 1, 2 * o, 2 * o + 1 from updates
), completions as (
  insert into participant.lapi_command_completions (completion_offset, record_time, publication_time, user_id, submitters, command_id, update_id, submission_id, synchronizer_id, is_transaction, trace_context)
  select o, ts, ts + 90000, 30, '\x0102', command_id, update_id, md5('submission ' || o)::uuid::text, 1, true, trace_context from updates where o % 3 = 0
), activated as (
  insert into participant.par_active_contracts (synchronizer_idx, contract_id, change, operation, ts, repair_counter)
  select 1, contract_id, 'activation', 'create', ts, -1 from updates
), deactivated as (
  insert into participant.par_active_contracts (synchronizer_idx, contract_id, change, operation, ts, repair_counter)
  select 1, archived_id, 'deactivation', 'archive', ts, -1 from updates where o > 40
), commitments as (
  insert into participant.par_computed_acs_commitments (synchronizer_idx, counter_participant, from_exclusive, to_inclusive, commitment)
  select 1, 'PAR::participant-' || n || '::1220' || encode(sha256(convert_to('counter ' || n, 'UTF8')), 'hex'), ts - 1800000000, ts, sha256(convert_to('commitment ' || n || ' ' || o, 'UTF8'))
  from updates, generate_series(1, 13) n where o % 64 = 0
)
insert into participant.par_journal_requests (physical_synchronizer_idx, request_counter, request_state_index, request_timestamp, commit_time)
select 5, o, case when $3 then 0 else 2 end, ts, case when $3 then null else ts + 200000 end from updates
