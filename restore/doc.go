// Package restore brings a node back from a set. Make builds a Plan, which
// says everything that will happen and everything that will be lost; Apply
// carries out that same value. Nothing is destroyed before its replacement is
// proven:
//
//	build    every database under a new name beside the old one
//	prove    row digests, sequences, the participant's id, while it is built
//	swap     by rename, in one transaction per server
//
// What was live before stays until the operator drops it by name (Clean), and
// Undo puts it back. A run that fails or is killed at any point leaves the live
// databases as they were, or the new ones complete in their place; it can be
// run again.
//
// What is not promised: two servers have no transaction in common. A run that
// is killed in the instant between the swap on one and the swap on the other
// leaves one swapped; Undo puts it back.
package restore
