package snapshot

import "fmt"

// The events of a capture.
type (
	// Waiting says that a server takes no request yet.
	Waiting struct{ Server, State string }

	// Pausing warns that the server may stand still while it is captured.
	Pausing struct{ Server, Why string }

	// Requested says that the keeper was asked for a snapshot.
	Requested struct {
		Snapshot string
		Adopted  bool // it was there: an earlier answer was lost
	}

	// Taking says how far the keeper is.
	Taking struct {
		Snapshot string
		State    string
		Percent  int
	}
)

func (e Waiting) String() string {
	return fmt.Sprintf("%s takes no snapshot while it is %s: waiting", e.Server, e.State)
}

func (e Pausing) String() string { return fmt.Sprintf("%s may pause: %s", e.Server, e.Why) }

func (e Requested) String() string {
	if e.Adopted {
		return fmt.Sprintf("snapshot %s was requested already", e.Snapshot)
	}
	return fmt.Sprintf("snapshot %s is requested", e.Snapshot)
}

func (e Taking) String() string {
	return fmt.Sprintf("snapshot %s: %s, %d %%", e.Snapshot, e.State, e.Percent)
}
