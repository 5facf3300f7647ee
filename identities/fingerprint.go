package identities

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"regexp"
)

// ed25519Header precedes the 32 raw bytes in the SubjectPublicKeyInfo of every
// Ed25519 key.
const ed25519Header = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"

// Fingerprint is Canton's name for a public key: the multihash (SHA-256, hence
// the leading 1220) of the key under the hash purpose 12. The key is the DER
// SubjectPublicKeyInfo, for Ed25519 alone the 32 raw bytes; both forms of an
// Ed25519 key are accepted and have the same fingerprint.
func Fingerprint(public []byte) string {
	if len(public) == len(ed25519Header)+ed25519.PublicKeySize {
		public = bytes.TrimPrefix(public, []byte(ed25519Header))
	}
	hash := sha256.New()
	hash.Write([]byte{0, 0, 0, 12})
	hash.Write(public)
	return "1220" + hex.EncodeToString(hash.Sum(nil))
}

var fingerprintRule = regexp.MustCompile(`^1220[0-9a-f]{64}$`)

// errNotDerivable means that the standard library cannot derive the public key
// of this kind of private key.
var errNotDerivable = errors.New("the fingerprint of this kind of key cannot be recomputed here")

// Canton's numbers of the key specs whose public key can be derived here. Dumps
// older than specs have 0.
const (
	signingEd25519   = 1
	signingP256      = 2
	signingP384      = 3
	encryptionP256   = 1
	encryptionRSA    = 2
	formatSymbolic   = 10000
	ed25519SeedBytes = ed25519.SeedSize
)

// derive returns the fingerprint of the public key of a private one. An error
// other than errNotDerivable means that the bytes are not a key.
func derive(purpose string, spec, format uint64, private []byte) (string, error) {
	known := spec <= signingP384
	if purpose == Encryption {
		known = spec <= encryptionRSA
	}
	if !known || format >= formatSymbolic {
		return "", errNotDerivable
	}
	if purpose == Signing && spec <= signingEd25519 {
		switch len(private) {
		case ed25519SeedBytes, ed25519.PrivateKeySize: // raw: the seed, or the seed and the public key
			key := ed25519.NewKeyFromSeed(private[:ed25519SeedBytes])
			if !bytes.HasPrefix(key, private) {
				return "", errForeignPublic
			}
			return fingerprintOf(key)
		}
	}
	key, err := parsePKCS8(private)
	if err != nil {
		return "", err
	}
	if kind := kindOf(purpose, key); kind == 0 || spec != 0 && kind != spec {
		return "", errors.New("its private key is of another kind than it says")
	}
	return fingerprintOf(key)
}

func fingerprintOf(key any) (string, error) {
	pair, ok := key.(interface{ Public() crypto.PublicKey })
	if !ok {
		return "", errNotDerivable
	}
	public, err := x509.MarshalPKIXPublicKey(pair.Public())
	if err != nil {
		return "", errNotDerivable
	}
	return Fingerprint(public), nil
}
