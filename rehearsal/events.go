package rehearsal

import (
	"fmt"
	"time"

	"holdfast"
)

// The events of a rehearsal.
type (
	// Began says that a component's schema is being loaded.
	Began struct{ Component holdfast.ComponentName }

	// Ended says what was found.
	Ended struct {
		Component holdfast.ComponentName
		Result    holdfast.Rehearsal
	}

	// NotClosed says that something of a temporary server is left.
	NotClosed struct{ Err error }
)

func (e Began) String() string { return fmt.Sprintf("try the schema of %s", e.Component) }

func (e Ended) String() string {
	f := e.Result.Finding()
	if f.Verdict == holdfast.Holds {
		return fmt.Sprintf("the schema of %s comes back, tried in %v", e.Component, e.Result.Took.Round(time.Millisecond))
	}
	return fmt.Sprintf("the schema of %s: %s: %s", e.Component, f.Verdict, f.Evidence)
}

func (e NotClosed) String() string {
	return fmt.Sprintf("the temporary server of the rehearsal was not removed: %v", e.Err)
}
