package identities

import (
	"encoding/base64"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// The purposes of keys.
const (
	Signing    = "signing"
	Encryption = "encryption"
)

// Key is one entry of a dump, without the key itself.
type Key struct {
	Name    string // as the dump names it; may be empty
	Purpose string // Signing, Encryption, or "" if the entry cannot be read
	KMSKey  string // the KMS's own id; "" for a key pair
	Claimed string // the fingerprint written next to the private key
	Derived string // the fingerprint recomputed from the private key; "" if Unknown

	// Broken is why the entry cannot be read, and Unknown why its fingerprint
	// cannot be recomputed. Neither quotes the entry.
	Broken  string
	Unknown string

	digest string // stands for the entry's bytes in the content hash where Derived is missing
}

// Fingerprint is the recomputed fingerprint if there is one, else the claimed.
func (k Key) Fingerprint() string {
	if k.Derived != "" {
		return k.Derived
	}
	return k.Claimed
}

// readKeyPair reads an entry's keyPair.
func (k *Key) readKeyPair(text string) {
	k.digest = digest([]byte(text))
	wrapped, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		k.Broken = "it is not base64"
		return
	}
	pair, version, err := unwrap(wrapped)
	if err == nil {
		err = k.readPair(pair)
	}
	switch {
	case err == nil:
	case version > protoVersion:
		k.Purpose, k.Claimed, k.Unknown = "", "", "it is "+errNewer.Error()
	default:
		k.Broken = err.Error()
	}
}

// readPair reads a crypto.v30.CryptoKeyPair.
func (k *Key) readPair(pair message) error {
	var inner message
	err := pair.each(func(field protowire.Number, raw []byte, _ uint64) error {
		switch {
		case field == 1 && raw != nil:
			k.Purpose, inner = Signing, raw
		case field == 2 && raw != nil:
			k.Purpose, inner = Encryption, raw
		}
		return nil
	})
	if err != nil {
		return errors.New("it is not a key pair")
	}
	var public, private message
	err = inner.each(func(field protowire.Number, raw []byte, _ uint64) error {
		switch field {
		case 1:
			public = raw
		case 2:
			private = raw
		}
		return nil
	})
	if err != nil || private == nil {
		return errors.New("it contains no private key")
	}
	return k.readPrivate(private, public)
}

// readPrivate reads a private key and, in an old dump, the public key next to
// it.
func (k *Key) readPrivate(private, public message) error {
	stored, err := readStored(private, k.Purpose)
	if err != nil {
		return errors.New("its private key cannot be read")
	}
	if fingerprintRule.MatchString(stored.id) {
		k.Claimed = stored.id
	}
	if len(stored.bytes) == 0 {
		return errors.New("its private key is empty")
	}
	written, err := readStored(public, k.Purpose)
	if err != nil {
		return errors.New("its public key cannot be read")
	}
	derived, err := derive(k.Purpose, stored.spec, stored.format, stored.bytes)
	switch {
	case errors.Is(err, errNotDerivable) && len(written.bytes) > 0:
		k.Derived = Fingerprint(written.bytes)
	case errors.Is(err, errNotDerivable):
		k.Unknown = err.Error()
	case err != nil:
		return err
	case len(written.bytes) > 0 && Fingerprint(written.bytes) != derived:
		return errForeignPublic
	default:
		k.Derived = derived
	}
	return nil
}

// stored is the common part of the four key messages. The public ones have no
// id.
type stored struct {
	id     string
	format uint64
	bytes  []byte
	spec   uint64
}

func readStored(m message, purpose string) (stored, error) {
	specField := protowire.Number(6)
	if purpose == Encryption {
		specField = 5
	}
	var s stored
	var scheme uint64
	err := m.each(func(field protowire.Number, raw []byte, number uint64) error {
		switch field {
		case 1:
			s.id = string(raw)
		case 2:
			s.format = number
		case 3:
			s.bytes = raw
		case 4:
			scheme = number
		case specField:
			s.spec = number
		}
		return nil
	})
	// Dumps older than specs have the scheme instead. Only signing schemes are
	// numbered like the specs; an encryption key contains its own kind.
	if s.spec == 0 && purpose == Signing {
		s.spec = scheme
	}
	return s, err
}
