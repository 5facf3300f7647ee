#!/bin/sh
# Every test, with the race detector, on every Postgres at hand and against a
# Docker daemon of our own. Installs what is missing or says what to install.
# Arguments replace the packages.
set -eu
cd "$(dirname "$0")/../.."
bed=$(internal/testbed/postgres.sh)
eval "$bed"
if [ -z "${HOLDFAST_TEST_DOCKER:-}" ]; then # nobody has started one who may still want it
  trap 'internal/testbed/docker.sh stop' EXIT
  trap 'exit 130' INT TERM
  bed=$(internal/testbed/docker.sh)
  eval "$bed"
fi
export HOLDFAST_TEST_ALL=1
[ $# -gt 0 ] || set -- ./...
# Two at a time: every package starts servers of its own.
go run ./internal/testbed/cmd/gotest -allow internal/testbed/skips.txt -- -race -timeout 30m -p 2 "$@"
