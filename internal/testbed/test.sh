#!/bin/sh
# Every test, with the race detector, on every Postgres at hand. Installs what
# is missing or says what to install. Arguments replace the packages.
set -eu
cd "$(dirname "$0")/../.."
bed=$(internal/testbed/postgres.sh)
eval "$bed"
export HOLDFAST_TEST_ALL=1
[ $# -gt 0 ] || set -- ./...
# Two at a time: every package starts servers of its own.
exec go run ./internal/testbed/cmd/gotest -allow internal/testbed/skips.txt -- -race -timeout 30m -p 2 "$@"
