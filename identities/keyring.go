package identities

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"

	"holdfast"
	"holdfast/identities/shares"
)

// Keyring collects what opens sealed identities: keys, and shares of a key that
// was split. The zero one is empty.
type Keyring struct {
	keys   []age.Identity
	shares []shares.Share
}

// Add reads the text of a key or of shares.
func (r *Keyring) Add(text holdfast.Secret) error {
	text = holdfast.NewSecret(string(withoutMark([]byte(text.Reveal()))))
	if shares.Are(text) {
		list, err := shares.Parse(text)
		r.shares = append(r.shares, list...)
		return err
	}
	keys, err := ParseKeys(text)
	r.keys = append(r.keys, keys...)
	return err
}

// Keys are the keys, with that of the shares.
func (r *Keyring) Keys() ([]age.Identity, error) {
	if len(r.shares) == 0 {
		return r.keys, nil
	}
	key, err := r.joined()
	if err != nil {
		return nil, err
	}
	return append([]age.Identity{key.identity}, r.keys...), nil
}

// joined is the key that the shares are of.
func (r *Keyring) joined() (derivedKey, error) {
	secret, err := shares.Join(r.shares)
	if err != nil {
		return derivedKey{}, err
	}
	return keyOf(secret)
}

// derivedKey is a private key that age takes, with its public one.
type derivedKey struct {
	identity  age.Identity
	recipient string
}

// derivation keeps the key apart from whatever else might be derived from the
// same secret. It stands in every share that was ever made: it never changes.
const derivation = "shared recovery key 1"

// keyOf derives a key from the secret that was split. It is an SSH key because
// age takes those from their seed: a key of its own kind only from a text.
func keyOf(secret []byte) (derivedKey, error) {
	seed, err := hkdf.Key(sha256.New, secret, nil, derivation, ed25519.SeedSize)
	if err != nil {
		return derivedKey{}, fmt.Errorf("derive the recovery key: %w", err)
	}
	private := ed25519.NewKeyFromSeed(seed)
	identity, err := agessh.NewEd25519Identity(private)
	if err != nil {
		return derivedKey{}, fmt.Errorf("derive the recovery key: %w", err)
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		return derivedKey{}, fmt.Errorf("derive the recovery key: %w", err)
	}
	return derivedKey{identity, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))}, nil
}
