package secretmanager

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"holdfast"
)

// Manager holds secrets by name, each with its versions. It is safe for use by
// several goroutines.
type Manager interface {
	// Read returns the newest version of a secret, or the one with that ID. The
	// error is ErrNone where there is none. For a version whose value was deleted
	// it is ErrNone too, and the version says which.
	Read(ctx context.Context, name, version string) (Version, holdfast.Secret, error)
	// Write adds a version, and makes the secret if there is none. After is the
	// newest version that the caller knows, "" for none. Where Limits says that the
	// manager compares, a newer one gives ErrChanged.
	Write(ctx context.Context, name string, value Value, after string) (Version, error)
	// Versions lists the versions of a secret, the newest first; none for a secret
	// that does not exist.
	Versions(ctx context.Context, name string) ([]Version, error)
	// Limits are those of a secret.
	Limits(ctx context.Context, name string) (Limits, error)
	// Join makes the name of one secret of several below a place's name, with the
	// characters that the manager takes.
	Join(name, own string) string
	// Close gives back what was opened, such as a login.
	Close(ctx context.Context) error
	// Where names a version of a secret for people. It is no secret.
	Where(name, version string) string
}

// Version is one version of a secret.
type Version struct {
	ID      string
	Created time.Time
	Gone    bool // its value was deleted
}

// Value is what is written: a JSON object whose values are texts. Managers that
// hold fields hold those, and the others the text.
type Value struct {
	Text   holdfast.Secret
	Digest string // stands for the content: sealing makes other bytes each time
}

// Limits are what a manager takes of one secret.
type Limits struct {
	Bytes    int    // of a value
	Versions int    // more drop the oldest, or are refused; 0: no limit that is near
	More     string // what raises the number of versions; "" where nothing does
	Compares bool   // two writers at once cannot both write
}

var (
	// ErrNone says that there is no such secret or version, or no value in it.
	ErrNone = errors.New("there is no such secret")
	// ErrChanged says that there is a newer version than the caller knows.
	ErrChanged = errors.New("the secret has a newer version")
)

// joined is a name below another, in a manager that takes only some characters,
// to which form brings them. A name that changes gets a digest, so that two names
// stay two.
func joined(name, own string, form func(string) string) string {
	const digits = 6
	plain := form(own)
	if plain != own {
		sum := sha256.Sum256([]byte(own))
		plain += "-" + hex.EncodeToString(sum[:])[:digits]
	}
	return name + "-" + plain
}
