package step

import (
	"encoding/json"
	"slices"
	"time"

	"holdfast"
)

// Role says what a database or a volume next to the live one is there for. The
// words stand in comments of databases and labels of volumes on operators'
// machines, and are never changed.
type Role string

// The roles of what a restore makes or moves, and of what a backup makes to
// rehearse a schema.
const (
	New       Role = "new"       // being built, or built and not yet in place
	Previous  Role = "before"    // was live until a set replaced it
	Undone    Role = "undone"    // was live for a while, until the previous one came back
	Rehearsal Role = "rehearsal" // without rows, for as long as its schema is tried
	// Naming is that of a new database while it has the name of the live one, for
	// the moment in which an extension is made that is bound to this name.
	Naming Role = "naming"
)

// Label is what the comment of a database says about it.
type Label struct {
	Role      Role                   `json:"holdfast"`
	Database  string                 `json:"database"` // whose place it took, had or is to take
	Component holdfast.ComponentName `json:"component"`
	Set       holdfast.SetID         `json:"set"`
	At        time.Time              `json:"at"`
	// Comment is the operator's own comment, whose place the label takes. It is
	// given back when the label goes.
	Comment string `json:"comment,omitempty"`
	// Proof is there of a database that was built, proven, and closed since. The
	// database still has the name it was built under, or has its place and is not
	// open yet, because others of the node are not in theirs.
	Proof *Proof `json:"proof,omitempty"`
}

// Proof is by what a database is recognized as the one that was proven.
type Proof struct {
	Recipe string `json:"recipe"` // of what it was built, and how
	// Row is the version of the server's own entry of the database. Nobody can
	// connect to a closed database, and nobody can open one without another Row.
	Row string `json:"row"`
}

// ReadLabel reads the comment of a database: its label, or false for a comment
// that is not one, however much it looks like one.
func ReadLabel(comment string) (Label, bool) {
	var l Label
	if json.Unmarshal([]byte(comment), &l) != nil || l.Database == "" {
		return Label{}, false
	}
	return l, slices.Contains([]Role{New, Previous, Undone, Rehearsal, Naming}, l.Role)
}

// OwnComment is what the operator wrote on a database: its comment or, where
// that is a label, the comment that the label keeps.
func OwnComment(comment string) string {
	if l, ok := ReadLabel(comment); ok {
		return l.Comment
	}
	return comment
}

// Leftover is a database or a volume that restores have left.
type Leftover struct {
	Label
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"` // -1 where that is unknown
	// Slots are the logical replication slots of the database, which go with it.
	Slots []string `json:"slots,omitempty"`
	// Volume is the volume whose place this one had; "" of a database.
	Volume string `json:"volume,omitempty"`
	// Instance says that it is a server that a provider runs, Cluster that this is one.
	Instance bool `json:"instance,omitempty"`
	Cluster  bool `json:"cluster,omitempty"`
	// Beside is what a volume has that is in no set: it may be the only copy.
	Beside []string `json:"beside,omitempty"`
}
