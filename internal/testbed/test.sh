#!/bin/sh
# Every test, on every Postgres at hand and against a Docker daemon of our own,
# the parts with the race detector. Installs what is missing or says what to
# install. Arguments replace the packages.
set -eu
cd "$(dirname "$0")/../.."
bed=$(internal/testbed/postgres.sh)
eval "$bed"
bed=$(internal/testbed/stores.sh)
eval "$bed"
bed=$(internal/testbed/browser.sh)
eval "$bed"
if [ -n "${HOLDFAST_TEST_LONG:-}" ]; then
  bed=$(internal/testbed/kube.sh)
else
  bed=$(internal/testbed/kube.sh --built)
fi
eval "$bed"
bed=$(internal/testbed/helm.sh); eval "$bed"
internal/testbed/alarms.sh

docker= memory= masters=
finish() {
  [ -z "$docker" ] || internal/testbed/docker.sh stop
  rm -rf ${memory:+"$memory"} ${masters:+"$masters"}
}
trap finish EXIT
trap 'exit 130' INT TERM

if [ -z "${HOLDFAST_TEST_DOCKER:-}" ]; then # nobody has started one who may still want it
  docker=ours
  bed=$(internal/testbed/docker.sh)
  eval "$bed"
fi

# Databases and repositories of tests live in memory where there is room for
# them: on a disk, making and removing their many files takes more time than
# what is done with them.
shared=/dev/shm
room() { [ "$(df -Pk $shared 2>/dev/null | awk 'NR == 2 {print $4}')" -ge "$1" ] && [ "$(awk '/^MemAvailable/ {print $2}' /proc/meminfo)" -ge "$2" ]; }
if room 4000000 8000000 2>/dev/null; then
  memory=$(mktemp -d $shared/hf.XXXXXX) # short: a socket's path may have 107 bytes
  chmod 1777 "$memory"
  printf '#!/bin/sh\n' >"$memory/program"
  chmod a+x "$memory/program"
  if "$memory/program"; then export TMPDIR="$memory"; fi # it may be mounted so that nothing in it can be run
fi

masters=$(mktemp -d) # of servers and nodes, which are copied where they are wanted
export HOLDFAST_TEST_MASTERS="$masters" HOLDFAST_TEST_ALL=1
# The tag is kopia's own for tests: a repository's key is derived from its
# password at no cost. What the program does instead, a test of docs looks at.
# Two packages at a time: each starts servers of its own.
gotest() { go run ./internal/testbed/cmd/gotest -allow internal/testbed/skips.txt -slowest 25 -- "$@"; }
# What vet and a debugger want is left out: linking is a tenth of the time.
plain="-tags testing -timeout 40m -p 2 -vet=off -ldflags=-s"
race="-race $plain"
if [ $# -gt 0 ]; then
  # shellcheck disable=SC2086 # words
  gotest $race "$@"
  exit
fi

# With the race detector a whole backup takes three times as long. The packages
# that test whole commands run without it, and then, with it, those of their
# tests that reach the most code. HOLDFAST_TEST_LONG runs all of them with it.
whole="holdfast/internal/endtoend holdfast/internal/endtoend/compose holdfast/cmd/holdfast holdfast/docs holdfast/packaging
  holdfast/export holdfast/capture/rds holdfast/internal/splicetest holdfast/internal/splicetest/bundle"
some="TestSetsThatTakeOver TestFaultSweepOfABackup TestBuildingAndSwapping TestReversedSetsAreFound TestOneRunAtATime"
for name in $some; do
  grep -q "^func $name(" internal/endtoend/*_test.go || { echo "internal/testbed/test.sh names $name, which is no test of internal/endtoend" >&2; exit 1; }
done
some="^($(echo $some | tr ' ' '|'))\$"
all=$(go list ./...)
parts=$(echo "$all" | grep -vxF "$(printf '%s\n' $whole)")
# shellcheck disable=SC2086 # words
if [ -n "${HOLDFAST_TEST_LONG:-}" ]; then
  gotest $race $whole $parts
  exit
fi
# A package that never does two things at once has nothing to race with.
alone= together=
for package in $parts; do
  if grep -qE '\bgo (func|[[:alnum:]_.]+\()|errgroup|sync\.|\.Go\(|\bchan\b|\.Parallel\(' ".${package#holdfast}"/*.go; then
    together="$together $package"
  else
    alone="$alone $package"
  fi
done
# shellcheck disable=SC2086 # words
gotest $plain $whole $alone -- $race $together -- $race -run "$some" holdfast/internal/endtoend
