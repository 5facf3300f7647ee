package record

import (
	"time"

	"holdfast"
)

// Verification is the record of one verification. Samples continue where the
// previous one stopped, until all data was read.
type Verification struct {
	At      time.Time        `json:"at"`
	Level   string           `json:"level"`
	Verdict holdfast.Verdict `json:"verdict"`
	Found   string           `json:"found,omitempty"` // the worst finding
	Damaged []holdfast.SetID `json:"damaged,omitempty"`
	// The current round of samples: its begin, the last blob that was read, and
	// the share of the stored bytes read so far, 0 to 1.
	Round  time.Time `json:"round_began,omitzero"`
	Cursor string    `json:"cursor,omitempty"`
	Share  float64   `json:"share"`
	// Since is the begin of the last round that read everything: all data stored
	// before then has been read since.
	Since time.Time        `json:"all_read_since,omitzero"`
	Sets  []holdfast.SetID `json:"sets,omitempty"` // that existed
}
