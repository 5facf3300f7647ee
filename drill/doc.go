// Package drill rehearses a restore: it restores a set into a throwaway place
// that can reach no network, compares everything that came back with what was
// captured, asks what the operator wants asked, measures how long it took,
// removes everything, and reports it so that somebody who was not there can
// file it.
//
// A drill proves that the databases come back, equal and in order. It does not
// start the node: two living copies of one identity are never worth a proof.
package drill
