// Package verify says whether what a repository holds can still be read: which
// of its stored bytes are damaged, which sets, components and tables suffer
// from that, which sets are whole, and what can be mended.
//
// There are three levels, and each says beforehand how much it reads:
//
//	structure  the index against the storage's list of blobs; every set's
//	           manifest, with its verdicts computed anew; every file a manifest
//	           names, down to the last stored piece, is there
//	sample     besides, a share of the stored data, another one on each run,
//	           until everything was read
//	data       besides, every file of a set, or all that is stored; rows are
//	           counted and digested again and compared with the manifest
//
// Sample and data prove that bytes decrypt under the name they were stored
// under; data also proves that they are the rows that were captured. Only a
// drill proves that a Postgres server takes them.
//
// What was found is recorded in the repository where it can be written: the
// next sample goes on from there, and damage that is mended (Repair) is stored
// anew by the next backup instead of being found "already there".
package verify
