-- The debug schema of a participant's database: one readable view per table,
-- made of functions that themselves read tables and views, and views over those
-- views. It holds no data, and it is the part of the schema that is hard to put
-- back in the right order.

create schema debug;
set search_path = debug, participant;

create function canton_timestamp(bigint) returns varchar(300) immutable returns null on null input language sql as
  $$ select to_char(to_timestamp($1 / 1000000.0) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;
create function resolve_common_static_string(integer) returns varchar(300) stable returns null on null input language sql as
  $$ select string from participant.common_static_strings where id = $1 $$;
create function resolve_lapi_interned_string(integer) returns text stable returns null on null input language sql as
  $$ select substring(external_string from 3) from participant.lapi_string_interning where internal_id = $1 $$;
create function resolve_lapi_user(integer) returns text stable returns null on null input language sql as
  $$ select user_id from participant.lapi_users where internal_id = $1 $$;
create function resolve_sequencer_member(integer) returns varchar(300) stable returns null on null input language sql as
  $$ select member from participant.sequencer_members where id = $1 $$;
create function key_purpose(smallint) returns varchar(300) immutable returns null on null input language sql as
  $$ select case $1 when 0 then 'Signing' when 1 then 'Encryption' else $1::text end $$;
create function topology_change_op(integer) returns varchar(300) immutable returns null on null input language sql as
  $$ select case $1 when 1 then 'Remove' when 2 then 'Replace' else $1::text end $$;
create function topology_mapping(integer) returns varchar(300) immutable returns null on null input language sql as
  $$ select case $1 when 1 then 'NamespaceDelegation' when 3 then 'OwnerToKeyMapping' when 7 then 'VettedPackages' when 8 then 'PartyToParticipant' else $1::text end $$;
create function event_type(smallint) returns text immutable returns null on null input language sql as
  $$ select (array['create', 'assign', 'consuming-exercise', 'unassign', 'non-consuming-exercise', 'witnessed-create', 'witnessed-exercise', 'topology'])[$1] $$;
create function user_right(integer) returns text immutable returns null on null input language sql as
  $$ select (array['ParticipantAdmin', 'CanActAs', 'CanReadAs', 'IdentityProviderAdmin', 'CanReadAsAnyParty', 'CanExecuteAs', 'CanExecuteAsAnyParty', 'CanActAsAnyParty'])[$1] $$;
create function key_usage(integer) returns text immutable returns null on null input language sql as
  $$ select (array['Namespace', 'IdentityDelegation', 'SequencerAuthentication', 'Protocol', 'ProofOfOwnership'])[$1] $$;
create function key_usages(integer[]) returns text[] immutable returns null on null input language sql as
  $$ select array_agg(debug.key_usage(u)) from unnest($1) u $$;
create function journal_state(smallint) returns text immutable returns null on null input language sql as
  $$ select (array['Pending', 'Confirmed', 'Clean'])[$1 + 1] $$;
create function bytes_as_hex(bytea) returns text immutable returns null on null input language sql as $$ select encode($1, 'hex') $$;

-- one view per table, with the columns made readable
do $views$
declare
  source record;
  columns text;
begin
  for source in
    select c.oid, c.relname from pg_class c
    where c.relnamespace = 'participant'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    order by c.relname
  loop
    select string_agg(case
        when a.attname like '%synchronizer_idx' then format('debug.resolve_common_static_string(%I) as %I', a.attname, regexp_replace(a.attname, '_idx$', ''))
        when a.atttypid = 'integer'::regtype and source.relname like 'lapi_%' and a.attname in
          ('synchronizer_id', 'template_id', 'party_id', 'package_id', 'representative_package_id', 'exercise_choice', 'for_party', 'participant_id')
          then format('debug.resolve_lapi_interned_string(%I) as %I', a.attname, a.attname)
        when a.atttypid = 'bigint'::regtype and (a.attname ~ '(^|_)(ts|time|timestamp)$' or a.attname ~ '_(at|inclusive|exclusive)$' and source.relname !~ 'pruning_operation|parameters')
          then format('debug.canton_timestamp(%I) as %I', a.attname, a.attname)
        when a.atttypid = 'bytea'::regtype and a.attname in ('contract_id', 'update_id', 'reassignment_id') then format('debug.bytes_as_hex(%I) as %I', a.attname, a.attname)
        when a.attname = 'purpose' then 'debug.key_purpose(purpose) as purpose'
        when a.attname = 'key_usage' then 'debug.key_usages(key_usage) as key_usage'
        when a.attname = 'event_type' and a.atttypid = 'smallint'::regtype then 'debug.event_type(event_type) as event_type'
        when a.attname = 'user_right' then 'debug.user_right(user_right) as user_right'
        when a.attname = 'request_state_index' then 'debug.journal_state(request_state_index) as request_state'
        when a.attname = 'transaction_type' then 'debug.topology_mapping(transaction_type) as transaction_type'
        else quote_ident(a.attname) end, ', ' order by a.attnum)
      into columns
      from pg_attribute a where a.attrelid = source.oid and a.attnum > 0 and not a.attisdropped;
    execute format('create view debug.%I as select %s from participant.%I', source.relname, columns, source.relname);
  end loop;
end $views$;

-- functions that read the views, and views that call those functions
create function ledger_end_of(participant text) returns bigint stable language sql as
  $$ select ledger_end from debug.lapi_parameters where participant_id = participant $$;
create view node_summary as
  select n.identifier || '::' || n.namespace as participant_id, debug.ledger_end_of(n.identifier || '::' || n.namespace) as ledger_end,
         p.participant_pruned_up_to_inclusive, p.ledger_end_publication_time, (select count(*) from debug.common_crypto_private_keys) as private_keys
  from debug.common_node_id n left join debug.lapi_parameters p on p.participant_id = n.identifier || '::' || n.namespace;
create function summary_of(participant text) returns setof node_summary stable language sql as
  $$ select * from debug.node_summary where participant_id = participant $$;
create view users_with_rights as
  select u.user_id, u.primary_party, array_agg(r.user_right order by r.user_right) filter (where r.user_right is not null) as rights
  from debug.lapi_users u left join debug.lapi_user_rights r on r.user_internal_id = u.internal_id group by u.user_id, u.primary_party;
create view admin_users as select user_id, primary_party from users_with_rights where 'ParticipantAdmin' = any (rights);
create view active_contracts as
  select distinct on (a.synchronizer, a.contract_id) a.* from debug.par_active_contracts a order by a.synchronizer, a.contract_id, a.ts desc;
create view active_contract_instances as
  select a.synchronizer, a.contract_id, c.template_id, octet_length(c.instance) as instance_size
  from debug.active_contracts a join debug.par_contracts c using (contract_id) where a.change = 'activation';
create view contracts_by_template as
  select template_id, count(*) as contracts, sum(instance_size) as bytes from debug.active_contract_instances group by template_id;
