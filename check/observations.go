package check

import (
	"cmp"
	"time"

	"holdfast"
	"holdfast/observed"
	"holdfast/record"
)

// Observations are all inputs, each with a value or with the reason why there
// is none. For the zero value no condition holds.
type Observations struct {
	Node       holdfast.Node
	Repository holdfast.Observed[Repository]
	Drills     holdfast.Observed[[]record.Drill]
	KeyTests   holdfast.Observed[[]record.KeyTest]
	Disproofs  holdfast.Observed[[]record.Disproof]
	Live       map[holdfast.ComponentName]holdfast.Observed[observed.Database]
	// Since are the rows that are new since the set of Latest; nil: not asked.
	Since      map[holdfast.ComponentName]holdfast.Observed[[]observed.Growth]
	Identities holdfast.Observed[holdfast.IdentityFacts] // of the running node, checked against its live database
	Clear      string                                    // a file that has the identities in clear; "" for none
	App        holdfast.Observed[observed.App]
	Scans      []observed.Scan
	Admin      holdfast.Observed[observed.Participant]
	Metrics    holdfast.Observed[observed.Metrics]
	Copies     holdfast.Observed[[]Copy]
	Beside     holdfast.Observed[[]string]         // what the node's own servers have that is in no set
	Restore    holdfast.Observed[string]           // how a restore was interrupted; "" when none was
	Data       holdfast.Observed[holdfast.Finding] // whether the databases outlive their containers
	Alive      holdfast.Observed[holdfast.Finding] // whether no database has two programs of its kind
	Locks      holdfast.Observed[Locks]
	Provider   holdfast.Observed[[]Instance] // whose snapshots are the node's sets; none where it is dumped
	Declared   Declared
	Limits     Limits
}

// Latest is the set that `holdfast restore latest` takes, if there is one.
func (o Observations) Latest(now time.Time) (holdfast.Set, bool) {
	set, _, ok := newView(o, now).latest()
	return set, ok
}

// Repository is what was found in the repository.
type Repository struct {
	Name       string
	Problem    string         // why it could not be opened or listed; "" when it could
	Sets       []holdfast.Set // of this node, oldest first; without their tables
	Unreadable []string       // sets whose manifest is not readable, and why
	Newest     string         // what is wrong with the files of the newest proven set; "" if nothing
}

// Copy is a second copy of the node's sets.
type Copy struct {
	Where   string
	Problem string // why it could not be opened or listed
	Unknown string // why nothing is known of it: its place does not answer
	Sets    []CopiedSet
	// Recorded is what it was sent last, and does not keep.
	Recorded       record.Copied
	SameFileSystem bool // the same file system as the repository's
	SameDisk       bool // another file system, on the same disk
}

// Locks are those on what the repository stores.
type Locks struct {
	Where    string
	Mode     string // governance or compliance; "": the repository locks nothing
	Period   time.Duration
	Kept     bool      // by the place
	Extended time.Time // when maintenance extended them last; zero: not yet
	Until    time.Time // the earliest end that is known; zero: of a blob without a lock
	Of       string    // the blob whose lock that is; "": of all, by the last extension
	Default  string    // what the bucket retains every blob for; "": for nothing
	Tried    *record.Attacks
	Untried  string // why nothing can be tried there; "" where it can
}

// Instance is a database server at a provider that takes its snapshots.
type Instance struct {
	Name      string
	Keeper    string // who keeps the snapshots
	Used      int    // snapshots that the account has
	Most      int    // snapshots that it may have
	Protected bool   // against deletion
	// Sets are those whose snapshots are there, each as often as it has one.
	Sets []holdfast.SetID
}

// CopiedSet is one set in a copy.
type CopiedSet struct {
	ID    holdfast.SetID
	State holdfast.State
	Ended time.Time
}

// Declared is what the operator declares. It is shown with its source, and
// never counts as an observation.
type Declared struct {
	Retention []Retention
	// NotBackedUp are databases and roles of the node's servers that are in no
	// set on purpose.
	NotBackedUp []string
	InClear     []string      // places that get the identities in clear, on purpose
	NoHistory   bool          // gaps in the history are accepted
	History     time.Duration // how far back gaps are not accepted; 0: as far as there are sets
	NoPruning   bool          // the participant must never prune
	Pruning     time.Duration // the participant must keep this long; 0: not declared
	Metrics     bool          // there are endpoints of metrics
}

// Retention is how long one super validator's sequencer keeps events. No Scan
// and no contract publishes it (Splice source), so operators request it from
// the super validator and declare it with its source.
type Retention struct {
	SV        string // EverySV for all that have no entry of their own
	Keeps     time.Duration
	Source    string // "operators' channel, 2026-11-02"
	Published bool   // read from the network rather than declared
}

// EverySV stands for every super validator without an entry of its own.
const EverySV = "*"

// Limits are the thresholds; zeros have documented defaults.
type Limits struct {
	Cadence time.Duration // between backups; 4 h (Splice: validator_backups)
	Grace   time.Duration // by which a backup may be late; 30 min, or twice what the last one took
	Drill   time.Duration // between drills; 31 days
	KeyTest time.Duration // between tests of the recovery key; 180 days
	Attack  time.Duration // between attacks that are tried on the locks; 180 days
	Copy    time.Duration // by which the second copy may lag; 24 h
	Rows    time.Duration // since the last dump, where a provider takes snapshots; 8 days
	Runway  time.Duration // left at least before a sequencer disables the node; 7 days
	Skew    time.Duration // between clocks; 30 s
}

const day = 24 * time.Hour

func (l Limits) orDefaults() Limits {
	return Limits{
		Cadence: cmp.Or(l.Cadence, 4*time.Hour),
		Grace:   cmp.Or(l.Grace, 30*time.Minute),
		Drill:   cmp.Or(l.Drill, 31*day),
		KeyTest: cmp.Or(l.KeyTest, 180*day),
		Attack:  cmp.Or(l.Attack, 180*day),
		Copy:    cmp.Or(l.Copy, day),
		Rows:    cmp.Or(l.Rows, 8*day),
		Runway:  cmp.Or(l.Runway, 7*day),
		Skew:    cmp.Or(l.Skew, 30*time.Second),
	}
}

// The versions of Postgres that Holdfast dumps and restores, and is tested
// with.
const (
	OldestPostgres = 14
	NewestPostgres = 18
)
