-- Moves the ledger end to offset $1, with everything that moves with it.
with parameters as (
  update participant.lapi_parameters set ledger_end = $1::bigint, ledger_end_sequential_id = 2 * $1::bigint + 1, ledger_end_string_interning_id = 40,
    ledger_end_publication_time = 1760000000090000 + $1::bigint * 700000
), synchronizer as (
  insert into participant.lapi_ledger_end_synchronizer_index (synchronizer_id, sequencer_timestamp, record_time)
  values (1, 1760000000000000 + $1::bigint * 700000, 1760000000000000 + $1::bigint * 700000)
  on conflict (synchronizer_id) do update set sequencer_timestamp = excluded.sequencer_timestamp, record_time = excluded.record_time
), processed as (
  update participant.lapi_post_processing_end set post_processing_end = $1::bigint
)
insert into participant.common_head_sequencer_counters (physical_synchronizer_idx, prehead_counter, ts)
values (5, $1::bigint, 1760000000000000 + $1::bigint * 700000)
on conflict (physical_synchronizer_idx) do update set prehead_counter = excluded.prehead_counter, ts = excluded.ts
