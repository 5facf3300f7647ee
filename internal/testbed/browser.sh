#!/bin/sh
# Installs a real browser and what drives it, for the tests of the page: Debian's
# Chromium, and from npm playwright-core and axe, without running their scripts.
# It prints what to export:
#
#     eval "$(internal/testbed/browser.sh)"
#
# What is there already is not fetched again.
#
#   HOLDFAST_TESTBED   where to keep it

set -eu
umask 022

playwright=1.65.1
axe=4.14.0

say() { echo "testbed: $*" >&2; }

if [ "$(id -u)" = 0 ]; then
  root= home=/var/cache/holdfast-testbed
else
  root=sudo home=$HOME/.cache/holdfast-testbed
fi
home=${HOLDFAST_TESTBED:-$home}
mkdir -p "$home"
if command -v flock >/dev/null; then
  exec 9>"$home/.browser.lock"
  flock 9
fi

install() {
  say "$*"
  $root apt-get update -q >&2
  $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >&2
}
command -v chromium >/dev/null || install chromium fonts-liberation
command -v npm >/dev/null || install nodejs npm

made=$home/browser-$playwright-$axe
if [ ! -d "$made" ]; then
  say "playwright-core $playwright, axe $axe"
  rm -rf "$made.new"
  mkdir "$made.new"
  echo '{"private": true}' >"$made.new/package.json"
  npm install --prefix "$made.new" --ignore-scripts --no-fund --no-audit --loglevel=error \
    "playwright-core@$playwright" "@axe-core/playwright@$axe" >&2
  mv "$made.new" "$made"
fi
chmod -R a+rX "$made"

echo "export HOLDFAST_TEST_BROWSER='$made'"
