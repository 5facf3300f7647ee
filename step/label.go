package step

import (
	"time"

	"holdfast"
)

// Role says what a database or a volume next to the live one is there for. The
// words stand in comments of databases and labels of volumes on operators'
// machines, and are never changed.
type Role string

// The roles of what a restore makes or moves.
const (
	New      Role = "new"    // being built, or built and not yet in place
	Previous Role = "before" // was live until a set replaced it
	Undone   Role = "undone" // was live for a while, until the previous one came back
)

// Label is what the comment of a database says about it.
type Label struct {
	Role      Role                   `json:"holdfast"`
	Database  string                 `json:"database"` // whose place it took, had or is to take
	Component holdfast.ComponentName `json:"component"`
	Set       holdfast.SetID         `json:"set"`
	At        time.Time              `json:"at"`
}

// Leftover is a database or a volume that restores have left.
type Leftover struct {
	Label
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"` // -1 where that is unknown
	// Volume is the volume whose place this one had; "" of a database.
	Volume string `json:"volume,omitempty"`
}
