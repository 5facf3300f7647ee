#!/bin/sh
# Unpacks the packages of a Postgres server into a directory, without what a
# server in a container does without (the compiler of expressions, Perl,
# translations), and with the users and directories that their installation
# would have made.
#
#     rootfs.sh major suite mirror archive
set -eu
major=$1 suite=$2 mirror=$3 archive=$4
root=$archive.d
here=$(cd "$(dirname "$0")" && pwd -P)

mmdebstrap --quiet --variant=extract --format=directory \
  --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
  --include="postgresql-$major,dash,bash,coreutils,findutils,util-linux,sed,grep,mawk,tar,gzip,libc-bin,base-files,base-passwd" \
  "$suite" "$root" "$mirror"

cd "$root"
rm -rf usr/lib/*/libLLVM* usr/lib/*/libz3* usr/lib/postgresql/*/lib/llvmjit* usr/lib/postgresql/*/lib/bitcode \
  usr/lib/*/gconv usr/share/i18n usr/share/locale usr/share/doc usr/share/man \
  usr/share/perl* usr/lib/*/perl* usr/bin/perl* usr/lib/*/libperl* usr/share/postgresql-common var/lib/apt var/cache dev
for d in bin sbin lib lib64; do [ -e "$d" ] || ln -s "usr/$d" "$d"; done
[ -e bin/sh ] || ln -s dash bin/sh
ln -sf mawk usr/bin/awk
rm -rf var/run && ln -s ../run var/run
cat >etc/passwd <<USERS
root:x:0:0:root:/root:/bin/sh
postgres:x:999:999::/var/lib/postgresql:/bin/sh
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
USERS
printf 'root:x:0:\npostgres:x:999:\nnogroup:x:65534:\n' >etc/group
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >etc/nsswitch.conf
mkdir -p dev usr/local/bin var/lib/postgresql/data run/postgresql root tmp
chmod 1777 tmp
chown -R 999:999 var/lib/postgresql run/postgresql
chmod 700 var/lib/postgresql/data
sed -i "s/^#\?listen_addresses *=.*/listen_addresses = '*'/" usr/share/postgresql/*/postgresql.conf.sample
install -m 755 "$here/docker-entrypoint.sh" usr/local/bin/

# A server of that major, and the programs that its container is entered for.
for program in initdb postgres pg_ctl pg_dump psql pg_isready; do
  [ -x "usr/lib/postgresql/$major/bin/$program" ] || { echo "no $program $major in $suite" >&2; exit 1; }
done

tar --numeric-owner -C "$root" -cf "$archive" . # owners and all
rm -rf "$root"
