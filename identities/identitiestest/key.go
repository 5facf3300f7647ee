package identitiestest

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
)

// Usages, formats and specs, as numbered in Canton's crypto.proto.
const (
	useNamespace = 1
	useAuth      = 3
	useProtocol  = 4
	useOwnership = 5

	formatDER   = 2
	formatRaw   = 3
	formatSPKI  = 4
	formatPKCS8 = 5

	specEd25519    = 1
	specMLDSA      = 5
	specEncryptP   = 1
	currentWrapper = 30
	nextWrapper    = 31
)

// use is what a signing key may sign; a key without one encrypts.
type use []uint64

func nsUse() use   { return use{useNamespace, useOwnership} }
func signUse() use { return use{useAuth, useProtocol, useOwnership} }

// keyPair is a key before it is written down.
type keyPair struct {
	name        string
	purpose     int16
	fingerprint string
	public      []byte // as stored
	private     []byte // as stored
	publicForm  uint64
	privateForm uint64
	spec        uint64
	usage       use
}

// key derives the key of that name from the seed: Ed25519 for signing, P-256
// for encryption.
func (o Options) key(seed [32]byte, name string, usage use) keyPair {
	sum := sha256.Sum256(append(seed[:], name...))
	if usage == nil {
		return encryptionKey(name, sum, o)
	}
	private := ed25519.NewKeyFromSeed(sum[:])
	raw := []byte(private.Public().(ed25519.PublicKey))
	k := keyPair{
		name: name, fingerprint: fingerprint(raw), spec: specEd25519, usage: usage,
		public: raw, publicForm: formatRaw, private: sum[:], privateForm: formatRaw,
	}
	if !o.OldLayout {
		k.public, k.publicForm = must(x509.MarshalPKIXPublicKey(private.Public())), formatSPKI
		k.private, k.privateForm = must(x509.MarshalPKCS8PrivateKey(private)), formatPKCS8
	}
	if o.Fault == FutureKeys {
		k.spec, k.private, k.public = specMLDSA, append(k.private, k.private...), append(k.public, k.public...)
		k.fingerprint = fingerprint(k.public)
	}
	return k
}

func encryptionKey(name string, scalar [32]byte, o Options) keyPair {
	scalar[0] &= 0x7f // below the order of the curve, whatever the hash
	private := must(ecdh.P256().NewPrivateKey(scalar[:]))
	public := must(x509.MarshalPKIXPublicKey(private.PublicKey()))
	k := keyPair{
		name: name, purpose: 1, fingerprint: fingerprint(public), spec: specEncryptP,
		public: public, publicForm: formatSPKI,
		private: must(x509.MarshalPKCS8PrivateKey(private)), privateForm: formatPKCS8,
	}
	if o.OldLayout {
		k.publicForm, k.privateForm = formatDER, formatDER
	}
	return k
}

// fingerprint is written out a second time here, so that a mistake in the
// package under test cannot hide behind itself.
func fingerprint(key []byte) string {
	sum := sha256.Sum256(append([]byte{0, 0, 0, 12}, key...))
	return "1220" + hex.EncodeToString(sum[:])
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // the inputs are fixed by the seed and valid by construction
	}
	return v
}
