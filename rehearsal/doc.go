// Package rehearsal finds out, while a backup is taken, whether the schemas of
// its captures come back. The order and the bytes of a set do not say so:
// pg_dump writes what Postgres does not take again.
//
// A schema is loaded as a restore loads it, without rows, into an empty database
// next to the live one, where the role may create databases and a restore
// would go by default; else in a temporary server. This takes seconds, comes
// after every capture of the set, so that no order depends on it, and is done
// when a schema changes: until then sets carry the evidence of the last one.
package rehearsal
