package record

import (
	"time"

	"holdfast"
)

// KeyTest is the record of testing a recovery key on the identities of a set.
// It is stored in the repository.
type KeyTest struct {
	Set     holdfast.SetID    `json:"set"`
	Node    holdfast.NodeName `json:"node"`
	At      time.Time         `json:"at"`
	Content string            `json:"content"` // of the dump it opened, as in IdentityFacts
	Host    string            `json:"host"`
}
