package admin

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Marshal encodes a message of this package. A message is a struct whose
// fields carry their numbers: `pb:"3"`. Strings, booleans, integers, byte
// strings, pointers to messages and slices of these are known; zero values are
// left out, as in proto3.
func Marshal(message any) []byte {
	return appendMessage(nil, reflect.Indirect(reflect.ValueOf(message)))
}

// Unmarshal decodes into a message, a pointer to a struct. Unknown fields are
// skipped.
func Unmarshal(data []byte, message any) error {
	return readMessage(data, reflect.ValueOf(message).Elem())
}

// Empty is google.protobuf.Empty, and any request without fields.
type Empty struct{}

// Timestamp is google.protobuf.Timestamp, Duration its counterpart.
type Timestamp struct {
	Seconds int64 `pb:"1"`
	Nanos   int32 `pb:"2"`
}

// Time is the moment.
func (t *Timestamp) Time() time.Time { return time.Unix(t.Seconds, int64(t.Nanos)).UTC() }

// Duration is google.protobuf.Duration.
type Duration struct {
	Seconds int64 `pb:"1"`
	Nanos   int32 `pb:"2"`
}

// Length is the duration, 0 for none.
func (d *Duration) Length() time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(d.Seconds)*time.Second + time.Duration(d.Nanos)
}

// DurationOf makes a message of a duration.
func DurationOf(d time.Duration) *Duration {
	return &Duration{Seconds: int64(d / time.Second), Nanos: int32(d % time.Second)} //nolint:gosec // less than a second's
}

func numberOf(f reflect.StructField) protowire.Number {
	n, _ := strconv.Atoi(f.Tag.Get("pb"))
	return protowire.Number(n) //nolint:gosec // the tags are ours
}

func appendMessage(out []byte, v reflect.Value) []byte {
	for i := range v.NumField() {
		n, field := numberOf(v.Type().Field(i)), v.Field(i)
		if field.Kind() == reflect.Slice && field.Type().Elem().Kind() != reflect.Uint8 {
			for k := range field.Len() {
				out = appendField(out, n, field.Index(k))
			}
			continue
		}
		if !field.IsZero() {
			out = appendField(out, n, field)
		}
	}
	return out
}

func appendField(out []byte, n protowire.Number, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.String:
		return protowire.AppendString(protowire.AppendTag(out, n, protowire.BytesType), v.String())
	case reflect.Slice:
		return protowire.AppendBytes(protowire.AppendTag(out, n, protowire.BytesType), v.Bytes())
	case reflect.Bool:
		return protowire.AppendVarint(protowire.AppendTag(out, n, protowire.VarintType),
			protowire.EncodeBool(v.Bool()))
	case reflect.Int32, reflect.Int64:
		number := uint64(v.Int()) //nolint:gosec // a negative number is sent as its two's complement
		return protowire.AppendVarint(protowire.AppendTag(out, n, protowire.VarintType), number)
	}
	return protowire.AppendBytes(protowire.AppendTag(out, n, protowire.BytesType),
		appendMessage(nil, reflect.Indirect(v)))
}

var errWireType = errors.New("it has an unexpected type")

func readMessage(data []byte, v reflect.Value) error {
	for len(data) > 0 {
		n, kind, used := protowire.ConsumeTag(data)
		if used < 0 {
			return protowire.ParseError(used)
		}
		length := protowire.ConsumeFieldValue(n, kind, data[used:])
		if length < 0 {
			return protowire.ParseError(length)
		}
		value := data[used : used+length]
		data = data[used+length:]
		for i := range v.NumField() {
			if numberOf(v.Type().Field(i)) == n {
				if err := readField(value, kind, v.Field(i)); err != nil {
					return fmt.Errorf("field %s: %w", v.Type().Field(i).Name, err)
				}
			}
		}
	}
	return nil
}

func readField(data []byte, kind protowire.Type, v reflect.Value) error {
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8 {
		element := reflect.New(v.Type().Elem()).Elem()
		if err := readField(data, kind, element); err != nil {
			return err
		}
		v.Set(reflect.Append(v, element))
		return nil
	}
	if kind == protowire.VarintType {
		n, _ := protowire.ConsumeVarint(data)
		switch v.Kind() {
		case reflect.Bool:
			v.SetBool(protowire.DecodeBool(n))
		case reflect.Int32, reflect.Int64:
			v.SetInt(int64(n)) //nolint:gosec // a negative number is sent as its two's complement
		default:
			return errWireType
		}
		return nil
	}
	if kind != protowire.BytesType {
		return errWireType
	}
	text, _ := protowire.ConsumeBytes(data)
	switch {
	case v.Kind() == reflect.String:
		v.SetString(string(text))
	case v.Kind() == reflect.Slice:
		v.SetBytes(append([]byte(nil), text...))
	case v.Kind() == reflect.Struct:
		return readMessage(text, v)
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return readMessage(text, v.Elem())
	default:
		return errWireType
	}
	return nil
}
