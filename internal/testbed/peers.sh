#!/bin/sh
# Installs what the benchmark compares Holdfast with: pgBackRest and restic of
# Debian's newest suite, with their libraries in a directory of their own. Those of
# Debian 12 know neither Postgres 16 and later nor blocks. It prints what to export:
#
#     eval "$(internal/testbed/peers.sh)"
#
# What is there already is not fetched again; `peers.sh fresh` fetches what is newest
# now.
#
#   HOLDFAST_TESTBED   where to keep it

set -eu
umask 022

say() { echo "testbed: $*" >&2; }

if [ "$(id -u)" = 0 ]; then
  root= home=/var/cache/holdfast-testbed
else
  root=sudo home=$HOME/.cache/holdfast-testbed
fi
home=${HOLDFAST_TESTBED:-$home}/peers
mkdir -p "$home"
if command -v flock >/dev/null; then
  exec 9>"$home/.lock"
  flock 9
fi

if [ ! -x "$home/bin/pgbackrest" ] || [ "${1:-}" = fresh ]; then
  if ! command -v mmdebstrap >/dev/null; then
    say mmdebstrap
    $root apt-get update -q >&2
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends mmdebstrap >&2
  fi
  # The mirror of Debian that most of apt's sources are at.
  mirror=$(apt-get indextargets --format '$(SITE)' | grep '/debian/*$' | sort | uniq -c | sort -rn | awk 'NR==1{print $2}')
  [ -n "$mirror" ] || { say "apt names no mirror of Debian to fetch pgBackRest and restic from"; exit 1; }
  say pgbackrest restic
  rm -rf "$home/root" "$home/bin"
  mmdebstrap --quiet --variant=extract --include=pgbackrest,restic --aptopt='APT::Install-Recommends "false"' \
    --aptopt='Acquire::Check-Valid-Until "false"' sid "$home/root" "$mirror" >&2
  mkdir "$home/bin"
  libraries=$home/root/usr/lib/$(uname -m)-linux-gnu
  for program in restic pgbackrest; do
    # pgBackRest runs itself, by the name that it was run by.
    cat >"$home/bin/$program" <<EOF
#!/bin/sh
exec "$libraries"/ld-linux-*.so.* --library-path "$libraries" --argv0 "$home/bin/$program" "$home/root/usr/bin/$program" "\$@"
EOF
    chmod +x "$home/bin/$program"
  done
fi
say "$("$home/bin/pgbackrest" version), $("$home/bin/restic" version | cut -d' ' -f1-2)"
echo "export PATH=$home/bin:\$PATH"
