package daemon

import (
	"fmt"
	"time"
)

// Waiting says what is next.
type Waiting struct {
	Node, Task string
	At         time.Time
	Why        string
}

func (e Waiting) String() string {
	if e.Task == "" {
		return fmt.Sprintf("%s: nothing is scheduled", e.Node)
	}
	return fmt.Sprintf("%s: next is the %s, at %s (%s)", e.Node, e.Task, e.At.UTC().Format(time.RFC3339), e.Why)
}

// Began says that a task begins.
type Began struct{ Node, Task, Why string }

func (e Began) String() string { return fmt.Sprintf("%s: %s begins (%s)", e.Node, e.Task, e.Why) }

// Ended says that a task is done.
type Ended struct {
	Node, Task string
	Took       time.Duration
}

func (e Ended) String() string {
	return fmt.Sprintf("%s: %s is done, in %v", e.Node, e.Task, e.Took.Round(time.Millisecond))
}

// Failed says that a task failed, and for which time in a row.
type Failed struct {
	Node, Task string
	Attempts   int
	Cause      error
}

func (e Failed) String() string {
	return fmt.Sprintf("%s: %s failed, attempt %d: %v", e.Node, e.Task, e.Attempts, e.Cause)
}

// Held says that a task waits for another run of it: another daemon's, or one by
// hand.
type Held struct {
	Node, Task string
	Cause      error
}

func (e Held) String() string {
	return fmt.Sprintf("%s: %s waits: %v", e.Node, e.Task, e.Cause)
}

// PastUnknown says that the repository does not say what was done before.
type PastUnknown struct {
	Node  string
	Cause error
}

func (e PastUnknown) String() string {
	return fmt.Sprintf("%s: what was done before is unknown: %v", e.Node, e.Cause)
}
