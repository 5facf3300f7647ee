#!/bin/sh
# Restores one component of an exported set into an empty database, with
# nothing but psql, pg_restore and a POSIX shell. Run it without arguments for
# help. It creates no database, no role and no file.
set -eu

set_id='@SET@'
node='@NODE@'
state='@STATE@'

say() { printf '%s\n' "$*" >&2; }
die() {
	say "restore.sh: $*"
	exit 1
}

usage() {
	cat >&2 <<'END'
usage: ./restore.sh [-j JOBS] [--accept STATE] COMPONENT TARGET

Restores one component of the set beside this script into TARGET: the name of
an existing, empty database, or a connection string (host=... dbname=...
user=..., or postgresql://...).

  -j JOBS         build that many indexes at once (default: the number of cores;
                  where there are partitioned tables it is one)
  --accept STATE  restore a set that is not proven; STATE is what it is instead,
                  in its own word: unproven, misordered, mismatched

The connection is that of psql: PGHOST, PGPORT, PGUSER, PGSSLMODE, PGSSLROOTCERT
and the others are obeyed. The password comes from PGPASSWORD, PGPASSFILE or
~/.pgpass, never from an argument. PATH decides which psql and pg_restore are
used: they have to be of the version of the server that the set came from, or
later, and not older than the server they restore to.

An empty database is made with, for instance:

  createdb --template=template0 --encoding=UTF8 --locale=C NAME

Owners and grants are kept if every role they name exists (globals.sql has
them); if not, everything belongs to the user who restores.

Exit status: 0 if everything was restored and every table has its rows; 1 if
anything failed: the database is then not usable, and is to be dropped.
END
	say ""
	say "set $set_id of node $node, $state; its components:"
	for dir in */restore/segments.txt; do
		[ -f "$dir" ] && say "  ${dir%%/*}"
	done
	exit 2
}

cd -- "$(dirname -- "$0")"

jobs='' accept='' bad=0
while [ $# -gt 0 ]; do
	case $1 in
	-j) [ $# -ge 2 ] || usage; jobs=$2; shift 2 ;;
	--accept) [ $# -ge 2 ] || usage; accept=$2; shift 2 ;;
	-h | --help) usage ;;
	--) shift; break ;;
	-*) say "restore.sh: $1 is not an option"; usage ;;
	*) break ;;
	esac
