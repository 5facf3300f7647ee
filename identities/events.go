package identities

import (
	"fmt"
	"time"
)

// The events of taking identities.
type (
	// FetchRetried says that the app gave no dump, and when it is tried again.
	FetchRetried struct {
		Try   int // the one that failed, from 1
		Err   error
		Pause time.Duration
	}

	// DumpCarriedOver says that the last set's dump is put into this one too,
	// since there is no newer one.
	DumpCarriedOver struct{ Participant string }

	// DumpKept says that a sealed dump was written to a place of the operator's.
	DumpKept struct{ Where string }
)

func (e FetchRetried) String() string {
	return fmt.Sprintf("the app gives no identities yet, trying again in %v: %v", e.Pause, e.Err)
}

func (e DumpCarriedOver) String() string {
	return "carry over the identities of the last set: " + e.Participant
}

func (e DumpKept) String() string { return "identities written to " + e.Where }
