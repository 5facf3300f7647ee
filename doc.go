// Package holdfast is the language the whole program speaks: plain values and
// pure rules about backups of Canton Network (Splice) validator nodes. It
// imports the standard library only; it opens nothing, starts nothing and
// reads no clock.
//
// # The words
//
//   - Node: a validator and how it is deployed.
//   - Component: one thing with state to capture: the validator app's database,
//     the participant's database, or any database of the operator's own.
//   - Edge: "the capture of A ends before the capture of B begins".
//   - Stage: components whose edges earlier stages satisfy, captured side by side.
//   - Capture: what was taken at once, of one component or of several.
//   - Set: the captures of one node taken in one run, with the identities and
//     the evidence, under one manifest. The manifest is the Set value as JSON.
//   - Proof of order: evidence that the captures of a set belong together.
//   - Problem: an error written for the operator who has to act on it.
//
// # What a backup of a node is
//
// The validator app remembers the ledger offset up to which it has ingested
// what its participant reported. Restored next to a participant that never
// reached that offset, it waits for updates that will not come, or silently
// misses others, and both programs start without a word of complaint. So the
// validator app's capture has to end before the participant's begins, and the
// offset found in the first must not exceed the ledger end found in the second.
// Set.Problems recomputes both from what the manifest records, and nothing is a
// backup until they agree.
//
// The keys that the node's money hangs on live in the participant's database
// and in the identities dump, which is a second way back when no set is
// usable. Both hold private keys in clear; nothing of either leaves the
// process unencrypted.
//
// Sources: Splice documentation, validator_backups and
// validator_disaster_recovery; Canton's lapi_parameters and Splice's
// store_last_ingested_offsets tables.
package holdfast
