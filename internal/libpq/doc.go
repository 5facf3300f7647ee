// Package libpq knows connection strings as Postgres's own client library
// reads them, and opens connections from them. Programs such as pg_dump are
// handed the same string, so both reach the same server with the same TLS
// settings; the password travels beside it, never in it.
package libpq
