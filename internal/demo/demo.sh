#!/bin/sh
# The main job, end to end: a validator-shaped node under write load is backed
# up in proven order, destroyed, and brought back with proof. Leaves nothing
# running and nothing behind.
set -eu
cd "$(dirname "$0")/../.."

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold= plain=; fi
say() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
show() { printf '$ %s\n' "$*"; "$@"; }
fail() { echo "demo: $*" >&2; exit 1; }

if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  command -v apt-get >/dev/null || fail "install Postgres 14 or later, server and client programs, and try again"
  if [ "$(id -u)" = 0 ]; then root=; elif command -v sudo >/dev/null; then root=sudo; else
    fail "Postgres is missing: apt-get install postgresql"
  fi
  say "installing Postgres from the distribution"
  $root apt-get update -q >/dev/null
  $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql >/dev/null
fi

go build -o bin/demonode ./internal/splicetest/cmd/demonode
PATH=$PWD/bin:$PATH
work=$(mktemp -d)
node=
stop() {
  code=$?
  trap - EXIT INT TERM
  if [ -n "$node" ]; then kill "$node" 2>/dev/null || true; wait "$node" 2>/dev/null || true; fi
  rm -rf "$work"
  exit $code
}
trap stop EXIT INT TERM
cd "$work"

# await waits until the node has said $1 at the beginning of a line.
await() {
  for _ in $(seq 600); do
    if grep -q "^$1" node.env 2>/dev/null; then return; fi
    kill -0 "$node" 2>/dev/null || fail "the demo node ended: $(cat node.log)"
    sleep 0.1
  done
  fail "the demo node does not say $1"
}
# toggle stops or starts the node's programs; its databases stay.
toggle() { kill -USR1 "$node"; await "# $1"; }
sql() { "$DEMO_POSTGRES_BIN/psql" -X -v ON_ERROR_STOP=1 -At "$@"; }

say "a node: participant and validator app databases, written to 50 times a second"
demonode -mb "${DEMO_MB:-80}" -rate 50 -output env >node.env 2>node.log &
node=$!
await DEMO_POSTGRES_BIN=
. ./node.env
echo "participant $DEMO_PARTICIPANT_ID"

say "set Holdfast up: every connection is tried before anything is written"
show holdfast init --node demo --repository repository --keep kept --recovery-key-file recovery.key \
  --database "validator=$DEMO_VALIDATOR_DSN" --database "participant=$DEMO_PARTICIPANT_DSN" \
  --identities-url "$DEMO_VALIDATOR_URL" --auth unsafe --audience "$DEMO_AUDIENCE"

say "a first set, under load; what would be read comes first"
show holdfast backup --dry-run
show holdfast backup
say "a second set: what did not change is not stored again"
before=$(du -sk repository | cut -f1)
holdfast backup >/dev/null
echo "the repository grew from ${before} to $(du -sk repository | cut -f1) KiB"
show holdfast list

say "rehearse the restore next to the running node"
show holdfast restore rehearse latest --yes

say "disaster: the node stops, its tables are emptied, the validator app's database is dropped"
toggle stopped
end=$(sql -d "$DEMO_PARTICIPANT_DSN" -c 'SELECT ledger_end FROM participant.lapi_parameters')
sql -d "$DEMO_PARTICIPANT_DSN" -qc 'TRUNCATE participant.lapi_parameters, participant.common_crypto_private_keys, participant.par_contracts CASCADE'
sql -d "$(echo "$DEMO_VALIDATOR_DSN" | sed 's,/validator?,/postgres?,')" -qc 'DROP DATABASE validator'
echo "the ledger had ended at offset $end; its keys are gone"

say "the way back: the plan first, then with --yes"
show holdfast restore latest
show holdfast restore latest --yes

say "the keys are back, the ledger goes on, and a new set is proven"
sql -d "$DEMO_PARTICIPANT_DSN" -c "SELECT 'participant ' || participant_id || ', ledger end ' || ledger_end FROM participant.lapi_parameters"
sql -d "$DEMO_PARTICIPANT_DSN" -c "SELECT count(*) || ' private keys' FROM participant.common_crypto_private_keys"
toggle started
sleep 2
holdfast backup | sed -n '/^State/p; /^Order/,/^One node/p'
holdfast identities open --key-file recovery.key | holdfast identities check -

say "what the restore kept, dropped by name"
show holdfast restore clean
holdfast restore clean --output json | sed -n 's/^ *"name": "\(.*\)",*$/\1/p' | while read -r name; do holdfast restore clean "$name"; done

say "done"
