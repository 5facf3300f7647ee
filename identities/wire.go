package identities

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// protoVersion is the wrapper version whose layout is known for certain. Later
// versions have kept the field numbers so far and are read the same way, but a
// failure to read them proves no fault of the dump.
const protoVersion = 30

// message is an encoded protobuf message. It is read without generated code:
// dumps have outlived several releases of the schema, and only a few fields
// matter here.
type message []byte

// each visits the fields in their order. It passes a nested message, a string or
// bytes as raw, and a number as such, and skips other kinds. It copies nothing.
func (m message) each(visit func(field protowire.Number, raw []byte, number uint64) error) error {
	for len(m) > 0 {
		field, kind, size := protowire.ConsumeTag(m)
		if size < 0 {
			return protowire.ParseError(size)
		}
		m = m[size:]
		var raw []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			raw, size = protowire.ConsumeBytes(m)
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(m)
		default:
			size = protowire.ConsumeFieldValue(field, kind, m)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		m = m[size:]
		if err := visit(field, raw, number); err != nil {
			return err
		}
	}
	return nil
}

// unwrap opens an UntypedVersionedMessage.
func unwrap(wrapped []byte) (inner message, version uint64, err error) {
	err = message(wrapped).each(func(field protowire.Number, raw []byte, number uint64) error {
		switch field {
		case 1:
			inner = raw
		case 2:
			version = number
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, 0, err
	case inner == nil:
		return nil, version, errors.New("an empty message")
	case version < protoVersion:
		return nil, version, errors.New("not a message of Canton 3")
	}
	return inner, version, nil
}
