// Package observed holds views of a running node and of its network. Adapters
// make them, and the conditions are judged by them.
package observed

import (
	"time"

	"holdfast"
)

// Growth is how many rows of a table a set does not have as they are.
type Growth struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Database is a view of a component's running database.
type Database struct {
	Alive   []string // who is connected, in words; not Holdfast itself
	Facts   holdfast.Facts
	Server  holdfast.Server
	Where   string                   // the server, for people; equal for databases of one server
	Local   bool                     // the server runs on this machine
	Clock   time.Duration            // its clock minus ours
	Bytes   int64                    // of the database
	Free    holdfast.Observed[int64] // bytes, on the server's data file system
	Tools   string                   // why Postgres's client programs here are unsuitable; "" when they suit
	Parties []string                 // hosted since the newest proven set; nil without such a set
}

// Scan is one Scan's view of the network. None is trusted alone: each belongs
// to one super validator.
type Scan struct {
	URL        string
	Clock      holdfast.Observed[time.Duration] // its clock minus ours, to the second
	Version    holdfast.Observed[string]
	Network    holdfast.Observed[string]
	Serial     holdfast.Observed[int] // of the synchronizer in use
	Sequencers holdfast.Observed[[]Sequencer]
	Upgrade    holdfast.Observed[Upgrade] // the zero value when none is announced
}

// Sequencer is one that a Scan publishes.
type Sequencer struct {
	SV        string
	Serial    int // -1 when unknown
	URL       string
	Available time.Time // zero when unknown
	Answers   bool      // something answered at its URL
}

// Upgrade is an announced logical synchronizer upgrade (LSU).
type Upgrade struct {
	At        time.Time
	Successor string // physical id
}

// Participant is the view of a participant through its admin API, by methods
// that only read.
type Participant struct {
	ID          string // without "PAR::"; "" when it is not initialized
	Version     string
	Initialized bool
	Active      bool
	Connected   []Connection
	Pruning     holdfast.Observed[*holdfast.Pruning] // nil: no schedule
	Keys        holdfast.Observed[[]string]          // fingerprints of its private keys
	Parties     holdfast.Observed[[]Party]
}

// Connection is one synchronizer the participant is connected to.
type Connection struct {
	PhysicalID string
	Healthy    bool
}

// Party is a party that the participant hosts.
type Party struct {
	ID           string
	Participants int  // that host it
	External     bool // it signs with its own key, or its namespace is not the participant's
}

// App is the view of a validator app.
type App struct {
	Active  bool // it is initialized and serves
	Version string
	Users   holdfast.Observed[[]string] // onboarded wallet users; the app lists at most a thousand
}

// Metrics are the few series of a node's Prometheus endpoints that show its
// progress. Times are zero when no endpoint has the series.
type Metrics struct {
	LastSequenced time.Time // newest sequenced event the participant processed: what it acknowledges, every ten minutes
	LastSeen      time.Time // newest record time that a store of the validator app has seen
}
