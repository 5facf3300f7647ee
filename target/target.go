// Package target says where a capture goes back to: the database that is there
// now, the names of a restore, and whether the server can take the capture.
package target

import (
	"time"

	"holdfast"
)

// Compatibility is what a Postgres server has to say about taking a capture back.
type Compatibility struct {
	Server        holdfast.Server  `json:"server"`
	KeepOwners    bool             `json:"keep_owners"`             // objects will belong to whom they belonged; else to the connecting user
	UnfitOwners   []string         `json:"unfit_owners,omitempty"`  // owners that are not there, or for whom we may not act
	MissingRoles  []string         `json:"missing_roles,omitempty"` // roles that are not there
	LostGrants    []holdfast.Grant `json:"lost_grants,omitempty"`   // what is granted to missing roles, and is left out
	DatabaseBytes int64            `json:"database_bytes"`          // expected, indexes included
	Differences   []Difference     `json:"differences,omitempty"`   // between what it needs and what there is
	Without       []string         `json:"without,omitempty"`       // what is left out, as the operator said
	Bound         []Bound          `json:"-"`                       // extensions that are made under one name alone
}

// Slot is a logical replication slot: somebody follows the changes of a database.
type Slot struct {
	Name   string `json:"name"`
	Plugin string `json:"plugin"`
	Active bool   `json:"active"`
}

// Database is where one component of a set goes back to: what is there now,
// and what will be called what. New is built next to Database; on success
// Database is renamed to Previous and New to Database.
type Database struct {
	Component holdfast.ComponentName `json:"component"`
	Where     string                 `json:"where"` // "database participant-4 at /run/postgresql"
	Database  string                 `json:"database"`
	New       string                 `json:"new"`
	Previous  string                 `json:"previous"`
	Server    string                 `json:"-"` // which one it is, however it is reached; "" while unknown
	// Ready says that New is built and proven, and has not changed since.
	Ready bool `json:"ready,omitempty"`
	// InPlace is when New took the name of Database, in a swap that was broken off
	// before the other databases of the node took theirs. New is Database then.
	InPlace *time.Time `json:"in_place,omitempty"`
	// Before is when the newest restore that the server knows of replaced the
	// database, by the clock of the machine that did; zero for none.
	Before time.Time `json:"-"`
	Live   bool      `json:"live"` // a database of that name is there
	Closed bool      `json:"-"`    // and lets nobody in
	// Renamed says that the operator gave that database the name Previous already.
	Renamed   bool       `json:"renamed,omitempty"`
	Bytes     int64      `json:"bytes"`
	Obstacles []Obstacle `json:"obstacles,omitempty"` // for which Postgres would refuse to rename it
	Stays     []Obstacle `json:"stays,omitempty"`     // what follows the old database to its new name
	// Slots are the logical replication slots of the database that is there now.
	// They stay with it, whatever its name.
	Slots   []Slot          `json:"slots,omitempty"`
	Now     *holdfast.Facts `json:"now,omitempty"` // what it says about itself, if it can be read
	Fit     Compatibility   `json:"fit"`
	Disk    Disk            `json:"-"`                 // where it is built
	Unknown string          `json:"unknown,omitempty"` // why its server could not be looked at yet
	// Instance is the server that a provider runs, where it is restored as a whole:
	// Database, New and Previous are names of instances then, or of clusters. "" where
	// it is not.
	Instance string `json:"instance,omitempty"`
	Cluster  bool   `json:"cluster,omitempty"` // it is one
}
