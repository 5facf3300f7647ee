// Package verify checks whether a repository is still readable: which stored
// data is damaged, which sets, components and tables that affects, which sets
// are intact, and what can be repaired.
//
// There are three levels. Each plans beforehand how much it reads:
//
//	structure  the index against the storage's list of blobs; every set's
//	           manifest, with its verdicts computed again; every file a manifest
//	           names exists, down to the last stored piece
//	sample     in addition, a share of the stored data, a different one on each
//	           run, run, until everything was read
//	data       in addition, every file of a set, or all stored data; rows are
//	           counted and digested again and compared with the manifest
//
// Sample and data prove that bytes decrypt under the name they were stored
// under; data also proves that they are the captured rows. Only a drill proves
// that a Postgres server accepts them.
//
// Findings are recorded in the repository, if it is writable: the next sample
// continues from there. Repair marks damaged data, so that the next backup
// stores it again instead of reusing it.
package verify
