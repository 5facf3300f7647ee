package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// printer prints the values of one type.
type printer struct {
	oid uint32
	// print appends what the type's output function gives. Where piece is nil
	// it holds no character that a text COPY escapes.
	write func(dst, value []byte) ([]byte, error)
	// piece appends a part of a value as a text COPY has it, behind lead.
	piece   func(dst, part []byte) ([]byte, error)
	lead    string
	version byte     // the byte that every value begins with
	most    int      // bytes of a value; 0 is no limit
	element *printer // of an array
}

// printers are the printers of the types that formatOf calls stable, by the
// name that format_type gives them, without modifiers.
var printers = map[string]printer{
	"boolean":                     {oid: 16, write: printBool},
	"bytea":                       {oid: 17, write: printBytes, piece: appendHex, lead: `\\x`},
	`"char"`:                      {oid: 18, write: printChar, piece: escapeChar, most: 1},
	"name":                        {oid: 19, write: printText, piece: escapeText},
	"bigint":                      {oid: 20, write: printInt8},
	"smallint":                    {oid: 21, write: printInt2},
	"integer":                     {oid: 23, write: printInt4},
	"text":                        {oid: 25, write: printText, piece: escapeText},
	"oid":                         {oid: 26, write: printOID},
	"json":                        {oid: 114, write: printText, piece: escapeText},
	"real":                        {oid: 700, write: printFloat4},
	"double precision":            {oid: 701, write: printFloat8},
	"character":                   {oid: 1042, write: printText, piece: escapeText},
	"bpchar":                      {oid: 1042, write: printText, piece: escapeText},
	"character varying":           {oid: 1043, write: printText, piece: escapeText},
	"date":                        {oid: 1082, write: printDate},
	"time without time zone":      {oid: 1083, write: printTime},
	"timestamp without time zone": {oid: 1114, write: printTimestamp},
	"timestamp with time zone":    {oid: 1184, write: printTimestampTZ},
	"numeric":                     {oid: 1700, write: printNumeric},
	"uuid":                        {oid: 2950, write: printUUID},
	"jsonb":                       {oid: 3802, write: printJSONB, piece: escapeText, version: 1},
}

// label prints an enum's value. A label is a name, and so are its bounds.
var label = printer{write: printText, piece: escapeText, most: 63}

var modifier = regexp.MustCompile(`\(-?[0-9]+(,-?[0-9]+)?\)`)

// printerOf finds the printer for a type as format_type prints it with an
// empty search_path: a type of the database's own has its schema in front.
func printerOf(name string) (printer, error) {
	base, array := strings.CutSuffix(modifier.ReplaceAllString(name, ""), "[]")
	p, known := printers[base]
	switch {
	case known && array:
		return printer{element: &p}, nil
	case known:
		return p, nil
	case !array && strings.Contains(name, "."):
		return label, nil
	}
	return printer{}, fmt.Errorf("values of type %s cannot be turned into text without a server", name)
}

// needs checks a value's length.
func needs(value []byte, n int) error {
	if len(value) != n {
		return fmt.Errorf("a value of %d bytes instead of %d", len(value), n)
	}
	return nil
}

func printBool(dst, v []byte) ([]byte, error) {
	if err := needs(v, 1); err != nil {
		return dst, err
	}
	switch v[0] {
	case 0:
		return append(dst, 'f'), nil
	case 1:
		return append(dst, 't'), nil
	}
	return dst, fmt.Errorf("%d is neither true nor false", v[0])
}

func printInt2(dst, v []byte) ([]byte, error) {
	if err := needs(v, 2); err != nil {
		return dst, err
	}
	return strconv.AppendInt(dst, int64(int16(binary.BigEndian.Uint16(v))), 10), nil //nolint:gosec // the value is signed
}

func printInt4(dst, v []byte) ([]byte, error) {
	if err := needs(v, 4); err != nil {
		return dst, err
	}
	return strconv.AppendInt(dst, int64(int32(binary.BigEndian.Uint32(v))), 10), nil //nolint:gosec // the value is signed
}

func printInt8(dst, v []byte) ([]byte, error) {
	if err := needs(v, 8); err != nil {
		return dst, err
	}
	return strconv.AppendInt(dst, signed(v), 10), nil
}

func signed(v []byte) int64 { return int64(binary.BigEndian.Uint64(v)) } //nolint:gosec // the value is signed

func printOID(dst, v []byte) ([]byte, error) {
	if err := needs(v, 4); err != nil {
		return dst, err
	}
	return strconv.AppendUint(dst, uint64(binary.BigEndian.Uint32(v)), 10), nil
}

func printText(dst, v []byte) ([]byte, error) {
	if bytes.IndexByte(v, 0) >= 0 {
		return dst, errZero
	}
	return append(dst, v...), nil
}

var errZero = errors.New("a text with a zero byte in it")

func printJSONB(dst, v []byte) ([]byte, error) {
	if len(v) == 0 || v[0] != 1 {
		return dst, errors.New("a value of a version that is not known")
	}
	return printText(dst, v[1:])
}

func printBytes(dst, v []byte) ([]byte, error) { return appendHex(append(dst, '\\', 'x'), v) }

func appendHex(dst, v []byte) ([]byte, error) { return hex.AppendEncode(dst, v), nil }

// printChar prints a "char": one byte, of which zero is the empty text.
func printChar(dst, v []byte) ([]byte, error) {
	if err := needs(v, 1); err != nil {
		return dst, err
	}
	switch c := v[0]; {
	case c == 0:
		return dst, nil
	case c >= 0x80:
		return fmt.Appendf(dst, `\%03o`, c), nil
	default:
		return append(dst, c), nil
	}
}

func escapeChar(dst, v []byte) ([]byte, error) {
	var text [4]byte
	out, err := printChar(text[:0], v)
	if err != nil {
		return dst, err
	}
	return escapeText(dst, out)
}

func printUUID(dst, v []byte) ([]byte, error) {
	if err := needs(v, 16); err != nil {
		return dst, err
	}
	for i, n := range []int{4, 2, 2, 2, 6} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, v[:n])
		v = v[n:]
	}
	return dst, nil
}

// escapes holds, for each byte that a text COPY escapes, the letter behind the
// backslash; for zero, which no text has, a letter that is never written.
var escapes = [256]byte{0: '0', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't', '\v': 'v', '\\': '\\'}

func escapeText(dst, v []byte) ([]byte, error) {
	from := 0
	for i, b := range v {
		if escapes[b] == 0 {
			continue
		}
		if b == 0 {
			return dst, errZero
		}
		dst = append(append(dst, v[from:i]...), '\\', escapes[b])
		from = i + 1
	}
	return append(dst, v[from:]...), nil
}
