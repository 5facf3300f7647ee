// Package dumpfile reads dumps that another program made, without a server and
// without storing them: SQL of pg_dump and pg_dumpall, and the archives of
// pg_dump -Fc, -Fd and -Ft, in any compression that it recognises by the first
// bytes. It reports whether a dump is complete, which tables it has, and what
// Canton and Splice record in them.
//
// A dump is read once, forward, through a window of fixed size. Only the rows
// that package canton wants are parsed; all others are skipped line by line,
// however long the lines are. The memory for a file is bounded, so a malicious
// file costs time at most.
//
// A dump is complete when it is SQL that begins and ends with the comments of
// pg_dump, with an end for every COPY; or an archive with its whole table of
// contents and every block of data that this announces, each decompressed to its
// end. A changed byte is detected only if the compression has a checksum: SQL
// and archives themselves have none.
//
// Sources: Postgres, src/bin/pg_dump (pg_backup_archiver.c, pg_backup_custom.c,
// pg_backup_directory.c, pg_backup_tar.c, pg_dump.c, pg_dumpall.c) and the
// documentation of COPY, of psql and of SQL's lexical structure.
package dumpfile
