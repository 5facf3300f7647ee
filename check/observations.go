package check

import (
	"cmp"
	"holdfast/observed"
	"holdfast/record"
	"time"

	"holdfast"
)

// Observations are everything that was looked for, each input with a value or
// with the reason why there is none. The zero value knows nothing, and nothing
// holds for it.
type Observations struct {
	Node       holdfast.Node
	Repository holdfast.Observed[Repository]
	Drills     holdfast.Observed[[]record.Drill]
	KeyTests   holdfast.Observed[[]record.KeyTest]
	Live       map[holdfast.ComponentName]holdfast.Observed[observed.Database]
	Identities holdfast.Observed[holdfast.IdentityFacts] // of the running node, checked against its live database
	App        holdfast.Observed[observed.App]
	Scans      []observed.Scan
	Admin      holdfast.Observed[observed.Participant]
	Metrics    holdfast.Observed[observed.Metrics]
	Copy       holdfast.Observed[Copy]
	Declared   Declared
	Limits     Limits
}

// Repository is what was found where sets rest.
type Repository struct {
	Name       string
	Problem    string         // why it could not be opened or listed; "" when it could
	Sets       []holdfast.Set // of this node, oldest first; without their tables
	Unreadable []string       // sets whose manifest does not read, and why
	Newest     string         // what is wrong with the files of the newest proven set; "" when they read
}

// Copy is another place that holds the node's sets.
type Copy struct {
	Where    string
	Problem  string // why it could not be opened or listed
	Sets     []CopiedSet
	SameDisk bool // the same file system as the repository's
	OneDisk  bool // another one, of the same disk
}

// CopiedSet is one set in a copy.
type CopiedSet struct {
	ID    holdfast.SetID
	State holdfast.State
	Ended time.Time
}

// Declared is what the operator states. It is used as a statement, with its
// source, never as an observation.
type Declared struct {
	Retention []Retention
	NoHistory bool          // gaps in the history are accepted
	History   time.Duration // how far back none is; 0: as far as there are sets
	NoPruning bool          // the participant is meant never to prune
	Pruning   time.Duration // the participant is meant to keep this long; 0: nothing is declared
}

// Retention is how long one super validator's sequencer keeps what it has
// sequenced. No Scan and no contract publishes it (Splice source), so it is
// asked for, and declared with who said so.
type Retention struct {
	SV        string // EverySV for all that have no entry of their own
	Keeps     time.Duration
	Source    string // "asked in the operators' channel, 2026-11-02"
	Published bool   // read from the network rather than declared
}

// EverySV stands for every super validator without an entry of its own.
const EverySV = "*"

// Limits are the thresholds; zeros have documented defaults.
type Limits struct {
	Cadence time.Duration // between backups; 4 h (Splice: validator_backups)
	Grace   time.Duration // that a backup may be late; 30 min, or twice what the last one took
	Drill   time.Duration // between rehearsed restores; 31 days
	KeyTest time.Duration // between tries of the recovery key; 180 days
	Copy    time.Duration // that the second copy may be behind; 24 h
	Runway  time.Duration // that has to be left before sequencers forget the node; 7 days
	Skew    time.Duration // between clocks; 30 s
}

const day = 24 * time.Hour

func (l Limits) orDefaults() Limits {
	return Limits{
		Cadence: cmp.Or(l.Cadence, 4*time.Hour), Grace: cmp.Or(l.Grace, 30*time.Minute), Drill: cmp.Or(l.Drill, 31*day),
		KeyTest: cmp.Or(l.KeyTest, 180*day), Copy: cmp.Or(l.Copy, day), Runway: cmp.Or(l.Runway, 7*day), Skew: cmp.Or(l.Skew, 30*time.Second),
	}
}

// The versions of Postgres that Holdfast dumps and restores, and is tested
// with.
const (
	OldestPostgres = 14
	NewestPostgres = 18
)
