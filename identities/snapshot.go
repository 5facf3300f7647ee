package identities

import (
	"bytes"
	"errors"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// snapshot is the part of an authorised store that defines a node's identity: who
// may act for its namespace, and which keys its member uses. It contains only
// what is in force; old releases export the history too.
type snapshot struct {
	delegations []delegation
	owners      []ownerMapping
	identity    [][]byte // the transactions behind the two, sorted, for the content hash
}

type delegation struct {
	namespace string
	target    listedKey
}

// roots reports whether it is the root of a namespace: the one whose key hashes
// to it, as far as the kind of key is known here.
func (d delegation) roots(namespace string) bool {
	return d.namespace == namespace && (d.target.fingerprint == namespace || !d.target.certain)
}

type ownerMapping struct {
	member string
	keys   []listedKey
}

// listedKey is a public key in the snapshot.
type listedKey struct {
	fingerprint string
	purpose     string
	certain     bool // the fingerprint rule of its spec is known
}

// errNewer means that a message is unreadable and has a later version than the
// known ones.
var errNewer = errors.New("written in a newer layout")

// readSnapshot decodes an authorizedStoreSnapshot.
func readSnapshot(wrapped []byte) (*snapshot, error) {
	items, version, err := unwrap(wrapped)
	if err != nil {
		return nil, newer(version, err)
	}
	var s snapshot
	err = items.each(func(field protowire.Number, raw []byte, _ uint64) error {
		if field != 1 {
			return nil
		}
		return s.readItem(raw)
	})
	if err != nil {
		return nil, newer(version, err)
	}
	slices.SortFunc(s.identity, bytes.Compare)
	return &s, nil
}

func newer(version uint64, err error) error {
	if version > protoVersion {
		return errNewer
	}
	return err
}

// readItem reads one stored transaction and keeps it if it is in force.
func (s *snapshot) readItem(item message) error {
	var signed []byte
	var over bool
	err := item.each(func(field protowire.Number, raw []byte, _ uint64) error {
		switch field {
		case 2, 5: // valid_until, rejection_reason
			over = true
		case 3:
			signed = raw
		}
		return nil
	})
	if err != nil || over {
		return err
	}
	inner, version, err := unwrap(signed)
	if err != nil {
		return newer(version, err)
	}
	var transaction []byte
	var proposal bool
	err = inner.each(func(field protowire.Number, raw []byte, number uint64) error {
		switch field {
		case 1:
			transaction = raw
		case 3:
			proposal = number != 0
		}
		return nil
	})
	if err != nil || proposal {
		return newer(version, err)
	}
	return s.readTransaction(transaction)
}

// readTransaction reads a versioned TopologyTransaction. Mappings other than
// the two that matter are skipped: old releases export the whole store.
func (s *snapshot) readTransaction(wrapped []byte) error {
	transaction, version, err := unwrap(wrapped)
	if err != nil {
		return newer(version, err)
	}
	const remove = 2
	var operation uint64
	var mapping message
	err = transaction.each(func(field protowire.Number, raw []byte, number uint64) error {
		switch field {
		case 1:
			operation = number
		case 3:
			mapping = raw
		}
		return nil
	})
	if err != nil || operation == remove {
		return newer(version, err)
	}
	var kind protowire.Number
	var content message
	err = mapping.each(func(field protowire.Number, raw []byte, _ uint64) error {
		kind, content = field, raw // one of many: the last one counts
		return nil
	})
	switch {
	case err != nil:
	case kind == 1:
		s.identity = append(s.identity, wrapped)
		err = s.readDelegation(content)
	case kind == 4:
		s.identity = append(s.identity, wrapped)
		err = s.readOwner(content)
	}
	return newer(version, err)
}

func (s *snapshot) readDelegation(m message) error {
	var d delegation
	err := m.each(func(field protowire.Number, raw []byte, _ uint64) (err error) {
		switch field {
		case 1:
			d.namespace = string(raw)
		case 2:
			d.target, err = readListed(raw, Signing)
		}
		return err
	})
	s.delegations = append(s.delegations, d)
	return err
}

func (s *snapshot) readOwner(m message) error {
	var o ownerMapping
	err := m.each(func(field protowire.Number, raw []byte, _ uint64) error {
		switch field {
		case 1:
			o.member = string(raw)
		case 2:
			return message(raw).each(func(kind protowire.Number, key []byte, _ uint64) error {
				purpose := Signing
				if kind == 2 {
					purpose = Encryption
				}
				if len(o.keys) == maxKeys {
					return errors.New("a mapping with too many keys")
				}
				listed, err := readListed(key, purpose)
				o.keys = append(o.keys, listed)
				return err
			})
		}
		return nil
	})
	s.owners = append(s.owners, o)
	return err
}

func readListed(m message, purpose string) (listedKey, error) {
	public, err := readStored(m, purpose)
	if err != nil {
		return listedKey{}, err
	}
	if len(public.bytes) == 0 {
		return listedKey{}, errors.New("a public key without bytes")
	}
	last := uint64(4) // secp256k1: not derivable, but its public key is hashed like any other
	if purpose == Encryption {
		last = encryptionRSA
	}
	return listedKey{Fingerprint(public.bytes), purpose, public.spec <= last}, nil
}
