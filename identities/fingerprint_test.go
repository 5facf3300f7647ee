package identities_test

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/binary"
	"testing"

	"holdfast/identities"
)

// The vectors were computed outside of this package.
func TestFingerprint(t *testing.T) {
	seed := make([]byte, ed25519.SeedSize)
	for n := range seed {
		seed[n] = byte(n)
	}
	edwards := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	scalar := make([]byte, 32)
	binary.BigEndian.PutUint64(scalar[24:], 1234567890123456789)
	curve, err := ecdh.P256().NewPrivateKey(scalar)
	if err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name   string
		public []byte
		want   string
	}{
		{"an Ed25519 key, raw", edwards, "1220247136781190caa1cebb2562a63effa0e79e4bbffc9a55a61f9bbe2650000685"},
		{"the same key in a SubjectPublicKeyInfo", der(t, edwards), "1220247136781190caa1cebb2562a63effa0e79e4bbffc9a55a61f9bbe2650000685"},
		{"a P-256 key, in a SubjectPublicKeyInfo as always", der(t, curve.PublicKey()), "1220c48095fafe90e0bc263631e5aab251ddd811a75bd029430b3b556cd39c17d515"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := identities.Fingerprint(c.public); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func der(t *testing.T, public any) []byte {
	t.Helper()
	out, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
