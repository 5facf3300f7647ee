// Package libpq knows connection strings as Postgres's own client library
// reads them, and opens connections from them. Programs such as pg_dump are
// handed the same string, so both reach the same server with the same TLS
// settings; the password travels next to it, never in it.
//
// Every session starts with settings of our own and leads to the server
// itself: what stands in front of one, a pooler, is refused (pooler.go).
package libpq
