package identities

import (
	"context"
	"time"
)

// Keeper keeps identities in one place, sealed ones unless the operator wants
// them in clear there. It never removes any.
type Keeper interface {
	// Keep writes a file and reads it back, unless it is there already;
	// the second result is whether it was written. A name stands for a
	// content (FileName), so what is there under it is left alone as long as it
	// looks intact. Otherwise it is replaced, so that one or the other is always
	// there whole.
	Keep(ctx context.Context, name string, sealed []byte) (Kept, bool, error)
	// List returns the files, the newest first. A place that is not made yet has
	// none.
	List(ctx context.Context) ([]Kept, error)
	// Read reads one of those that List gives.
	Read(ctx context.Context, k Kept) ([]byte, error)
}

// Kept is a file in a place.
type Kept struct {
	Name    string // "" for an older version that a manager of secrets has, which was not read
	Where   string // the path of a file, or a version of a secret
	Version string // of a secret
	Size    int64
	Written time.Time
}

// Directory is the keeper of a directory.
func Directory(path string) Keeper { return directory{path} }
