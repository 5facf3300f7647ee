package repository

import "time"

// SetCheckpoint makes the sessions of this process write their index after so
// many bytes.
func SetCheckpoint(bytes int64) { checkpointBytes = bytes }

// SetPatience says how long a failing storage is asked again, and returns how
// long it was.
func SetPatience(d time.Duration) time.Duration {
	old := patience
	patience = d
	return old
}
