package observed

import "holdfast"

// Outlook is what looking at a component tells before anything is captured.
type Outlook struct {
	Component   holdfast.ComponentName `json:"component"`
	Found       string                 `json:"found"`                    // "the database of the Canton participant ..."
	Participant string                 `json:"participant_id,omitempty"` // as far as the database tells
	Database    string                 `json:"database"`
	Postgres    string                 `json:"postgres"`
	Bytes       int64                  `json:"bytes"` // of the database
	Tables      []TableSize            `json:"tables"`
	LeftOut     []holdfast.LeftOut     `json:"left_out,omitempty"`
	// Instance identifies the database among all there are, whatever name and
	// address it was found by; "" when that is unknown.
	Instance string `json:"-"`
}

// TableSize is one table that a capture will read.
type TableSize struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"` // without indexes
	Format string `json:"format"`
}
