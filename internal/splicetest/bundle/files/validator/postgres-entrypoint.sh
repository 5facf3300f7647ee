#!/bin/bash
# On every start of the container, not only on the first: a temporary server,
# and a database for every CREATE_DATABASE_* variable unless it is there. A
# participant's database beside another one is refused.
set -Eeo pipefail

data=${PGDATA:-/var/lib/postgresql/data}
if [ ! -s "$data/PG_VERSION" ]; then
  initdb -D "$data" --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") --data-checksums --no-sync >/dev/null
  printf '\nhost all all all scram-sha-256\n' >>"$data/pg_hba.conf"
fi

sql() { psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --dbname "$POSTGRES_DB" "$@"; }

refuse_second_participant() {
  [ "${ENABLE_PARTICIPANT_DB_CONFLICT_CHECK:-true}" = true ] || return 0
  [[ "$1" == *participant* ]] || return 0
  local others
  others=$(sql -tAc "SELECT string_agg(datname, ', ') FROM pg_database WHERE datname LIKE 'participant%'")
  [ -n "$others" ] || return 0
  echo "ERROR: Refusing to create participant database '$1' because the following participant database(s) already exist: $others." >&2
  exit 1
}

create_database() {
  if sql -tc "SELECT 1 FROM pg_database WHERE datname = '$1'" | grep -q 1; then
    echo "Skipping '$1' creation since it already exists."
    return
  fi
  refuse_second_participant "$1"
  sql -c "CREATE DATABASE \"$1\""
  echo "Database '$1' created."
}

pg_ctl -D "$data" -o "-c listen_addresses='' -c fsync=off" -w start
for variable in $(compgen -v | grep '^CREATE_DATABASE_'); do
  create_database "${!variable}"
done
pg_ctl -D "$data" -m fast -w stop

exec "$@"
