// Package record holds what a repository remembers beside its sets: drills,
// tests of the recovery key, verifications, pins and maintenance.
package record

import (
	"holdfast"
	"time"
)

// Pin keeps one set from being dropped, whatever the rules say, until an end
// that has to be given: a pin nobody remembers is a disk that fills up.
type Pin struct {
	Set    holdfast.SetID    `json:"set"`
	Node   holdfast.NodeName `json:"node"`
	Reason string            `json:"reason"`
	Until  time.Time         `json:"until"`
	Made   time.Time         `json:"made"`
	By     string            `json:"by,omitempty"` // user@host
}

// HoldsAt reports whether the pin still holds at that time.
func (p Pin) HoldsAt(now time.Time) bool { return now.Before(p.Until) }

// Decision is what retention makes of a set: whether it stays, and every reason.
type Decision struct {
	Keep    bool     `json:"keep"`
	Reasons []string `json:"reasons"`
}

// Maintenance is what one run of a repository's maintenance did. Bytes are what the
// storage itself lists, not what was asked for.
type Maintenance struct {
	Mode   string `json:"mode"` // "full", "quick", or "none" when it is not due
	Why    string `json:"why"`  // this mode
	Before int64  `json:"bytes_before"`
	After  int64  `json:"bytes_after"`
	// Unneeded bytes were found to belong to no set any more. Those that were
	// found so twice, hours apart, are given back. Young ones belong to no set
	// either, but a run that is under way may be about to use them.
	Unneeded int64 `json:"bytes_unneeded"`
	Young    int64 `json:"bytes_young"`
	// NotBefore is the earliest moment at which a maintenance gives back what
	// this one found for the first time; nil when nothing is unneeded.
	NotBefore *time.Time `json:"not_before,omitempty"`
	// Running names the runs that a full maintenance has to wait for.
	Running []string `json:"running,omitempty"`
}

// Freed is by how much the storage shrank, 0 when it grew.
func (u Maintenance) Freed() int64 { return max(0, u.Before-u.After) }
