// Package snapshot captures databases by snapshots of whole servers that a
// provider takes and keeps. Nothing of the databases comes here: a capture is a
// reference, with the evidence of what it refers to. Packages next to this one
// know one provider each.
//
// A capture in outline:
//
//	read     each database is the configured one, on the very server that the provider snapshots
//	await    the server takes requests; the account has room for one more snapshot
//	before   what each live database says of itself
//	request  one snapshot, whose name and labels carry the set; one whose answer was lost is adopted
//	await    it is ready; the provider's word is looked at for contradictions
//	after    what each live database says now; the snapshot is still there
//
// The content lies between both readings, because their numbers only grow. The
// order of two captures follows from our own clock and from these readings
// (bracket.go in the root). What the provider says can contradict a capture, which
// then fails, and proves nothing.
//
// A snapshot that belongs to no set, because a run was killed, is found by its
// labels and swept when it is old enough (Sweep). What does not have our labels
// under the name that follows from them is never deleted.
package snapshot
