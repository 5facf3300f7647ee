// Package inspect judges dumps that somebody else made: whether each is all
// there, which of them belong to one node, and whether a validator app's dump
// and a participant's may be restored together. Nothing is restored for it.
//
// The rule is the one that sets are proved by (holdfast.ContentOrder): no store
// of the validator app is ahead of the participant's ledger end, nor behind what
// the participant has pruned. A dump has no clock that could be trusted, so the
// contents are the only witness: they can refute an order, and what they do not
// refute holds only as far as they go.
package inspect
