package record

import (
	"time"

	"holdfast"
)

// Set is a stored set as a listing shows it, without its manifest.
type Set struct {
	ID    holdfast.SetID    `json:"id"`
	Node  holdfast.NodeName `json:"node"`
	State holdfast.State    `json:"state"`
	Began time.Time         `json:"began"`
	Ended time.Time         `json:"ended"`
	Bytes int64             `json:"bytes"` // of all its files, before deduplication
	Files int64             `json:"files"`
	// Decision is what retention decides about it; nil where the policy is not
	// known.
	Decision *Decision `json:"retention,omitempty"`
	// Copies are the configured places that have it, as they were last seen.
	Copies []string `json:"copies,omitempty"`
	// InCopies is how it stands in each configured place.
	InCopies []SetInCopy `json:"in_copies,omitempty"`
	// InDoubt are the rows that it may have wrong, because they changed unseen before
	// it was taken, and what is wrong with its date.
	InDoubt []string `json:"in_doubt,omitempty"`
}
