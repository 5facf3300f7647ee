#!/bin/sh
# Installs the API server of Kubernetes and etcd, which the tests of a node in
# Kubernetes start as they need them, on Debian 12 or later. It prints what to
# export:
#
#     eval "$(internal/testbed/kube.sh)"
#
# The server is built from its module, which takes a quarter of an hour of two
# cores, once for each version; etcd is the distribution's, unpacked and not
# installed, so that no service of the machine is started.
#
# With --built it builds nothing, and prints nothing where they are missing.
#
#   HOLDFAST_TESTBED   where to keep them

set -eu
umask 022

version=1.37.2
minor=37

say() { echo "testbed: $*" >&2; }
die() { say "$*"; exit 1; }

if [ "$(id -u)" = 0 ]; then home=/var/cache/holdfast-testbed; else home=$HOME/.cache/holdfast-testbed; fi
home=${HOLDFAST_TESTBED:-$home}/kube
made=$home/$version
if [ "${1:-}" = --built ]; then
  if [ -x "$made/kube-apiserver" ] && [ -x "$made/etcd" ]; then echo "export HOLDFAST_TEST_KUBE='$made'"; fi
  exit
fi
mkdir -p "$home"
if command -v flock >/dev/null; then
  exec 9>"$home/.lock"
  flock 9
fi
work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT

# apiserver builds the server: of the module that has all of Kubernetes, with the
# parts of the same version that it replaces in its own repository.
apiserver() {
  say "kube-apiserver $version, which takes a quarter of an hour"
  work=$(mktemp -d "$home/new.XXXXXX")
  (
    cd "$work"
    printf 'module testbed/kube\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v%s\n' "$version" >go.mod
    go mod download "k8s.io/kubernetes@v$version"
    awk '$2 == "v0.0.0" {print $1}' "$(go list -m -f '{{.GoMod}}' k8s.io/kubernetes)" | sort -u |
      while read -r module; do echo "replace $module => $module v0.${version#1.}"; done >>go.mod
    printf '//go:build tools\n\npackage tools\n\nimport _ "k8s.io/kubernetes/cmd/kube-apiserver"\n' >tools.go
    go mod tidy
    into=k8s.io/component-base/version
    CGO_ENABLED=0 go build -mod=mod -trimpath -o kube-apiserver \
      -ldflags "-s -w -X $into.gitVersion=v$version -X $into.gitMajor=1 -X $into.gitMinor=$minor" \
      k8s.io/kubernetes/cmd/kube-apiserver
  ) >&2 || die "kube-apiserver $version does not build"
  mkdir -p "$made"
  mv "$work/kube-apiserver" "$made/kube-apiserver"
  rm -rf "$work"
}
[ -x "$made/kube-apiserver" ] || apiserver

etcd() {
  say "etcd"
  work=$(mktemp -d "$home/new.XXXXXX")
  (
    cd "$work"
    apt-get download etcd-server || { apt-get update -q && apt-get download etcd-server; }
    dpkg -x etcd-server_*.deb root
  ) >&2 || die "etcd cannot be had from the distribution"
  mkdir -p "$made"
  mv "$work/root/usr/bin/etcd" "$made/etcd"
  rm -rf "$work"
}
[ -x "$made/etcd" ] || etcd
chmod -R a+rX "$made"

echo "export HOLDFAST_TEST_KUBE='$made'"
