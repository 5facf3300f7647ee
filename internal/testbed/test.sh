#!/bin/sh
# Every test, on every Postgres at hand and against a Docker daemon of our own,
# the parts with the race detector. Installs what is missing or says what to
# install. Arguments replace the packages.
set -eu
cd "$(dirname "$0")/../.."
bed=$(internal/testbed/postgres.sh)
eval "$bed"
bed=$(internal/testbed/stores.sh ${HOLDFAST_TEST_LONG:+minio})
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
# What vet and a debugger want is left out: linking is a tenth of the time. What tests
# leave to be looked at, such as pictures of every screen, stays until the next run.
artifacts=${HOLDFAST_TEST_ARTIFACTS:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast-artifacts}
rm -rf "$artifacts"
mkdir -p "$artifacts"
limit=55m
[ -z "${HOLDFAST_TEST_LONG:-}" ] || limit=4h # every place, behind every bad wire
plain="-tags testing -timeout $limit -p 2 -vet=off -ldflags=-s -artifacts -outputdir $artifacts"
race="-race $plain"
if [ $# -gt 0 ]; then
  # shellcheck disable=SC2086 # words
  gotest $race "$@"
  exit
fi

# With the race detector all of it runs in the long form alone: what takes a
# server, a disk or a whole command takes three times as long with it.
if [ -n "${HOLDFAST_TEST_LONG:-}" ]; then
  # shellcheck disable=SC2086 # words
  gotest $race ./...
  exit
fi

# In the short form these run without it, and then, with it, those of their tests
# that do most at once. What takes longest begins first.
heavy="internal/endtoend cmd/holdfast docs capture/postgres packaging repository export capture/rds setup internal/splicetest
  internal/splicetest/bundle dumpfile web internal/contract packaging/helm"
raced="
  capture/postgres TestLocksGoBackAsSoonAsTheirTablesAreDone
  capture/postgres TestACancelledDumpLetsGo
  capture/postgres TestACancelledRestoreLeavesNothing
  capture/postgres TestScheduler
  capture/postgres TestASupplierEndsWhenNobodyReads
  internal/endtoend TestARunReportsItsTables
  internal/endtoend TestSwapUndoAndClean
  internal/endtoend TestOneRunAtATime
  repository TestASetComesBackAsItWasPut
  repository TestReadaheadEndsWithItsReader
  repository TestMaintenanceIsDoneOneAtATime
  repository TestTrafficIsWhatTheServerCounts
  repository TestACopyOfBlobsGoesOn
  setup TestAGlimpseOfARepository
  setup TestTheBoardClosesTheRepositoryWhileNobodyLooks"
tests= of=
while read -r package name; do
  [ -n "$package" ] || continue
  grep -q "^func $name(" "$package"/*_test.go || { echo "internal/testbed/test.sh names $name, which is no test of $package" >&2; exit 1; }
  tests="$tests${tests:+|}$name" of="$of holdfast/$package"
done <<END
$raced
END
of=$(printf '%s\n' $of | sort -u)

# Containers have time limits of their own, in which they are healthy or given
# up: they have the machine to themselves.
containers=holdfast/internal/endtoend/compose
heavy=$(printf 'holdfast/%s\n' $heavy)
light=$(go list ./... | grep -vxF "$heavy" | grep -vxF $containers)
# A package that never does two things at once has nothing to race with.
alone= together=
for package in $light; do
  if grep -qE '\bgo (func|[[:alnum:]_.]+\()|errgroup|sync\.|\.Go\(|\bchan\b|\.Parallel\(' ".${package#holdfast}"/*.go; then
    together="$together $package"
  else
    alone="$alone $package"
  fi
done
# shellcheck disable=SC2086 # words
gotest $plain $containers -- $plain $heavy $alone -- $race $together -- $race -run "^($tests)\$" $of
