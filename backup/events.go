package backup

import (
	"fmt"
	"time"

	"holdfast"
)

// The events of a run, in the order in which they can come. Captures of one
// stage begin and end side by side.
type (
	// LastUnreadable says that the last set cannot be read, so the run begins
	// without what it could have carried over.
	LastUnreadable struct{ Err error }

	// IdentitiesBegan says that the identities are being fetched.
	IdentitiesBegan struct{}

	// NoIdentities says that the configuration names none to fetch, so that the
	// set will have one way back only.
	NoIdentities struct{}

	// IdentitiesFailed says that the set will not have the node's present
	// identities, which costs it the proof.
	IdentitiesFailed struct{ Err error }

	// DeploymentFailed says that the set will not have how the node runs.
	DeploymentFailed struct{ Err error }

	// CaptureBegan says that a component is being captured.
	CaptureBegan struct{ Component holdfast.ComponentName }

	// CaptureEnded says what a capture has taken.
	CaptureEnded struct {
		Component holdfast.ComponentName
		Tables    int
		Rows      int64
		Bytes     int64
		Took      time.Duration
		Kept      bool // elsewhere: nobody has counted
	}

	// SetStored says that a set is in the repository and was read back.
	SetStored struct {
		Set   holdfast.SetID
		State holdfast.State
		Took  time.Duration
	}

	// RunRepeated says that a set is of no use and another is taken at once.
	RunRepeated struct {
		Set holdfast.SetID
		Why holdfast.State
	}
)

func (e LastUnreadable) String() string {
	return fmt.Sprintf("the last set could not be read, so nothing is carried over from it: %v", e.Err)
}

func (IdentitiesBegan) String() string { return "identities" }

func (NoIdentities) String() string {
	return "no identities are configured, so the set will have no second way back: add identities: to holdfast.yaml"
}

func (e IdentitiesFailed) String() string {
	return fmt.Sprintf("identities could not be taken: %v", e.Err)
}

func (e DeploymentFailed) String() string {
	return fmt.Sprintf("how the node runs could not be recorded: %v", e.Err)
}

func (e CaptureBegan) String() string { return fmt.Sprintf("capture %s", e.Component) }

func (e CaptureEnded) String() string {
	if e.Kept {
		return fmt.Sprintf("captured %s: a snapshot that its provider keeps, in %v", e.Component, e.Took.Round(time.Millisecond))
	}
	return fmt.Sprintf("captured %s: %d tables, %d rows in %v", e.Component, e.Tables, e.Rows,
		e.Took.Round(time.Millisecond))
}

func (e SetStored) String() string {
	return fmt.Sprintf("set %s is stored: %s, after %v", e.Set, e.State, e.Took.Round(time.Millisecond))
}

func (e RunRepeated) String() string {
	return fmt.Sprintf("set %s is %s; trying again at once", e.Set, e.Why)
}

// captureEnded sums up the capture of a component.
func captureEnded(name holdfast.ComponentName, c holdfast.Capture) CaptureEnded {
	e := CaptureEnded{Component: name, Bytes: c.Bytes, Took: c.Ended.Since - c.Began.Since}
	e.Tables, e.Rows = c.Counts()
	e.Kept = c.Method == holdfast.Snapshot
	return e
}
