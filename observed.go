package holdfast

import "time"

// Observed is one input of a judgement: a value, or why there is none. The
// zero value is an input that nobody looked for, so that a forgotten one can
// never pass for a good one.
type Observed[T any] struct {
	value   T
	known   bool
	missing string
}

// Known is an input that was observed.
func Known[T any](value T) Observed[T] { return Observed[T]{value: value, known: true} }

// Unknown is an input that could not be had, and why.
func Unknown[T any](why string) Observed[T] { return Observed[T]{missing: why} }

// Observe is what a reading gave: its value, or its error as the reason.
func Observe[T any](value T, err error) Observed[T] {
	if err != nil {
		return Unknown[T](err.Error())
	}
	return Known(value)
}

// Get returns the value and whether there is one.
func (o Observed[T]) Get() (T, bool) { return o.value, o.known }

// Missing says why there is no value; "" when there is one.
func (o Observed[T]) Missing() string {
	switch {
	case o.known:
		return ""
	case o.missing == "":
		return "nobody looked for it"
	}
	return o.missing
}

// Live is what the running database of a component was seen to be.
type Live struct {
	Facts   Facts
	Server  Server
	Where   string          // the server, for people; equal for databases of one server
	Local   bool            // the server runs on this machine
	Clock   time.Duration   // its clock minus ours
	Bytes   int64           // of the database
	Free    Observed[int64] // bytes, where its server keeps data
	Tools   string          // why Postgres's client programs here do not suit it; "" when they do
	Parties []string        // hosted since the newest proven set; nil when there is none to compare with
}

// ScanView is what one Scan said of the network. None is trusted alone: each
// belongs to one super validator.
type ScanView struct {
	URL        string
	Clock      Observed[time.Duration] // its clock minus ours, to the second
	Version    Observed[string]
	Network    Observed[string]
	Serial     Observed[int] // of the synchronizer in use
	Sequencers Observed[[]Sequencer]
	Upgrade    Observed[Upgrade] // the zero value when none is announced
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

// ParticipantView is what a participant's admin API said, by methods that only
// read.
type ParticipantView struct {
	ID          string // without "PAR::"; "" when it was never initialised
	Version     string
	Initialized bool
	Active      bool
	Connected   []Connection
	Pruning     Observed[*Pruning] // nil: no schedule
	Keys        Observed[[]string] // fingerprints of its private keys
	Parties     Observed[[]HostedParty]
}

// Connection is one synchronizer the participant is connected to.
type Connection struct {
	PhysicalID string
	Healthy    bool
}

// HostedParty is a party that the participant hosts.
type HostedParty struct {
	ID           string
	Participants int  // that host it
	External     bool // it signs with a key of its own, or its namespace is another's
}

// AppView is what a validator app said.
type AppView struct {
	Active  bool // it has initialised and serves
	Version string
	Users   Observed[[]string] // onboarded wallet users; the app names at most a thousand
}

// NodeMetrics are the few series of a node's Prometheus endpoints that tell how
// far it has come. Times are zero when no endpoint has the series.
type NodeMetrics struct {
	LastSequenced time.Time // newest sequenced event the participant processed: what it acknowledges, every ten minutes
	LastSeen      time.Time // newest record time any of the validator app's stores has seen
}

// KeyTest is what is remembered of trying a recovery key on the identities of a
// set. It is kept in the repository.
type KeyTest struct {
	Set     SetID     `json:"set"`
	Node    NodeName  `json:"node"`
	At      time.Time `json:"at"`
	Content string    `json:"content"` // of the dump it opened, as in IdentityFacts
	Host    string    `json:"host"`
}
