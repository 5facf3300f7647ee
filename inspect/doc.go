// Package inspect judges dumps that another program made: whether each is
// complete, which of them belong to one node, and whether a validator app's
// dump and a participant's may be restored together. It restores nothing.
//
// The rule is the one that proves sets (holdfast.ContentOrder): no store of the
// validator app is ahead of the participant's ledger end, nor behind what the
// participant has pruned. A dump has no trustworthy clock, so its content is
// the only evidence: it can refute an order, but never prove it completely.
package inspect
