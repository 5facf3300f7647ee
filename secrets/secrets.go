// Package secrets reads secrets where they rest. A reference names the place,
// such as "file:PATH"; what stands before the colon is its scheme, and each
// scheme has one reader. A program says which schemes there are by the map that
// it makes.
package secrets

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"holdfast"
)

// Reader reads the secret at a place, which is a reference without its scheme.
// The end of the last line does not belong to the secret and may be left on.
type Reader func(ctx context.Context, place string) (holdfast.Secret, error)

// Readers are the schemes that there are.
type Readers map[string]Reader

// Schemes are the names of the schemes, sorted.
func (r Readers) Schemes() []string { return slices.Sorted(maps.Keys(r)) }

// Knows reports whether a reference has a scheme that there is.
func (r Readers) Knows(reference string) bool {
	scheme, place, found := strings.Cut(reference, ":")
	return found && place != "" && r[scheme] != nil
}

// Of reads the secret behind a reference, again each time. Without a reference
// the function is nil.
func (r Readers) Of(reference string) holdfast.SecretFunc {
	if reference == "" {
		return nil
	}
	return func(ctx context.Context) (holdfast.Secret, error) { return r.read(ctx, reference) }
}

func (r Readers) read(ctx context.Context, reference string) (holdfast.Secret, error) {
	if !r.Knows(reference) { // it may be a secret itself, so it is not shown
		return holdfast.Secret{}, &holdfast.Problem{
			Class: holdfast.Usage, What: "a reference to a secret has no known scheme",
			Do: "Begin it with one of " + strings.Join(r.Schemes(), ", ") + ", and a colon.",
		}
	}
	scheme, place, _ := strings.Cut(reference, ":")
	secret, err := r[scheme](ctx, place)
	if ctx.Err() != nil && err != nil {
		return holdfast.Secret{}, context.Cause(ctx)
	}
	if secret = trimmed(secret); err == nil && secret.IsEmpty() {
		err = errors.New("it is empty")
	}
	if err == nil {
		return secret, nil
	}
	if problem := new(holdfast.Problem); errors.As(err, &problem) {
		return holdfast.Secret{}, err // it says itself what to do
	}
	return holdfast.Secret{}, &holdfast.Problem{
		Class: holdfast.Usage, What: "read the secret at " + reference, Err: err,
		Do: "Make it readable for the user who runs Holdfast, or change the reference.",
	}
}

// trimmed is a secret without the end of its last line.
func trimmed(s holdfast.Secret) holdfast.Secret {
	return holdfast.NewSecret(strings.TrimSuffix(strings.TrimSuffix(s.Reveal(), "\n"), "\r"))
}
