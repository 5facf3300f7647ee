#!/bin/sh
# Installs the servers of places outside of the machine that the tests store
# sets in, on Debian 12 or later: servers that speak S3 and Google Cloud
# Storage, built from their modules, Azurite from npm, OpenSSH and Apache. It
# prints what to export:
#
#     eval "$(internal/testbed/stores.sh)"
#
# What is there already is not fetched or built again. MinIO, a second server with
# real locks, takes minutes to build: `stores.sh minio` builds it for the long
# forms of the tests.
#
#   HOLDFAST_TESTBED   where to keep it

set -eu
umask 022

versitygw=v1.8.0
gcs=v1.56.1
minio=v0.0.0-20260212201848-7aac2a2c5b7c
azurite=3.35.0

say() { echo "testbed: $*" >&2; }

if [ "$(id -u)" = 0 ]; then
  root= home=/var/cache/holdfast-testbed
else
  root=sudo home=$HOME/.cache/holdfast-testbed
fi
home=${HOLDFAST_TESTBED:-$home}
mkdir -p "$home/stores"
if command -v flock >/dev/null; then
  exec 9>"$home/stores/.lock"
  flock 9
fi

# build makes a program of a module, under a name with its version.
build() {
  name=$1 module=$2 version=$3
  made=$home/stores/$name-$version
  if [ ! -x "$made" ]; then
    say "$name $version"
    mkdir -p "$home/stores/new"
    GOBIN=$home/stores/new CGO_ENABLED=0 go install "$module@$version" >&2
    mv "$home/stores/new/$name" "$made"
  fi
  ln -sfn "$made" "$home/stores/$name"
}
build versitygw github.com/versity/versitygw/cmd/versitygw "$versitygw"
build fake-gcs-server github.com/fsouza/fake-gcs-server "$gcs"
if [ "${1:-}" = minio ]; then
  build minio github.com/minio/minio "$minio"
fi

install() {
  say "$*"
  $root apt-get update -q >&2
  $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >&2
}
PATH=$PATH:/usr/sbin command -v sshd >/dev/null || install openssh-server
PATH=$PATH:/usr/sbin command -v apache2 >/dev/null || install apache2-bin # no service of its own
command -v npm >/dev/null || install nodejs npm

# Azurite, Microsoft's own imitation of its store. No script of a package is run.
made=$home/stores/azurite-$azurite
if [ ! -d "$made" ]; then
  say "azurite $azurite"
  rm -rf "$made.new"
  mkdir "$made.new"
  echo '{"private": true}' >"$made.new/package.json"
  npm install --prefix "$made.new" --ignore-scripts --no-fund --no-audit --loglevel=error "azurite@$azurite" >&2
  mv "$made.new" "$made"
fi
ln -sfn "$made/node_modules/.bin/azurite-blob" "$home/stores/azurite-blob"
chmod -R a+rX "$home/stores"

echo "export HOLDFAST_TEST_STORES='$home/stores'"
