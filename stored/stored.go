// Package stored says how a repository holds its sets: the files of each, the
// blobs they rest in, what is damaged, and what was done about it. A verify
// reads it, a repository makes it; neither imports the other.
package stored

import "holdfast"

// Damage is one piece of stored data that does not come back as it was stored.
type Damage struct {
	Piece  string     `json:"piece"`          // its name in the repository (kopia: the content)
	Blob   string     `json:"blob,omitempty"` // the file or object of the storage that holds it, or should
	Kind   DamageKind `json:"kind"`
	Bytes  int64      `json:"bytes,omitempty"`
	Detail string     `json:"detail,omitempty"` // as the storage said it
}

// DamageKind says what is wrong with a piece.
type DamageKind string

// The kinds of damage.
const (
	Missing    DamageKind = "missing"    // the blob is not there
	Truncated  DamageKind = "truncated"  // the blob ends before the piece does
	Altered    DamageKind = "altered"    // the bytes are not those that were stored: flipped, or another blob's
	Unreadable DamageKind = "unreadable" // the storage answers for other blobs, but not for this one
	Unindexed  DamageKind = "unindexed"  // a set needs it, and no index knows where it is
	Corrected  DamageKind = "corrected"  // altered, and put right by error correction while reading
)

// Lost reports whether the piece cannot be had from its blob any more.
func (d Damage) Lost() bool { return d.Kind != Corrected }

// Remedy is what was done about a damage.
type Remedy struct {
	Damage
	How RemedyKind `json:"how"`
}

// RemedyKind says what was done.
type RemedyKind string

// The remedies. Only a rewritten or copied piece is whole again at once. A
// marked one counts as not stored, so that the next backup stores it anew if
// the live database still has those rows; a set that needs it is whole again
// from then on.
const (
	Rewritten RemedyKind = "rewritten" // from what error correction put right
	Copied    RemedyKind = "copied"    // from another copy of the repository
	Marked    RemedyKind = "marked"
	Helpless  RemedyKind = "none"
)

// Fault is something wrong with a blob that no set consists of, and that a
// repository cannot be opened or maintained without.
type Fault struct {
	Part   FaultyPart `json:"part"`
	Name   string     `json:"name"` // of the blob, or of the file outside of the repository
	Kind   DamageKind `json:"kind"`
	Detail string     `json:"detail,omitempty"`
	Remedy string     `json:"remedy,omitempty"` // the copy that takes its place, or the name it was set aside under
	Mended bool       `json:"mended"`
}

// FaultyPart says what a blob is for.
type FaultyPart string

// The parts of a repository besides its sets.
const (
	KeyBlob         FaultyPart = "key"      // the key of all that is stored, encrypted under the password (kopia.repository)
	SettingsBlob    FaultyPart = "settings" // what is known of the storage, under the same password (kopia.blobcfg)
	CopyBlob        FaultyPart = "copy"     // a copy of one of these
	MaintenanceBlob FaultyPart = "upkeep"   // what maintenance has done and is to do (kopia.maintenance)
	SessionBlob     FaultyPart = "session"  // that a run was writing
)

// Outdated is said of a copy that is whole, and of something that has changed
// since.
const Outdated DamageKind = "outdated"

// Stock is how much a repository holds.
type Stock struct {
	Blobs  int   `json:"blobs"`
	Bytes  int64 `json:"bytes"`
	Pieces int64 `json:"pieces"`
	Index  int64 `json:"index_bytes"` // read by every look at the whole
	// Blobs with data that no index names: of runs that were interrupted, of
	// sets that were dropped, or because an index was lost.
	Orphans     int   `json:"orphans"`
	OrphanBytes int64 `json:"orphan_bytes"`
}

// Blob is one file or object of the storage that holds data.
type Blob struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Set is one stored set as its repository holds it.
type Set struct {
	ID       holdfast.SetID
	Node     holdfast.NodeName
	State    holdfast.State // as listed
	Manifest *holdfast.Set  // nil when the manifest cannot be read
	Trouble  string
	Files    []File
	Damages  []Damage // of its directories and its manifest
}

// File is one file of a stored set. Files with the same Object are the
// same bytes, stored once.
type File struct {
	Name    string
	Object  string
	Bytes   int64 // as the directory has it
	Stored  int64 // of its pieces, shared ones included
	Damages []Damage
}
