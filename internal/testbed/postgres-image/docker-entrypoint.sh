#!/bin/bash
# What the published Postgres image does when a container of it starts: as root
# it hands the data directory to the user postgres and becomes that user; an
# empty data directory is initialised, with a password for everybody who comes
# over the network and none for who is inside; then the server replaces it.
set -e

data=${PGDATA:-/var/lib/postgresql/data}
export PGDATA=$data

if [ "${1#-}" != "$1" ]; then set -- postgres "$@"; fi

if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
  mkdir -p "$data" /var/run/postgresql
  chown postgres "$data" /var/run/postgresql
  chmod 700 "$data"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ "$1" = postgres ] && [ ! -s "$data/PG_VERSION" ]; then
  if [ -z "$POSTGRES_PASSWORD" ]; then
    echo "Error: Database is uninitialized and superuser password is not specified." >&2
    exit 1
  fi
  user=${POSTGRES_USER:-postgres}
  initdb --username="$user" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") --no-sync $POSTGRES_INITDB_ARGS
  printf '\nhost all all all scram-sha-256\n' >>"$data/pg_hba.conf"
  pg_ctl -D "$data" -o "-c listen_addresses='' -p 5432" -w start
  if [ "${POSTGRES_DB:-$user}" != postgres ]; then
    psql -v ON_ERROR_STOP=1 --username "$user" --no-password --dbname postgres --set db="${POSTGRES_DB:-$user}" <<<'create database :"db";'
  fi
  pg_ctl -D "$data" -m fast -w stop
  echo "PostgreSQL init process complete; ready for start up."
fi

exec "$@"
