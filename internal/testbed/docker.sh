#!/bin/sh
# A Docker daemon of the tests' own, on Debian 12 or later, as root:
#
#     eval "$(internal/testbed/docker.sh)"      start it, or use the one that runs
#     internal/testbed/docker.sh stop           end it and remove what it held
#
# It installs the distribution's Docker, fetches the compose plugin from a later
# suite, makes a Postgres image from the distribution's packages (no registry is
# asked for anything) and starts a daemon whose socket, data, process id and
# networks are all its own: it lives in a network namespace, where it keeps its
# bridges and packet filters, so that nothing of the machine changes and service
# names resolve as they do for an operator. What "the host" of that daemon sees
# (container addresses, published ports) is seen from within the namespace:
# nsenter --net=$HOLDFAST_TEST_DOCKER_NETNS ..., as internal/splicetest/bundle does.
#
#   HOLDFAST_TESTBED   where images and the plugin are kept between runs
#   HOLDFAST_TEST_DOCKER_PG   majors of the Postgres images, "15" or "15 17"
#
# One daemon per checkout.

set -eu
umask 022

majors=${HOLDFAST_TEST_DOCKER_PG:-15}

say() { echo "testbed: $*" >&2; }
die() { say "$*"; exit 1; }

here=$(cd "$(dirname "$0")" && pwd -P)
name=holdfast-$(printf %s "$here" | cksum | cut -d' ' -f1)
state=/run/holdfast-testbed/$name # short: a socket's path may have 107 bytes
namespace=/run/netns/$name
home=${HOLDFAST_TESTBED:-/var/cache/holdfast-testbed}
data=$home/docker/$name
socket=$state/docker.sock

# What the daemon needs of the machine. Each is named when it is not there.
[ "$(id -u)" = 0 ] || die "the Docker test bed needs root, this is $(id -un)"
. /etc/os-release
[ "$ID" = debian ] || die "the Docker test bed is made of Debian's packages, this is $ID"

alive() { [ -s "$state/dockerd.pid" ] && kill -0 "$(cat "$state/dockerd.pid")" 2>/dev/null && docker -H "unix://$socket" version >/dev/null 2>&1; }

# stop ends the daemon with all its containers, and leaves no mount behind.
stop() {
  if [ -S "$socket" ] && command -v docker >/dev/null; then
    running=$(docker -H "unix://$socket" ps -q 2>/dev/null || true)
    [ -z "$running" ] || docker -H "unix://$socket" kill $running >/dev/null 2>&1 || true
  fi
  if [ -s "$state/dockerd.pid" ]; then
    pid=$(cat "$state/dockerd.pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    ! kill -0 "$pid" 2>/dev/null || kill -9 "$pid"
  fi
  # Deepest first; what was mounted below the data or the state of this daemon.
  awk -v a="$data/" -v b="$state/" 'index($2 "/", a) == 1 || index($2 "/", b) == 1 {print $2}' /proc/self/mounts | sort -r | while read -r m; do umount -l "$m" 2>/dev/null || true; done
  [ ! -e "$namespace" ] || ip netns del "$name"
  rm -rf "$state" "$data"
}

mkdir -p "$home"
chmod a+rx "$home"
if command -v flock >/dev/null; then
  exec 9>"$home/.docker.lock"
  flock 9
fi

work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT

case ${1:-start} in
  start) ;;
  stop) stop; exit 0 ;;
  *) die "usage: docker.sh [start|stop]" ;;
esac

often() {
  for wait in 2 5 15; do
    if "$@" >&2; then return 0; fi
    say "again in $wait s: $*"
    sleep "$wait"
  done
  "$@" >&2
}

