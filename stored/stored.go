// Package stored describes how a repository stores its sets: the files of each,
// the blobs that hold them, what is damaged, and what was done about it. The
// repository makes these values and verify reads them; neither imports the
// other.
package stored

import "holdfast"

// Damage is one piece of stored data that differs from what was stored.
type Damage struct {
	Piece  string     `json:"piece"`          // its name in the repository (kopia: the content)
	Blob   string     `json:"blob,omitempty"` // the file or object of the storage that should hold it
	Kind   DamageKind `json:"kind"`
	Bytes  int64      `json:"bytes,omitempty"`
	Detail string     `json:"detail,omitempty"` // the storage's own message
}

// DamageKind says what is wrong with a piece.
type DamageKind string

// The kinds of damage.
const (
	Missing    DamageKind = "missing"    // the blob does not exist
	Truncated  DamageKind = "truncated"  // the blob ends before the piece does
	Altered    DamageKind = "altered"    // the bytes changed: flipped bits, or another blob's bytes
	Unreadable DamageKind = "unreadable" // the storage returns other blobs, but not this one
	Unindexed  DamageKind = "unindexed"  // a set needs it, but no index knows where it is
	Corrected  DamageKind = "corrected"  // altered, and repaired by error correction while reading
)

// Lost reports whether the piece can no longer be read from its blob.
func (d Damage) Lost() bool { return d.Kind != Corrected }

// Remedy is what was done about a damage.
type Remedy struct {
	Damage
	How RemedyKind `json:"how"`
}

// RemedyKind says what was done.
type RemedyKind string

// The remedies. A rewritten or copied piece is repaired at once. A marked piece
// counts as not stored: if the live database still has those rows, the next
// backup stores them again and so repairs the sets that need them.
const (
	Rewritten RemedyKind = "rewritten" // from the bytes that error correction repaired
	Copied    RemedyKind = "copied"    // from another copy of the repository
	Marked    RemedyKind = "marked"
	Helpless  RemedyKind = "none"
)

// Fault is damage of a blob that belongs to no set, but that the repository
// needs to be opened or maintained.
type Fault struct {
	Part   FaultyPart `json:"part"`
	Name   string     `json:"name"` // of the blob, or of the file outside of the repository
	Kind   DamageKind `json:"kind"`
	Detail string     `json:"detail,omitempty"`
	Remedy string     `json:"remedy,omitempty"` // the copy that replaces it, or its name after it was moved away
	Mended bool       `json:"mended"`
}

// FaultyPart says what a blob is for.
type FaultyPart string

// The parts of a repository besides its sets.
const (
	KeyBlob         FaultyPart = "key"      // the key of all stored data, encrypted with the password (kopia.repository)
	SettingsBlob    FaultyPart = "settings" // the settings of the storage, under the same password (kopia.blobcfg)
	CopyBlob        FaultyPart = "copy"     // a copy of one of these
	MaintenanceBlob FaultyPart = "upkeep"   // the schedule and history of maintenance (kopia.maintenance)
	SessionBlob     FaultyPart = "session"  // marks that a run was writing
)

// Outdated marks an intact copy of something that has changed since.
const Outdated DamageKind = "outdated"

// Stock is how much a repository holds.
type Stock struct {
	Blobs  int   `json:"blobs"`
	Bytes  int64 `json:"bytes"`
	Pieces int64 `json:"pieces"`
	Index  int64 `json:"index_bytes"` // read by every listing of the repository
	// Blobs with data that no index names: from interrupted runs, from dropped
	// sets, or because an index was lost.
	Orphans     int   `json:"orphans"`
	OrphanBytes int64 `json:"orphan_bytes"`
}

// Blob is one file or object of the storage that holds data.
type Blob struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Set is one set as its repository stores it.
type Set struct {
	ID       holdfast.SetID
	Node     holdfast.NodeName
	State    holdfast.State // as listed
	Manifest *holdfast.Set  // nil when the manifest cannot be read
	Trouble  string         // why it cannot
	Later    bool           // it is of a later version than this one: nothing is wrong with it
	Files    []File
	Damages  []Damage // of its directories and its manifest
}

// File is one file of a stored set. Files with the same Object have the same
// bytes, stored once.
type File struct {
	Name    string
	Object  string
	Bytes   int64 // according to the directory
	Stored  int64 // of its pieces, shared ones included
	Damages []Damage
}
