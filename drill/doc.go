// Package drill rehearses a restore: it restores a set into a sandbox that can
// reach no network and no socket, compares everything that came back with what was captured,
// runs the operator's checks, measures how long it took, removes everything,
// and reports it so that a third party can file it.
//
// A drill proves that the databases come back, equal and in order. It does not
// start the node: two living copies of one identity are never worth a proof.
package drill
