// Package restore brings a node back from a set. Make builds a Plan, a list of
// all steps and of everything that will be lost; Apply does exactly those
// steps. Nothing is destroyed before its replacement is proven:
//
//	stop     the programs, where Holdfast stops and starts them
//	build    every database under a new name next to the old one
//	prove    row digests, sequences, the participant's id, while it is built
//	rename   in one transaction per server
//	start    the programs, in their order
//
// A Journal has each step on disk before it is begun. Whatever fails, what was
// begun is taken back, the last step first. A run that was killed is resumed by
// the next, which surveys the node as it is then, or taken back by Undo: its
// plan, from MakeUndo, is a list of the same kind, walked by the same walker.
// After a restore that was complete, the labels of databases and volumes say
// what it has replaced. That stays until the operator drops it by name (Clean).
//
// What is not promised: two servers have no transaction in common. A run that
// is killed in the instant between the rename on one and the rename on the other
// leaves one renamed; Undo puts it back.
package restore
