package identities

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
)

// oneAsymmetricKey is PKCS #8 (RFC 5208) and what came after it (RFC 5958):
// version 1 may have the public key as well.
type oneAsymmetricKey struct {
	Version    int
	Algorithm  pkix.AlgorithmIdentifier
	Private    []byte
	Attributes []asn1.RawValue `asn1:"optional,set,tag:0"`
	Public     asn1.BitString  `asn1:"optional,tag:1"`
}

// ecPrivateKey is what Private holds of a key on a curve (RFC 5915).
type ecPrivateKey struct {
	Version int
	Private []byte
	Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	Public  asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

// errForeignPublic means that what is stored as one key is two.
var errForeignPublic = errors.New("its public key is not that of its private key")

// parsePKCS8 reads a private key as strictly as the importer does. The standard
// library looks neither at what follows the key nor at its version, and not at
// the public key that may stand in it. Its own words could quote the key, so
// they are not repeated.
func parsePKCS8(der []byte) (any, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("its private key does not parse")
	}
	var outer oneAsymmetricKey
	rest, err := asn1.Unmarshal(der, &outer)
	if err != nil || len(rest) > 0 || outer.Version < 0 || outer.Version > 1 {
		return nil, errors.New("its private key does not parse")
	}
	if !samePublic(key, outer) {
		return nil, errForeignPublic
	}
	return key, nil
}

// samePublic asks whether the public key in a private one is its own. Points
// that are written in another form than usual are not compared.
func samePublic(key any, outer oneAsymmetricKey) bool {
	var own []byte
	written := [][]byte{outer.Public.Bytes}
	switch key := key.(type) {
	case ed25519.PrivateKey:
		own = key.Public().(ed25519.PublicKey)
	case *ecdsa.PrivateKey:
		public, err := key.PublicKey.ECDH()
		var inner ecPrivateKey
		if _, innerErr := asn1.Unmarshal(outer.Private, &inner); err != nil || innerErr != nil {
			return false
		}
		own, written = public.Bytes(), append(written, inner.Public.Bytes)
	default:
		return true
	}
	for _, other := range written {
		if len(other) == len(own) && !bytes.Equal(other, own) {
			return false
		}
	}
	return true
}

// kindOf is the number of the key's kind among the specs of its purpose, 0 for
// a kind that has none.
func kindOf(purpose string, key any) uint64 {
	switch key := key.(type) {
	case ed25519.PrivateKey:
		if purpose == Signing {
			return signingEd25519
		}
	case *ecdsa.PrivateKey:
		switch bits := key.Curve.Params().BitSize; {
		case bits == 256 && purpose == Encryption:
			return encryptionP256
		case bits == 256:
			return signingP256
		case bits == 384 && purpose == Signing:
			return signingP384
		}
	case *rsa.PrivateKey:
		if purpose == Encryption {
			return encryptionRSA
		}
	}
	return 0
}
