package holdfast

import (
	"context"
	"fmt"
	"log/slog"
)

// hidden is what every printed Secret looks like, an empty one included, so
// that not even its presence shows.
const hidden = "[secret]"

// Secret is a password, token or key. Every way of printing or encoding it
// yields "[secret]"; only Reveal gives the value, so that a search for Reveal
// finds every place where a secret leaves its wrapping.
//
// The value is behind a pointer because fmt passes the methods below over for
// verbs that do not suit the type, %p and a stray %w, and prints fields.
type Secret struct{ value *string }

// NewSecret wraps value.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal returns the value itself.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsEmpty reports whether there is no value.
func (s Secret) IsEmpty() bool { return s.Reveal() == "" }

// String returns the placeholder.
func (s Secret) String() string { return hidden }

// GoString returns the placeholder, for %#v.
func (s Secret) GoString() string { return hidden }

// Format prints the placeholder whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalText returns the placeholder, for JSON, YAML and XML alike.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue returns the placeholder, for structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// SecretFunc reads a secret where it rests: a file, the environment, a
// command. It is called each time the secret is needed, so that a rotated one
// is found without a restart.
type SecretFunc func(ctx context.Context) (Secret, error)

// Fixed is the SecretFunc of a value already at hand.
func Fixed(s Secret) SecretFunc {
	return func(context.Context) (Secret, error) { return s, nil }
}