packages() {
  often env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# Packages. A daemon that their installation starts is not what we use. Later
# releases of Debian have the client in a package of its own.
wanted=
command -v dockerd >/dev/null || wanted="$wanted docker.io"
command -v docker >/dev/null || wanted="$wanted docker-cli"
command -v iptables >/dev/null || wanted="$wanted iptables"
command -v ip >/dev/null || wanted="$wanted iproute2"
command -v mmdebstrap >/dev/null || wanted="$wanted mmdebstrap"
command -v nsenter >/dev/null || wanted="$wanted util-linux"
if [ -n "$wanted" ]; then
  say "packages:$wanted"
  often apt-get update -q
  apt-cache show docker-cli >/dev/null 2>&1 || wanted=$(echo "$wanted" | sed 's/docker-cli/docker.io/')
  packages $wanted
fi

# The cgroup hierarchy and the overlay file system are the kernel's; modules
# that are not loaded may still be there.
grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || true
grep -qw overlay /proc/filesystems || die "the kernel has no overlay file system: /proc/filesystems does not name it"
[ -d /sys/fs/cgroup/memory ] || [ -f /sys/fs/cgroup/cgroup.controllers ] || die "no cgroup hierarchy is mounted at /sys/fs/cgroup (neither v1 nor v2)"

# findMirror sets mirror to where this machine has its packages from.
findMirror() {
  mirror=$(apt-get indextargets --format '$(SITE)' | grep '/debian/*$' | sort | uniq -c | sort -rn | awk 'NR==1{print $2}')
  [ -n "$mirror" ] || die "apt names no mirror of Debian to fetch $1 from"
}

# The compose plugin: the distribution's is of another generation.
plugins=$home/docker-config/cli-plugins
compose() {
  findMirror "the compose plugin"
  say "the compose plugin from forky"
  work=$(mktemp -d "$home/apt.XXXXXX")
  mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
  echo "deb $mirror forky main" >"$work/sources/later.list"
  set -- -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources" -o Dir::State::lists="$work/lists" \
    -o Dir::Cache="$work/cache" -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o APT::Sandbox::User=root
  often apt-get "$@" update
  (cd "$work" && often apt-get "$@" download docker-compose)
  dpkg -x "$work"/docker-compose_*.deb "$work/root"
  mkdir -p "$plugins"
  mv "$work/root/usr/libexec/docker/cli-plugins/docker-compose" "$plugins/docker-compose"
  rm -rf "$work"
}
"$plugins/docker-compose" version >/dev/null 2>&1 || compose
"$plugins/docker-compose" version >/dev/null || die "the compose plugin does not run here: $plugins/docker-compose"

# The Postgres image is made once and loaded into every daemon; what is written
# beside its recipe is its name in the cache.
suite() {
  case $1 in
    13) echo bullseye ;; 15) echo bookworm ;; 17) echo trixie ;; 18) echo forky ;;
    *) die "no suite of Debian has Postgres $1; there are 13, 15, 17 and 18" ;;
  esac
}
image() {
  file=$home/images/postgres-$1-$(cat "$here"/postgres-image/* | cksum | cut -d' ' -f1).tar
  if [ ! -s "$file" ]; then
    findMirror "the parts of a Postgres image"
    say "an image of Postgres $1 from $(suite "$1")"
    mkdir -p "$home/images"
    rm -f "$home/images/postgres-$1-"*
    work=$(mktemp -d "$home/image.XXXXXX")
    "$here/postgres-image/rootfs.sh" "$1" "$(suite "$1")" "$mirror" "$work/rootfs.tar" >&2 || die "the root file system of Postgres $1 could not be made"
    cp "$here/postgres-image/Dockerfile" "$work"
    DOCKER_BUILDKIT=0 docker -H "unix://$socket" build -q --build-arg "MAJOR=$1" -t "postgres:$1" "$work" >&2 || die "the image of Postgres $1 does not build"
    docker -H "unix://$socket" save -o "$file.new" "postgres:$1"
    mv "$file.new" "$file"
    rm -rf "$work"
  fi
  docker -H "unix://$socket" image inspect "postgres:$1" >/dev/null 2>&1 || docker -H "unix://$socket" load -q -i "$file" >/dev/null
}

begin() {
  stop # what a dead one left
  mkdir -p "$state" "$data"
  ip netns add "$name" || die "ip netns add failed: the kernel or the container we are in allows no network namespaces"
  ip -n "$name" link set lo up
  inside="nsenter --net=$namespace"
  # The packet filter that the kernel has: the tables' interface of the day, or the old one.
  tables=
  for t in iptables iptables-legacy; do
    if $inside $t -t nat -L -n >/dev/null 2>&1; then tables=$t; break; fi
  done
  [ -n "$tables" ] || die "neither iptables nor iptables-legacy can list the nat table in a network namespace"
  mkdir -p "$state/bin"
  ln -sf "$(command -v "$tables")" "$state/bin/iptables"
  # Closed for the daemon: our lock and the caller's pipe must not stay open with it.
  echo '{}' >"$state/daemon.json" # not the machine's /etc/docker/daemon.json
  PATH="$state/bin:$PATH" $inside dockerd --config-file "$state/daemon.json" --data-root "$data" --exec-root "$state/exec" --pidfile "$state/dockerd.pid" \
    -H "unix://$socket" --ip6tables=false --shutdown-timeout 5 >"$state/log" 2>&1 9>&- </dev/null &
  began=$!
  for _ in $(seq 150); do
    if alive; then return 0; fi
    kill -0 $began 2>/dev/null || break
    sleep 0.2
  done
  tail -20 "$state/log" >&2
  die "dockerd does not answer; the end of its log is above"
}
alive || begin
for major in $majors; do image "$major"; done

echo "export HOLDFAST_TEST_DOCKER='unix://$socket'"
echo "export HOLDFAST_TEST_DOCKER_NETNS='$namespace'"
echo "export HOLDFAST_TEST_DOCKER_CONFIG='$home/docker-config'"
