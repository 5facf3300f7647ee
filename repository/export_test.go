package repository

// SetCheckpoint makes the sessions of this process write their index after so
// many bytes.
func SetCheckpoint(bytes int64) { checkpointBytes = bytes }
