-- Ingests offsets $1+1 to $2 into the validator app's stores: contracts of the
-- wallet, the archival of those 2000 updates old, lines of the wallet's history.
with updates as materialized (
  select o, 1760000000000000 + o * 700000 as ts from generate_series($1::bigint + 1, $2::bigint) o
), created as (
  insert into validator.user_wallet_acs_store (store_id, migration_id, contract_id, template_id_package_id, template_id_qualified_name,
    create_arguments, created_event_blob, created_at, assigned_domain, reward_coupon_round)
  select 4, 0, '00' || encode(sha256(convert_to('contract ' || o, 'UTF8')), 'hex'), encode(sha256(convert_to('package ' || o % 9, 'UTF8')), 'hex'),
    'Splice.Amulet:' || (array['Amulet', 'LockedAmulet', 'ValidatorRewardCoupon'])[1 + o % 3],
    jsonb_build_object('dso', 'DSO::1220' || encode(sha256('dso'), 'hex'), 'owner', $3::text,
      'amount', jsonb_build_object('initialAmount', (o % 997 / 7.0)::numeric(20, 10)::text, 'createdAt', jsonb_build_object('number', (o / 100)::text))),
    sha512(convert_to('blob ' || o, 'UTF8')) || sha512(convert_to('blob of ' || o, 'UTF8')), ts, 'global-domain', o / 100
  from updates where o % 5 = 0 and o > $2 - 2000
), archived as (
  delete from validator.user_wallet_acs_store where store_id = 4 and migration_id = 0 and contract_id = any (array(
    select '00' || encode(sha256(convert_to('contract ' || o - 2000, 'UTF8')), 'hex') from updates where o % 5 = 0 and o - 2000 <= $1))
)
insert into validator.user_wallet_txlog_store (store_id, migration_id, transaction_offset, record_time, domain_id, entry_type, entry_data, tx_log_id, event_id)
select 4, 0, lpad(to_hex(o), 18, '0'), ts, 'global-domain', (array['transfer', 'balance_change', 'notification'])[1 + o % 3],
  jsonb_build_object('event_id', '#1220' || encode(sha256(convert_to('update ' || o, 'UTF8')), 'hex') || ':0', 'amount', (o % 997 / 7.0)::numeric(20, 10)::text, 'party', $3::text),
  1, '1220' || encode(sha256(convert_to('update ' || o, 'UTF8')), 'hex') || ':0'
from updates where o % 4 = 0
