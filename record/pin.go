// Package record holds what a repository remembers besides its sets: drills,
// tests of the recovery key, attacks that were tried, verifications, pins,
// maintenance, and rows that changed unseen.
package record

import (
	"time"

	"holdfast"
)

// Pin protects one set from retention until its end. Every pin has an end: a
// forgotten pin fills the disk.
type Pin struct {
	Set    holdfast.SetID    `json:"set"`
	Node   holdfast.NodeName `json:"node"`
	Reason string            `json:"reason"`
	Until  time.Time         `json:"until"`
	Made   time.Time         `json:"made"`
	By     string            `json:"by,omitempty"` // user@host
}

// HoldsAt reports whether the pin is in force at that time.
func (p Pin) HoldsAt(now time.Time) bool { return now.Before(p.Until) }

// Decision is what retention decides for a set, with every reason.
type Decision struct {
	Keep    bool     `json:"keep"`
	Reasons []string `json:"reasons"`
}

// Maintenance is the result of one maintenance run of a repository. Bytes are
// those that the storage itself lists.
type Maintenance struct {
	Mode   string `json:"mode"` // "full", "quick", or "none" when not due
	Why    string `json:"why"`  // the reason for the mode
	Before int64  `json:"bytes_before"`
	After  int64  `json:"bytes_after"`
	// Unneeded bytes belong to no set any more. They are freed when two runs,
	// hours apart, find them unneeded. Young bytes belong to no set either, but a
	// backup in progress may still use them.
	Unneeded int64 `json:"bytes_unneeded"`
	Young    int64 `json:"bytes_young"`
	// NotBefore is the earliest time at which a maintenance run frees what this
	// run found first; nil when nothing is unneeded.
	NotBefore *time.Time `json:"not_before,omitempty"`
	// Running lists the runs that a full maintenance has to wait for.
	Running []string `json:"running,omitempty"`
}

// Freed is by how much the storage shrank, 0 when it grew.
func (u Maintenance) Freed() int64 { return max(0, u.Before-u.After) }
