package identitiestest

import "google.golang.org/protobuf/encoding/protowire"

func bytesField(to []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), value)
}

func intField(to []byte, number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, number, protowire.VarintType), value)
}

func versioned(message []byte, version uint64) []byte {
	return intField(bytesField(nil, 1, message), 2, version)
}

func (o Options) wrapper() uint64 {
	if o.Fault == FutureKeys {
		return nextWrapper
	}
	return currentWrapper
}

// pairMessage is the versioned CryptoKeyPair.
func (k keyPair) pairMessage(o Options) []byte {
	var pair []byte
	if o.OldLayout {
		pair = bytesField(pair, 1, k.publicMessage())
	}
	pair = bytesField(pair, 2, k.privateMessage())
	return versioned(bytesField(nil, protowire.Number(1+k.purpose), pair), o.wrapper())
}

// privateMessage is a SigningPrivateKey or an EncryptionPrivateKey.
func (k keyPair) privateMessage() []byte {
	m := bytesField(nil, 1, []byte(k.fingerprint))
	m = intField(m, 2, k.privateForm)
	m = bytesField(m, 3, k.private)
	return k.appendUse(m)
}

// publicMessage is a SigningPublicKey or an EncryptionPublicKey.
func (k keyPair) publicMessage() []byte {
	m := intField(nil, 2, k.publicForm)
	m = bytesField(m, 3, k.public)
	return k.appendUse(m)
}

func (k keyPair) appendUse(m []byte) []byte {
	if k.purpose == 1 {
		return intField(m, 5, k.spec)
	}
	var packed []byte
	for _, u := range k.usage {
		packed = protowire.AppendVarint(packed, u)
	}
	return intField(bytesField(m, 5, packed), 6, k.spec)
}

func namespaceDelegation(namespace string, to keyPair) []byte {
	m := bytesField(nil, 1, []byte(namespace))
	m = bytesField(m, 2, to.publicMessage())
	return bytesField(nil, 1, intField(m, 3, 1))
}

func ownerToKeyMapping(member string, keys ...keyPair) []byte {
	m := bytesField(nil, 1, []byte(member))
	for _, k := range keys {
		m = bytesField(m, 2, bytesField(nil, protowire.Number(1+k.purpose), k.publicMessage()))
	}
	return bytesField(nil, 4, m)
}

// transaction is one Item of the snapshot around a mapping, with a signature
// that nobody checks.
func transaction(operation, serial uint64, mapping []byte) []byte {
	m := intField(nil, 1, operation)
	m = intField(m, 2, serial)
	m = bytesField(m, 3, mapping)
	signed := bytesField(nil, 1, versioned(m, currentWrapper))
	signed = bytesField(signed, 2, intField(nil, 1, formatRaw))
	item := bytesField(nil, 1, intField(nil, 1, 1_700_000_000))
	return bytesField(item, 3, versioned(signed, currentWrapper))
}

// superseded closes an item's validity.
func superseded(item []byte) []byte {
	return bytesField(item, 2, intField(nil, 1, 1_700_000_001))
}

func storedTransactions(items [][]byte) []byte {
	var m []byte
	for _, item := range items {
		m = bytesField(m, 1, item)
	}
	return versioned(m, currentWrapper)
}
