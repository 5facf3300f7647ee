-- What a participant knows from its first day: placeholders in @ signs are
-- replaced before it is run.
insert into participant.common_node_id values ('@identifier@', '@namespace@');
insert into participant.lapi_parameters (participant_id) values ('@identifier@::@namespace@');
insert into participant.lapi_post_processing_end values (null);

insert into participant.common_static_strings (id, string, source) overriding system value values
  (1, 'global-domain::@synchronizer@', 'synchronizer_id'),
  (2, '@identifier@::@namespace@', 'participant_id'),
  (5, 'global-domain::@synchronizer@::35-5', 'physical_synchronizer_id'),
  (6, 'global-domain::@synchronizer@::34-4', 'physical_synchronizer_id');
select setval('participant.common_static_strings_id_seq', 6);

insert into participant.lapi_string_interning values
  (1, 'd|global-domain::@synchronizer@'), (2, 'p|@party@'), (3, 'p|alice::@namespace@'), (4, 'p|DSO::@synchronizer@'),
  (5, 'p|exchange::@namespace@'), (30, 'u|ledger-api-user'), (40, 'm|@identifier@::@namespace@');
insert into participant.lapi_string_interning select 10 + n, 'i|' || encode(sha256(convert_to('package ' || n, 'UTF8')), 'hex') from generate_series(0, 8) n;
insert into participant.lapi_string_interning select 20 + n, 't|#splice-amulet:Splice.Amulet:' || (array['Amulet', 'LockedAmulet', 'AppRewardCoupon', 'ValidatorRewardCoupon', 'OpenMiningRound', 'TransferInstruction'])[1 + n] from generate_series(0, 5) n;
insert into participant.lapi_string_interning values (26, 'c|Transfer'), (27, 'c|Archive');

insert into participant.par_registered_synchronizers values
  ('global-domain::@synchronizer@::34-4', 'global'), ('global-domain::@synchronizer@::35-5', 'global');
insert into participant.par_synchronizer_connection_configs (synchronizer_alias, physical_synchronizer_id, config, status, synchronizer_predecessor) values
  ('global', 'global-domain::@synchronizer@::34-4', sha512('old connection'), 'I', null),
  ('global', 'global-domain::@synchronizer@::35-5', sha512('connection'), 'A', convert_to('global-domain::@synchronizer@::34-4', 'UTF8'));
insert into participant.par_synchronizer_connectivity_status values
  ('global-domain::@synchronizer@::34-4', sha256('parameters 34'), true), ('global-domain::@synchronizer@::35-5', sha256('parameters 35'), true);
insert into participant.par_settings (client) values (0);
insert into participant.par_pruning_schedules (cron, max_duration, retention, prune_internally_only) values ('0 0 /6 * * ?', 1800, 172800, false);
insert into participant.par_pruning_operation values ('', null, null);

insert into participant.lapi_users (internal_id, user_id, primary_party, created_at) overriding system value values
  (1, 'participant_admin', null, 1760000000000000), (2, '@user@', '@party@', 1760000001000000),
  (3, 'administrator', '@party@', 1760000002000000), (4, 'alice', 'alice::@namespace@', 1760000003000000);
select setval('participant.lapi_users_internal_id_seq', 4);
insert into participant.lapi_user_rights values
  (1, 1, null, 1760000000000000), (2, 1, null, 1760000001000000), (2, 2, 2, 1760000001000000), (3, 2, 2, 1760000002000000),
  (3, 3, 2, 1760000002000000), (4, 2, 3, 1760000003000000), (4, 3, 4, 1760000003000000);
insert into participant.lapi_party_records (internal_id, party, resource_version, created_at) overriding system value values
  (1, '@party@', 0, 1760000001000000), (2, 'alice::@namespace@', 0, 1760000003000000);
select setval('participant.lapi_party_records_internal_id_seq', 2);
insert into participant.lapi_party_record_annotations values (1, 'splice.lfdecentralizedtrust.org/app', 'validator', 1760000001000000);
insert into participant.lapi_party_entries (ledger_offset, recorded_at, party, typ, is_local, party_id) values
  (1, 1760000001000000, '@party@', 'accept', true, 2), (2, 1760000003000000, 'alice::@namespace@', 'accept', true, 3), (3, 1760000004000000, 'DSO::@synchronizer@', 'accept', false, 4);

insert into participant.par_dars values (encode(sha256('dar'), 'hex'), (select string_agg(sha512(convert_to('dar ' || k, 'UTF8')), '' order by k) from generate_series(1, 4000) k), 'splice-amulet-0.1.16', 'splice-amulet', '0.1.16');
insert into participant.par_daml_packages select encode(sha256(convert_to('package ' || n, 'UTF8')), 'hex'),
  (select string_agg(sha512(convert_to('package ' || n || ' ' || k, 'UTF8')), '' order by k) from generate_series(1, 1500) k), 'splice-part-' || n, '0.1.' || n, 1760000000000000, 96000
  from generate_series(0, 8) n;
insert into participant.par_dar_packages select encode(sha256('dar'), 'hex'), package_id from participant.par_daml_packages;

insert into participant.common_topology_transactions (store_id, sequenced, transaction_type, namespace, identifier, mapping_key_hash, serial_counter,
  valid_from, valid_until, operation, instance, tx_hash, is_proposal, representative_protocol_version, hash_of_signatures)
select 'global-domain::@synchronizer@::35-5', 1760000000000000 + n, (array[1, 3, 7, 8])[1 + n % 4], '@namespace@', 'member-' || n, md5('mapping ' || n), 1,
  1760000000000000 + n, case when n % 3 = 0 then 1760000009000000 + n end, 2, sha512(convert_to('mapping ' || n, 'UTF8')) || sha512(convert_to('signature ' || n, 'UTF8')),
  md5('tx ' || n), n % 50 = 0, 35, md5('signatures ' || n)
from generate_series(1, 400) n;
