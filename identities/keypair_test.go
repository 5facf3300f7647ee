package identities

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// current is an Ed25519 pair with the seed 00 01 … 1f in the layout of current
// releases, made outside of this package.
const current = "CoYBCoMBEoABCkQxMjIwMjQ3MTM2NzgxMTkwY2FhMWNlYmIyNTYyYTYzZWZmYTBlNzllNGJiZmZjOWE1NWE2MWY5YmJlMjY1MDAwMDY4NRAFGjAwLgIBADAFBgMrZXAEIgQgAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8qAgEFMAEQHg=="

// changed is a copy with one bit of one byte changed, counted from the end if
// negative.
func changed(data []byte, at int) []byte {
	out := slices.Clone(data)
	out[(at+len(out))%len(out)] ^= 1
	return out
}

func TestReadKeyPair(t *testing.T) {
	const vector = "1220247136781190caa1cebb2562a63effa0e79e4bbffc9a55a61f9bbe2650000685"
	seed := must(hex.DecodeString("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"))
	long := ed25519.NewKeyFromSeed(seed)
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	// BouncyCastle appends the public key to an Ed25519 PKCS8 message.
	withPublic := append(must(hex.DecodeString("3051020101300506032b657004220420")), seed...)
	withPublic = append(append(withPublic, 0x81, 0x21, 0x00), long.Public().(ed25519.PublicKey)...)

	for _, c := range []struct {
		name    string
		text    string
		purpose string
		derived string
		unknown string
		broken  string
	}{
		{name: "the vector of a current release", text: current, purpose: Signing, derived: vector},
		{name: "a raw seed", text: pair(Signing, 30, 1, seed, nil), purpose: Signing, derived: vector},
		{name: "a raw seed with the public key behind it", text: pair(Signing, 30, 1, long, nil), purpose: Signing, derived: vector},
		{name: "PKCS8 with the public key in it", text: pair(Signing, 30, 1, withPublic, nil), purpose: Signing, derived: vector},
		{name: "P-256", text: pair(Signing, 30, 2, pkcs8(p256), nil), purpose: Signing, derived: Fingerprint(spki(&p256.PublicKey))},
		{name: "P-384", text: pair(Signing, 30, 3, pkcs8(p384), nil), purpose: Signing, derived: Fingerprint(spki(&p384.PublicKey))},
		{name: "P-256 for encryption", text: pair(Encryption, 30, 1, pkcs8(p256), nil), purpose: Encryption, derived: Fingerprint(spki(&p256.PublicKey))},
		{name: "RSA for encryption", text: pair(Encryption, 30, 2, pkcs8(rsaKey), nil), purpose: Encryption, derived: Fingerprint(spki(&rsaKey.PublicKey))},
		{name: "a current kind of key in the next layout", text: pair(Signing, 31, 1, seed, nil), purpose: Signing, derived: vector},
		{name: "secp256k1", text: pair(Signing, 30, 4, []byte("private"), nil), purpose: Signing, unknown: "cannot be recomputed"},
		{name: "secp256k1 with its public key", text: pair(Signing, 30, 4, []byte("private"), []byte("public")), purpose: Signing, derived: Fingerprint([]byte("public"))},
		{name: "ML-DSA-65 in the next layout", text: pair(Signing, 31, 5, []byte("private"), nil), purpose: Signing, unknown: "cannot be recomputed"},
		{name: "something else in a later layout", text: encode(wrapped([]byte{0xff}, 32)), unknown: "newer layout"},
		{name: "a private key cut short", text: pair(Signing, 30, 1, pkcs8(long)[:40], nil), purpose: Signing, broken: "does not parse"},
		{name: "a key of another kind than it says", text: pair(Signing, 30, 2, pkcs8(long), nil), purpose: Signing, broken: "another kind"},
		{name: "a curve that does not encrypt", text: pair(Encryption, 30, 0, pkcs8(p384), nil), purpose: Encryption, broken: "another kind"},
		{name: "PKCS8 with more behind it", text: pair(Signing, 30, 1, append(pkcs8(long), 0), nil), purpose: Signing, broken: "does not parse"},
		{name: "PKCS8 with another public key in it", text: pair(Signing, 30, 1, changed(withPublic, -1), nil), purpose: Signing, broken: "not that of"},
		{name: "P-256 with another public key in it", text: pair(Signing, 30, 2, changed(pkcs8(p256), -1), nil), purpose: Signing, broken: "not that of"},
		{name: "a seed with another public key behind it", text: pair(Signing, 30, 1, changed(long, -1), nil), purpose: Signing, broken: "not that of"},
		{name: "another public key next to it", text: pair(Signing, 30, 1, seed, seed), purpose: Signing, broken: "not that of"},
		{name: "no private key", text: encode(wrapped(field(1, nil), 30)), purpose: Signing, broken: "contains no private key"},
		{name: "no base64", text: "***", broken: "not base64"},
		{name: "no message", text: encode([]byte{0xff, 0xff}), broken: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var k Key
			k.readKeyPair(c.text)
			if k.Purpose != c.purpose || k.Derived != c.derived || !strings.Contains(k.Unknown, c.unknown) || !strings.Contains(k.Broken, c.broken) {
				t.Errorf("got %+v", k)
			}
			if k.Derived == "" && k.Unknown == "" && k.Broken == "" {
				t.Errorf("no fingerprint and no reason why: %+v", k)
			}
		})
	}
}

func pair(purpose string, version, spec uint64, private, public []byte) string {
	specField, oneof := protowire.Number(6), protowire.Number(1)
	if purpose == Encryption {
		specField, oneof = 5, 2
	}
	key := field(1, []byte("1220"+strings.Repeat("0", 64)))
	key = append(key, field(3, private)...)
	key = protowire.AppendVarint(protowire.AppendTag(key, specField, protowire.VarintType), spec)
	both := field(2, key)
	if public != nil {
		both = append(field(1, field(3, public)), both...)
	}
	return encode(wrapped(field(oneof, both), version))
}

func field(n protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), value)
}

func wrapped(inner []byte, version uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(field(1, inner), 2, protowire.VarintType), version)
}

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func pkcs8(key any) []byte { return must(x509.MarshalPKCS8PrivateKey(key)) }

func spki(key any) []byte { return must(x509.MarshalPKIXPublicKey(key)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
