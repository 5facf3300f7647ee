package metrics

import (
	"time"

	"holdfast"
)

// Node is what is known of a node. A zero time is unknown, or never: its metric
// is absent.
type Node struct {
	Name     holdfast.NodeName
	Read     time.Time // when its repository was read last
	Readable bool      // and whether the newest attempt succeeded
	Sets     map[holdfast.State]int
	Newest   *Set // the newest set; nil without one
	// The begins of the newest sets that are proven, that a drill has restored, and
	// that have identities.
	Proven, Identities time.Time
	Drilled            time.Time // when the newest drill began that restored every row
	Drill              holdfast.Verdict
	Verified           time.Time
	AllRead            time.Time // everything stored before was read since
	Copies             []Copy
	Checked            time.Time
	Conditions         []Condition
	RunwayEnds         time.Time // the soonest
	Tasks              []Task
	Targets            []Target
	Stored             int64         // bytes of the repository in its storage; 0: not measured yet
	LocksEnd           time.Time     // the first of what is stored
	LockPeriod         time.Duration // for which it is locked; 0: it is not
	Traffic            []Traffic
}

// Traffic is what went to and from a place outside of the machine since the start.
type Traffic struct {
	Place          string
	Requests       map[string]int64 // by operation
	Sent, Received int64            // bytes
}

// Target is somebody who gets notices.
type Target struct {
	Name     string
	Failures int // attempts in a row that did not reach it
}

// Set is the newest set.
type Set struct {
	Began, Ended time.Time
	State        holdfast.State
	Bytes        int64          // of its files, before deduplication
	Margin       *time.Duration // the shortest, between captures that a rule orders; nil where none does
	Captures     []Capture
	Waits        []time.Duration // that sessions of the node waited behind a lock of ours
}

// Capture is what one component took.
type Capture struct {
	Component holdfast.ComponentName
	Took      time.Duration
	Read      int64     // bytes
	TakenOver int64     // bytes that were not read, because nothing had changed
	Oldest    time.Time // reading of what was taken over; zero where all was read
}

// Copy is a second copy of the repository.
type Copy struct {
	Place  string
	Newest time.Time // the begin of the newest set that it has; zero for none
}

// Condition is one condition, as it was judged last.
type Condition struct {
	Code    string
	Verdict holdfast.Verdict
	Alarms  bool // it does not hold, and no other condition is its cause
}

// Task is one kind of work.
type Task struct {
	Name     string
	Interval time.Duration // 0 when it is never due
	Next     time.Time
	Done     time.Time // when the newest that succeeded was begun
	Took     time.Duration
	Failures int // in a row
	Running  bool
}
