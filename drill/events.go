package drill

import (
	"fmt"
	"time"

	"holdfast"
)

// The events of a drill. Between the server's start and the participant's come
// those of the restore.
type (
	// LeftoverRemoved says that something of a killed drill was removed.
	LeftoverRemoved struct{ What string }

	// ServerStarting says that the server is being started into which the set
	// is restored.
	ServerStarting struct{ Where string } // what kind of place, as the plan says

	// ParticipantStarting says that the node's participant is being started on
	// its restored database.
	ParticipantStarting struct{ Component holdfast.ComponentName }

	// Ended says what a drill has found.
	Ended struct {
		Set     holdfast.SetID
		Verdict holdfast.Verdict
		Bytes   int64
		Restore time.Duration // what the restore took
		Took    time.Duration // in all
	}
)

func (e LeftoverRemoved) String() string { return "removed what a killed drill left: " + e.What }

func (e ServerStarting) String() string { return "start a server: " + e.Where }

func (ParticipantStarting) String() string { return "start the participant" }

func (e Ended) String() string {
	return fmt.Sprintf("drill of set %s: %s, after %v", e.Set, e.Verdict, round(e.Took))
}
