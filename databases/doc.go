// Package databases is the databases of a node, however it is deployed: to connect,
// to lock, to build next to them, to swap. It reaches the databases and nothing else: it
// cannot stop or start the node's programs, so
// it refuses to touch a database that anybody is connected to, and says who.
//
// Databases are recognized by what they hold, never by their names.
//
// # Names during a restore
//
// A restored database is built next to the old one, as "<name>~new~<set>", and
// takes its place by rename; the old one stays as "<name>~before~<set>", which
// says which set replaced it. What a database is, which one it belongs to and
// which set it has to do with also stands in its comment, so that names that
// had to be shortened to Postgres's 63 bytes can be distinguished.
//
// Where an extension is bound to the database's name, the new database has
// that name for the moment in which the extension is made.
package databases
