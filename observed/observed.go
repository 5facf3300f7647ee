// Package observed holds what was seen of a running node and of its network:
// views that adapters make and that the conditions are judged by.
package observed

import (
	"holdfast"
	"time"
)

// Database is what the running database of a component was seen to be.
type Database struct {
	Facts   holdfast.Facts
	Server  holdfast.Server
	Where   string                   // the server, for people; equal for databases of one server
	Local   bool                     // the server runs on this machine
	Clock   time.Duration            // its clock minus ours
	Bytes   int64                    // of the database
	Free    holdfast.Observed[int64] // bytes, where its server keeps data
	Tools   string                   // why Postgres's client programs here do not suit it; "" when they do
	Parties []string                 // hosted since the newest proven set; nil when there is none to compare with
}

// Scan is what one Scan said of the network. None is trusted alone: each
// belongs to one super validator.
type Scan struct {
	URL        string
	Clock      holdfast.Observed[time.Duration] // its clock minus ours, to the second
	Version    holdfast.Observed[string]
	Network    holdfast.Observed[string]
	Serial     holdfast.Observed[int] // of the synchronizer in use
	Sequencers holdfast.Observed[[]Sequencer]
	Upgrade    holdfast.Observed[Upgrade] // the zero value when none is announced
}

// Sequencer is one that a Scan publishes. Serial is -1 where it is not told.
type Sequencer struct {
	SV        string
	Serial    int
	URL       string
	Available time.Time // zero when not told
	Answers   bool      // something answered at its URL
}

// Upgrade is an announced logical synchronizer upgrade (LSU).
type Upgrade struct {
	At        time.Time
	Successor string // physical id
}

// Participant is what a participant's admin API said, by methods that only
// read.
type Participant struct {
	ID          string // without "PAR::"; "" when it was never initialised
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
	External     bool // it signs with a key of its own, or its namespace is another's
}

// App is what a validator app said.
type App struct {
	Active  bool // it has initialised and serves
	Version string
	Users   holdfast.Observed[[]string] // onboarded wallet users; the app names at most a thousand
}

// Metrics are the few series of a node's Prometheus endpoints that tell how
// far it has come. Times are zero when no endpoint has the series.
type Metrics struct {
	LastSequenced time.Time // newest sequenced event the participant processed: what it acknowledges, every ten minutes
	LastSeen      time.Time // newest record time any of the validator app's stores has seen
}
