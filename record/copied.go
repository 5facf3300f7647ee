package record

import (
	"time"

	"holdfast"
)

// Copied is the record of what a second copy was sent last. A copy keeps by its
// own retention, so an old set may be gone there.
type Copied struct {
	Place  string                               `json:"place"`
	At     time.Time                            `json:"at"`
	Newest map[holdfast.NodeName]holdfast.SetID `json:"newest"` // of each node's sets that were sent
	// Extended is when the locks there were last extended.
	Extended time.Time `json:"extended,omitzero"`
}

// Has reports whether a set was sent. An ID begins with the time at which its set
// was begun, and a node takes one set at a time.
func (c Copied) Has(node holdfast.NodeName, set holdfast.SetID) bool { return set <= c.Newest[node] }
