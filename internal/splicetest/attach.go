package splicetest

import (
	"context"
	"strings"

	"holdfast/identities/identitiestest"
)

// Place is a node whose databases run elsewhere, in a container or on another
// machine: their addresses and, once known, the node's identity.
type Place struct {
	ParticipantDSN string // "" if there is none to be reached
	ValidatorDSN   string // likewise
	Identities     identitiestest.Dump
	Party          string // the validator operator's
	User           string // the ledger API user; "" for LedgerUser
}

// Attach makes a Node of databases that are there. It starts nothing, and
// closing it ends nothing.
func Attach(p Place) *Node {
	hint, _, _ := strings.Cut(p.Identities.ParticipantID, "::")
	n := newNode(NodeOptions{Hint: hint, User: p.User})
	n.Identities, n.participantDSN, n.validatorDSN = p.Identities, p.ParticipantDSN, p.ValidatorDSN
	n.Party = p.Party
	return n
}

// SeedParticipant writes who the node is into a participant's database that
// has its schemas and no identity.
func (n *Node) SeedParticipant(ctx context.Context) error { return n.seedParticipant(ctx) }

// SeedValidator writes the stores of a validator app that has ingested nothing.
func (n *Node) SeedValidator(ctx context.Context) error { return n.seedValidator(ctx) }

// WriteLedger is the participant's part of Run.
func (n *Node) WriteLedger(ctx context.Context, load Load) error { return n.writeUpdates(ctx, load) }

// Ingest brings the validator app's stores to an offset that the participant
// has committed.
func (n *Node) Ingest(ctx context.Context, to int64) error { return n.ingestTo(ctx, to) }