done
[ $# -eq 2 ] || usage
component=$1 target=$2

case $component in
'' | */* | .* | -*) die "'$component' is not a component" ;;
esac
own=$component/restore
[ -f "$own/segments.txt" ] || die "this set has no component '$component'; ./restore.sh --help lists what it has"
case $target in
'') die "the target is empty" ;;
*password=* | *://*:*@*) die "a password in an argument can be read by every user of this machine: use PGPASSWORD or PGPASSFILE" ;;
esac
[ -n "$jobs" ] || jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
case $jobs in
*[!0-9]* | '' | 0) die "-j takes a number" ;;
esac

if [ "$state" != proven ] && [ "$accept" != "$state" ]; then
	[ ! -f _problems.txt ] || cat _problems.txt >&2
	die "this set is $state, not proven: a node restored from it may not work, and need not say so. To restore it all the same: --accept $state"
fi

for program in psql pg_restore; do
	command -v "$program" >/dev/null 2>&1 || die "$program is not in PATH"
done

export PGAPPNAME="${PGAPPNAME:-holdfast restore.sh}"
export PGOPTIONS="-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 ${PGOPTIONS:-}"
unset PGCLIENTENCODING

# sql runs psql: errors end it, nobody's psqlrc is read, no password is asked.
sql() { psql -X -q -w -v ON_ERROR_STOP=1 -d "$target" "$@"; }

say "1/9 the files of $component"
sums=''
if command -v sha256sum >/dev/null 2>&1; then
	sums=$(sha256sum -c "$own/sha256" 2>&1) || bad=1
elif command -v shasum >/dev/null 2>&1; then
	sums=$(shasum -a 256 -c "$own/sha256" 2>&1) || bad=1
else
	say "    neither sha256sum nor shasum is here: only rows will be counted"
fi
if [ "$bad" -ne 0 ]; then
	printf '%s\n' "$sums" | grep -v ': OK$' >&2 || :
	die "the files named above are not as they were exported: export the set again"
fi
pg_restore -l "$component/schema.dump" >/dev/null || die "pg_restore does not read $component/schema.dump: use a later version of it"

say "2/9 the target"
sql -f "$own/pins.sql" -f "$own/check.sql" || die "nothing was changed"
missing=$(sql -At -f "$own/pins.sql" -f "$own/roles.sql") || die "nothing was changed"
owners=''
if [ -n "$missing" ]; then
	say "    owners and grants are left out: there is no role, or this user may not act for it:"
	say "$missing"
	owners='--no-owner --no-privileges'
fi

# Since version 17 pg_restore begins with a setting that older servers do not
# have. There it is let go on after an error, and that error alone is forgiven;
# it is told by the statement, as the server may speak any language.
strict=--exit-on-error
version=$(sql -At -c 'SHOW server_version_num') || die "nothing was changed"
own_version=$(pg_restore --version | sed 's/^[^0-9]*//; s/[^0-9].*//')
[ "$version" -ge 170000 ] || [ "$own_version" -lt 17 ] || strict=''

# count says how often something was said. Several jobs write at once and their
# lines run into each other, so pieces are counted and not lines.
count() { printf '%s\n' "$said" | grep -o -e "$1" | wc -l; }

# section restores a section of the schema.
section() {
	section=$1
	shift
	# shellcheck disable=SC2086 # the options are several words, or none
	if said=$(LC_ALL=C pg_restore --section="$section" $strict --no-tablespaces $owners -w "$@" -d "$target" "$component/schema.dump" 2>&1); then
		[ -z "$said" ] || say "$said"
		return
	fi
	if [ -z "$strict" ] && [ "$(count 'error: ')" -gt 0 ] && [ "$(count 'errors ignored on restore')" -eq 1 ] &&
		[ "$(count 'error: ')" -eq "$(count 'Command was: SET transaction_timeout = 0;')" ]; then
		return
	fi
	say "$said"
	die "the schema's $section of $component could not be restored"
}

# From here on the target is being changed.
warn() {
	[ "$1" -eq 0 ] || say "restore.sh: the database is NOT complete and must not be used; drop it and begin with an empty one"
}
trap 'warn $?' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "3/9 settings and tables"
sql -f "$own/pins.sql" -f "$own/settings.sql" || die "the settings of the database could not be applied"
section pre-data
# CHECKs that may look into tables whose rows are not there yet come last.
aside=$(sql -At -f "$own/pins.sql" -f "$own/aside.sql") || die "the constraints that look into other tables could not be put aside"

say "4/9 rows"
while read -r table rows file; do
	[ "$rows" -ne 0 ] || continue
	[ -f "$file" ] || die "$file is missing"
	# The rows follow their statement in psql's input.
	got=$(cat -- "$own/pins.sql" "$own/copy/$table.sql" "$file" | sql -f -) || die "$file: its rows could not be written; see the message above"
	[ "$got" = "COPY $rows" ] || die "$file: the set has $rows rows in it, psql says: $got"
done <"$own/segments.txt"

say "5/9 sequences"
sql -f "$own/pins.sql" -f "$own/sequences.sql" || die "the sequences of $component could not be set"

# Jobs that attach the indexes of partitions can wait for each other in a circle.
partitioned=$(sql -At -c "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class WHERE relkind = 'p'") || die "the tables could not be counted"
[ "$partitioned" -eq 0 ] || jobs=1
say "6/9 indexes and constraints, $jobs at once"
sql -f "$own/pins.sql" -f "$own/policies.sql" || die "the policies of extensions could not be dropped"
entries=$(pg_restore -l --section=post-data "$component/schema.dump")
# Event triggers come last: they act on the statements behind them.
section post-data -j "$jobs" -L /dev/stdin <<END
$(printf '%s\n' "$entries" | grep -v ' EVENT TRIGGER ')
END
printf '%s\n' "$aside" | sql -f "$own/pins.sql" -f - || die "a constraint does not hold for the rows of $component; see the message above"

say "7/9 materialized views and statistics"
sql -f "$own/pins.sql" -f "$own/finish.sql" || die "the materialized views or statistics of $component failed"

say "8/9 rows counted"
sql -At -f "$own/pins.sql" -f "$own/count.sql" | diff "$own/rows.txt" - >&2 ||
	die "the tables above do not have the rows that the set has (<: the set, >: the database)"

say "9/9 event triggers"
triggers=$(printf '%s\n' "$entries" | grep ' EVENT TRIGGER ' || :)
[ -z "$triggers" ] || section post-data -L /dev/stdin <<END
$triggers
END

say "restored: $component of set $set_id of node $node, as far as rows can tell"
