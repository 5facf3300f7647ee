// Package canton knows what Canton and Splice keep in Postgres. It recognises a
// participant's or a validator app's database by its tables, not by its name,
// and reads the facts that a set records about a node.
//
// Both programs let an operator choose the schema's name, and the same
// migrations run in the databases of other components (a sequencer's database
// has a participant's tables, a scan app's has a validator's), so recognition
// needs the marker tables and rows that only the real one has.
//
// Every query reads within the transaction it is given. Columns are looked up
// before they are selected, so that a release with another schema yields
// "unknown" and never an aborted transaction.
//
// Sources: Canton's migrations under community/common/.../canton/postgres/stable,
// Splice's under apps/common/.../canton-network/postgres/stable.
package canton
