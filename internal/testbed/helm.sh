#!/bin/sh
# Installs helm, with which the tests of the chart render and install it, where it
# is missing. It prints what to export:
#
#     eval "$(internal/testbed/helm.sh)"
#
# It is built from its module, once for each version: four minutes of one core next to
# what the tests of this repository have built, which is why it is built as they are.
#
#   HOLDFAST_TESTBED   where to keep it

set -eu
umask 022

version=3.22.0

say() { echo "testbed: $*" >&2; }
die() { say "$*"; exit 1; }

if [ "$(id -u)" = 0 ]; then home=/var/cache/holdfast-testbed; else home=$HOME/.cache/holdfast-testbed; fi
home=${HOLDFAST_TESTBED:-$home}/helm
made=$home/$version
mkdir -p "$home"
if command -v flock >/dev/null; then
  exec 9>"$home/.lock"
  flock 9
fi
work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT

build() {
  say "helm $version"
  work=$(mktemp -d "$home/new.XXXXXX")
  GOBIN=$work go install -ldflags -s "helm.sh/helm/v3/cmd/helm@v$version" >&2 || die "helm $version does not build"
  mkdir -p "$made"
  mv "$work/helm" "$made/helm"
  chmod -R a+rX "$home"
  rm -rf "$work"
}
[ -x "$made/helm" ] || build

echo "export HOLDFAST_TEST_HELM='$made/helm'"
