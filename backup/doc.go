// Package backup takes one set of a node: it looks at every component before
// anything starts, captures the identities and then the components stage by
// stage, so that every edge is respected by construction, records the
// evidence, and has the set's order proven from that evidence.
//
// A run in outline:
//
//	look     every component is what it is configured to be; the node is ours alone
//	take     identities, then each stage; components of a stage side by side
//	rehearse a schema that changed is loaded into an empty database, and dropped
//	prove    the clock and the contents agree on the order; the parts belong together
//	seal     the manifest names what was stored; only now is there a set
//	read     the set is read back from the repository before anybody hears of it
//
// A set whose evidence contradicts the order is stored and named misordered,
// and the run is repeated once, at once. A set without identities is better
// than none, so a validator app that does not answer costs the proof, not the
// backup.
package backup
