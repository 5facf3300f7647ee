// Package instances brings databases back from snapshots that a provider keeps.
// Such a snapshot has a whole instance, and becomes a new one: never the live one. A
// cluster is an instance to it that is given its first member. The new one is made
// next to the old one, set up as it is, and proven by what its databases say about
// themselves: that has to lie between the readings around the snapshot. Then either
// the operator points the node at it, or both change names, so that every address
// stays.
//
// What is known of a restore is in the labels of the instance that it made: of
// which node and set it is, of which snapshot, whose place it is for, and which
// resource had that place. Names alone prove nothing, because they change hands. A
// run that was killed is found by them, and so is what an undo has to rename. Only
// what has such labels under a name that follows from them is ever deleted.
//
// A Rehearsal makes an instance of nothing, to be lost: whatever is made of it later
// has a name that ends in the instance's, and goes with it.
package instances
