-- The database of an application's backend, as its authors please: quoted
-- names, several schemas, foreign keys.

create schema "Billing-2";
create schema projections;
set search_path = projections, public;

create table checkpoints (projection text primary key, ledger_offset bigint not null, updated_at timestamptz not null default now());
create table accounts (
  id uuid primary key default gen_random_uuid(), party text not null unique, display_name text, settings jsonb not null default '{}',
  created_at timestamptz not null default now());
create table "Orders.2026-Q1" (
  "Order-No" bigint generated always as identity primary key, account uuid not null references accounts on delete cascade,
  "select" text not null, amount numeric(38, 10) not null check (amount > 0), tags text[] not null default '{}',
  placed_at timestamptz not null default now(), total numeric(38, 10) generated always as (amount * 1.02) stored);
create index "Orders by account" on "Orders.2026-Q1" (account, placed_at desc) include (amount);
create table "Billing-2"."Invoices" (
  number serial primary key, "Order-No" bigint not null references "Orders.2026-Q1" ("Order-No") deferrable initially deferred,
  pdf bytea, paid boolean not null default false);
create view "Billing-2"."Unpaid" as select i.number, o.amount from "Billing-2"."Invoices" i join "Orders.2026-Q1" o using ("Order-No") where not i.paid;

insert into accounts (id, party, display_name, settings, created_at)
select md5('account' || n)::uuid, 'customer-' || n || '::1220' || encode(sha256(('customer' || n)::bytea), 'hex'), 'Customer ' || n, jsonb_build_object('limit', n * 100),
       timestamptz '2026-01-01 00:00:00+00' + n * interval '1 hour'
from generate_series(1, 50) n;
insert into "Orders.2026-Q1" (account, "select", amount, tags, placed_at)
select md5('account' || 1 + n % 50)::uuid, 'item ' || n, 1 + n / 7.0, array['t' || n % 5, 'x'], timestamptz '2026-01-02 00:00:00+00' + n * interval '1 minute'
from generate_series(1, 1000) n;
insert into "Billing-2"."Invoices" ("Order-No", pdf, paid)
select n, sha512(('invoice' || n)::bytea), n % 3 <> 0 from generate_series(1, 400) n;
insert into checkpoints values ('orders', 1000, timestamptz '2026-01-02 17:00:00+00');
