package repository

import (
	"context"
	"time"

	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/manifest"
)

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

// DamageList flips a bit in every piece of the list of sets.
func (i *Inspection) DamageList(ctx context.Context, flip func(blob string, at int64)) error {
	list, err := i.pieces(ctx, func(c content.Info) bool { return c.ContentID.Prefix() == manifest.ContentPrefix })
	for _, c := range list {
		flip(string(c.PackBlobID), int64(c.PackOffset)+int64(c.PackedLength)/2)
	}
	return err
}

// SetKeyDerivation says how new repositories make their key from the password,
// and returns how they did.
func SetKeyDerivation(algorithm string) string {
	old := keyDerivation
	keyDerivation = algorithm
	return old
}
