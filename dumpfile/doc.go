// Package dumpfile reads dumps that somebody else made, without a server and
// without keeping them: SQL of pg_dump and pg_dumpall, the archives of pg_dump
// -Fc, -Fd and -Ft, each in whatever compression its first bytes show. It tells
// whether a dump is all there, which tables it has, and what Canton and Splice
// say in them.
//
// A dump is read once, forward, through a window of fixed size. Of a table's
// rows only those that package canton asks for are taken apart; all others are
// passed over from one line's end to the next, however long the lines are. What
// is kept of a file is bounded, so a file made to do harm costs time at most.
//
// What is complete: SQL that begins and ends with the comments that pg_dump
// writes there, every COPY with its end; an archive whose table of contents is
// all there, with every block of data it announces, each of them decompressed to
// its end. A checksum finds a changed byte only where the compression carries
// one; SQL and archives themselves have none.
//
// Sources: Postgres, src/bin/pg_dump (pg_backup_archiver.c, pg_backup_custom.c,
// pg_backup_directory.c, pg_backup_tar.c, pg_dump.c, pg_dumpall.c) and the
// documentation of COPY, of psql and of SQL's lexical structure.
package dumpfile
