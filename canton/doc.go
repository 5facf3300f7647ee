// Package canton knows what Canton and Splice keep in Postgres: it tells a
// participant's database from a validator app's by the tables in it, not by
// its name, and reads the facts a set records about a node.
//
// Both programs let an operator choose the schema's name, and the same
// migrations run in the databases of other components (a sequencer's database
// has a participant's tables, a scan app's has a validator's), so recognition
// asks for the marker tables and for rows only the real one has.
//
// Every query reads within the transaction it is given. Columns are looked up
// before they are selected, so that a release with another schema yields
// "unknown" and never an aborted transaction.
//
// Sources: Canton's migrations under community/common/.../canton/postgres/stable,
// Splice's under apps/common/.../canton-network/postgres/stable.
package canton
