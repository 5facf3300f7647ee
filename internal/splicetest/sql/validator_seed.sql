-- The stores of a validator app, and what it knows before it ingests anything.
-- Rows of older store versions stay behind.
insert into validator.store_descriptors (id, descriptor) values
  (1, '{"name": "DbValidatorStore", "version": 1, "party": "@party@", "participant": "PAR::@participant@", "key": {"validatorParty": "@party@", "dsoParty": "@dso@"}}'),
  (2, '{"name": "DbValidatorStore", "version": 2, "party": "@party@", "participant": "PAR::@participant@", "key": {"validatorParty": "@party@", "dsoParty": "@dso@"}}'),
  (3, '{"name": "DbUserWalletStore", "version": 3, "party": "@alice@", "participant": "PAR::@participant@", "key": {"endUserParty": "@alice@", "validatorParty": "@party@", "dsoParty": "@dso@"}}'),
  (4, '{"name": "DbUserWalletStore", "version": 4, "party": "@party@", "participant": "PAR::@participant@", "key": {"endUserParty": "@party@", "validatorParty": "@party@", "dsoParty": "@dso@"}, "userVersion": 1}'),
  (5, '{"name": "DbUserWalletStore", "version": 4, "party": "@alice@", "participant": "PAR::@participant@", "key": {"endUserParty": "@alice@", "validatorParty": "@party@", "dsoParty": "@dso@"}, "userVersion": 1}'),
  (6, '{"name": "DbExternalPartyWalletStore", "version": 3, "party": "@party@", "participant": "PAR::@participant@", "key": {"externalParty": "ext::1220aa", "validatorParty": "@party@", "dsoParty": "@dso@"}}'),
  (7, '{"name": "DbValidatorInternalConfigStore", "version": 2, "party": "@party@", "participant": "PAR::@participant@", "key": {"validatorParty": "@party@"}}');
select setval('validator.store_descriptors_id_seq', 7);
insert into validator.store_last_ingested_offsets values (1, 0, '000000000000000011'), (2, 0, ''), (3, 0, '00000000000000000f'), (4, 0, ''), (5, 0, ''), (6, 0, null);
insert into validator.key_value_store values
  ('scan_urls', '{"urls": ["https://scan.sv-1.example.com", "https://scan.sv-2.example.com"]}', 7), ('parties_to_migrate', '{"done": true, "parties": []}', 7);

insert into validator.validator_acs_store (store_id, migration_id, contract_id, template_id_package_id, template_id_qualified_name,
  create_arguments, created_event_blob, created_at, assigned_domain, user_party, user_name, validator_party, package_name)
select store, 0, '00' || encode(sha256(convert_to('install ' || name, 'UTF8')), 'hex'), encode(sha256('wallet'), 'hex'), 'Splice.Wallet.Install:WalletAppInstall',
  jsonb_build_object('dsoParty', '@dso@', 'validatorParty', '@party@', 'endUserName', name, 'endUserParty', party), sha512(convert_to(name, 'UTF8')), 1760000005000000, 'global-domain',
  party, name, '@party@', 'splice-wallet'
from (values ('administrator', '@party@'), ('alice', '@alice@')) as u(name, party), (values (1), (2)) as s(store);

insert into validator.update_history_descriptors (party, participant_id, store_name) values ('@party@', 'PAR::@participant@', 'DbUserWalletStore');
insert into validator.update_history_last_ingested_offsets values (1, 0, '000000000000000011');
