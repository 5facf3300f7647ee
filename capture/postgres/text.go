package postgres

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"holdfast"
)

// TextRows reads the stream of a binary COPY of table t, as a segment holds it,
// and writes the same rows as lines of a text COPY. It needs no server: it
// knows the types that formatOf lets into a binary dump, arrays of them, and
// enums, whose values are their labels; of a domain, t.Types holds the type it
// rests on. The lines are what a server prints under the settings of reading,
// byte for byte, so that another server reads the identical values back.
//
// Rows are converted as they come. Only an array, or another value that is not
// a run of bytes or characters, is held in memory whole.
//
// One value has no text that every server understands: a "char" above 127 is
// written as a backslash and three octal digits, which servers before version
// 15 read as a lone backslash.
func TextRows(dst io.Writer, src io.Reader, t holdfast.Table) (rows int64, err error) {
	c := &textCopy{in: bufio.NewReaderSize(src, textBuffer), dst: dst, table: t}
	if err := c.resolve(); err != nil {
		return 0, err
	}
	if err := c.header(); err != nil {
		return 0, c.fail(err)
	}
	for {
		more, err := c.row()
		if err != nil {
			return c.rows, c.fail(err)
		}
		if !more {
			return c.rows, c.flush()
		}
	}
}

// textBuffer is the size of the buffers, and of the pieces that a large value
// is converted in.
const textBuffer = 256 << 10

// textCopy converts one stream.
type textCopy struct {
	in       *bufio.Reader
	dst      io.Writer
	out      []byte
	table    holdfast.Table
	printers []printer
	rows     int64
	column   int    // index of the one being read; -1 outside of a value
	whole    []byte // a value that does not fit into the buffer
	scratch  []byte // an array's text
}

// resolve finds the printer of every column.
func (c *textCopy) resolve() error {
	if len(c.table.Types) != len(c.table.Columns) {
		return fmt.Errorf("table %s: %d columns, but %d types", c.name(), len(c.table.Columns), len(c.table.Types))
	}
	for i, name := range c.table.Types {
		p, err := printerOf(name)
		if err != nil {
			return fmt.Errorf("table %s, column %q: %w", c.name(), c.table.Columns[i], err)
		}
		c.printers = append(c.printers, p)
	}
	c.column = -1
	return nil
}

func (c *textCopy) name() string { return fmt.Sprintf("%q.%q", c.table.Schema, c.table.Name) }

// fail says where in the table the conversion stood.
func (c *textCopy) fail(err error) error {
	if errors.Is(err, io.EOF) {
		err = errors.New("the stream ends before its trailer")
	}
	if c.column >= 0 {
		return fmt.Errorf("table %s, row %d, column %q of type %s: %w", c.name(), c.rows+1, c.table.Columns[c.column], c.table.Types[c.column], err)
	}
	return fmt.Errorf("table %s, row %d: %w", c.name(), c.rows+1, err)
}

func (c *textCopy) header() error {
	var head [len(binarySignature) + 8]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return noEOF(err, "the stream ends within its header")
	}
	if string(head[:len(binarySignature)]) != binarySignature {
		return errors.New("the stream does not begin as a binary COPY does")
	}
	if flags := binary.BigEndian.Uint32(head[len(binarySignature):]); flags>>16 != 0 {
		return fmt.Errorf("the stream's header has flags %#x, which are not known", flags)
	}
	extension := binary.BigEndian.Uint32(head[len(binarySignature)+4:])
	if _, err := io.CopyN(io.Discard, c.in, int64(extension)); err != nil {
		return noEOF(err, "the stream ends within its header")
	}
	return nil
}

func noEOF(err error, text string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New(text)
	}
	return err
}

// row converts one row; more is false when the trailer was there instead, and
// nothing behind it.
func (c *textCopy) row() (more bool, err error) {
	c.column = -1
	head, err := c.take(2)
	if err != nil {
		return false, err
	}
	switch n := int16(binary.BigEndian.Uint16(head)); { //nolint:gosec // the field is signed
	case n == -1:
		if _, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
			if err == nil {
				err = errors.New("the stream goes on behind its trailer")
			}
			return false, err
		}
		return false, nil
	case int(n) != len(c.printers):
		return false, fmt.Errorf("the row has %d columns instead of %d", n, len(c.printers))
	}
	for i := range c.printers {
		c.column = i
		if i > 0 {
			c.out = append(c.out, '\t')
		}
		if err := c.field(&c.printers[i]); err != nil {
			return false, err
		}
	}
	c.column = -1
	c.out = append(c.out, '\n')
	c.rows++
	return true, c.spill()
}

// take returns the next n bytes, at most textBuffer; they are valid until the
// next reading.
func (c *textCopy) take(n int) ([]byte, error) {
	p, err := c.in.Peek(n)
	if err != nil {
		return nil, err
	}
	_, _ = c.in.Discard(n) // they are buffered
	return p, nil
}

func (c *textCopy) spill() error {
	if len(c.out) < textBuffer {
		return nil
	}
	return c.flush()
}

func (c *textCopy) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.dst.Write(c.out)
	c.out = c.out[:0]
	return err
}

// largestValue is the most that a server can hold in one value.
const largestValue = 1<<30 - 1

// field converts one value.
func (c *textCopy) field(p *printer) error {
	head, err := c.take(4)
	if err != nil {
		return err
	}
	n := int(int32(binary.BigEndian.Uint32(head))) //nolint:gosec // the field is signed
	switch {
	case n == -1:
		c.out = append(c.out, '\\', 'N')
		return nil
	case n < 0 || n > largestValue:
		return fmt.Errorf("a value of %d bytes", n)
	case p.piece != nil:
		return c.pieces(p, n)
	}
	value, err := c.value(n)
	if err != nil {
		return err
	}
	if p.element == nil {
		c.out, err = p.print(c.out, value)
		return err
	}
	if c.scratch, err = printArray(c.scratch[:0], value, p.element); err != nil {
		return err
	}
	c.out, err = escapeText(c.out, c.scratch)
	if cap(c.scratch) > 16*textBuffer {
		c.scratch = nil
	}
	return err
}

// value reads a value whole. Memory grows with what really comes, not with
// what a length claims.
func (c *textCopy) value(n int) ([]byte, error) {
	if n <= textBuffer {
		return c.take(n)
	}
	if cap(c.whole) > 16*textBuffer {
		c.whole = nil
	}
	into := bytes.NewBuffer(c.whole[:0])
	_, err := io.CopyN(into, c.in, int64(n))
	c.whole = into.Bytes()
	return c.whole, err
}

// pieces converts a value that can be taken a part at a time.
func (c *textCopy) pieces(p *printer, n int) error {
	if p.version != 0 {
		if n == 0 {
			return errors.New("a value without its version")
		}
		v, err := c.take(1)
		if err != nil {
			return err
		}
		if v[0] != p.version {
			return fmt.Errorf("a value of version %d, known is %d", v[0], p.version)
		}
		n--
	}
	if p.most > 0 && n > p.most {
		return fmt.Errorf("a value of %d bytes where at most %d are possible", n, p.most)
	}
	c.out = append(c.out, p.lead...)
	for {
		part, err := c.take(min(n, textBuffer))
		if err != nil {
			return err
		}
		if c.out, err = p.piece(c.out, part); err != nil {
			return err
		}
		if n -= len(part); n == 0 {
			return nil
		}
		if err := c.spill(); err != nil {
			return err
		}
	}
}

// printer prints the values of one type.
type printer struct {
	oid uint32
	// print appends what the type's output function gives. Where piece is nil
	// it holds no character that a text COPY escapes.
	print func(dst, value []byte) ([]byte, error)
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
	"boolean":                     {oid: 16, print: printBool},
	"bytea":                       {oid: 17, print: printBytes, piece: appendHex, lead: `\\x`},
	`"char"`:                      {oid: 18, print: printChar, piece: escapeChar, most: 1},
	"name":                        {oid: 19, print: printText, piece: escapeText},
	"bigint":                      {oid: 20, print: printInt8},
	"smallint":                    {oid: 21, print: printInt2},
	"integer":                     {oid: 23, print: printInt4},
	"text":                        {oid: 25, print: printText, piece: escapeText},
	"oid":                         {oid: 26, print: printOID},
	"json":                        {oid: 114, print: printText, piece: escapeText},
	"real":                        {oid: 700, print: printFloat4},
	"double precision":            {oid: 701, print: printFloat8},
	"character":                   {oid: 1042, print: printText, piece: escapeText},
	"bpchar":                      {oid: 1042, print: printText, piece: escapeText},
	"character varying":           {oid: 1043, print: printText, piece: escapeText},
	"date":                        {oid: 1082, print: printDate},
	"time without time zone":      {oid: 1083, print: printTime},
	"timestamp without time zone": {oid: 1114, print: printTimestamp},
	"timestamp with time zone":    {oid: 1184, print: printTimestampTZ},
	"numeric":                     {oid: 1700, print: printNumeric},
	"uuid":                        {oid: 2950, print: printUUID},
	"jsonb":                       {oid: 3802, print: printJSONB, piece: escapeText, version: 1},
}

// label prints an enum's value. A label is a name, and so are its bounds.
var label = printer{print: printText, piece: escapeText, most: 63}

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

// The greatest exponents that a server prints without "e".
const (
	fixedFloat4 = 6
	fixedFloat8 = 15
)

func printFloat4(dst, v []byte) ([]byte, error) {
	if err := needs(v, 4); err != nil {
		return dst, err
	}
	return appendFloat(dst, float64(math.Float32frombits(binary.BigEndian.Uint32(v))), 32), nil
}

func printFloat8(dst, v []byte) ([]byte, error) {
	if err := needs(v, 8); err != nil {
		return dst, err
	}
	return appendFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(v)), 64), nil
}

// appendFloat prints the shortest decimal that is nearer to f than to any
// other value; of two that are equally short and near, the one that ends in an
// even digit. One that lies exactly between two values is not taken, though
// readers that round to even would find f again: the server does not take it
// either.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case f == 0 && math.Signbit(f):
		return append(dst, "-0"...)
	}
	var buf, other [40]byte
	text := strconv.AppendFloat(buf[:0], f, 'e', -1, bits)
	digits, exponent := decimal(text)
	fixed, precise := fixedFloat8, 15
	if bits == 32 {
		fixed, precise = fixedFloat4, 6
	}
	// Fewer digits leave no room for two that are equally near.
	if len(digits) >= precise && digits[len(digits)-1]%2 == 1 {
		even := strconv.AppendFloat(other[:0], f, 'e', len(digits)-1, bits)
		if back, err := strconv.ParseFloat(string(even), bits); err == nil && back == f {
			text = even
		}
	}
	if exponent >= fixed {
		for n := len(digits); n < 20 && betweenTwo(text, f, bits); n++ {
			text = strconv.AppendFloat(text[:0], f, 'e', n, bits)
		}
	}
	digits, exponent = decimal(text)
	if exponent < -4 || exponent >= fixed {
		return append(dst, text...)
	}
	if f < 0 {
		dst = append(dst, '-')
	}
	if exponent < 0 {
		dst = append(append(dst, "0.000"[:1-exponent]...), digits...)
		return dst
	}
	for len(digits) <= exponent {
		digits = append(digits, '0')
	}
	dst = append(dst, digits[:exponent+1]...)
	if len(digits) > exponent+1 {
		dst = append(append(dst, '.'), digits[exponent+1:]...)
	}
	return dst
}

// decimal takes a number in form 'e' apart.
func decimal(text []byte) (digits []byte, exponent int) {
	mantissa, power, _ := bytes.Cut(text, []byte("e"))
	exponent, _ = strconv.Atoi(string(power)) // it was printed as a number
	digits = make([]byte, 0, len(mantissa))
	for _, b := range mantissa {
		if b >= '0' && b <= '9' {
			digits = append(digits, b)
		}
	}
	return digits, exponent
}

// betweenTwo reports whether a decimal lies exactly in the middle between f and
// its neighbour. Both are integers, as f is large.
func betweenTwo(text []byte, f float64, bits int) bool {
	decimal, ok := new(big.Rat).SetString(string(text))
	if !ok {
		return false
	}
	for _, towards := range []float64{math.Inf(-1), math.Inf(1)} {
		next := math.Nextafter(f, towards)
		if bits == 32 {
			next = float64(math.Nextafter32(float32(f), float32(towards)))
		}
		if math.IsInf(next, 0) {
			continue
		}
		sum := new(big.Rat).SetFloat64(f)
		sum.Add(sum, new(big.Rat).SetFloat64(next))
		if sum.Cmp(new(big.Rat).Add(decimal, decimal)) == 0 {
			return true
		}
	}
	return false
}

// The signs of a numeric.
const (
	numericPositive = 0x0000
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericInf      = 0xD000
	numericNegInf   = 0xF000
)

// printNumeric prints digits to the base of 10000, the first of which counts
// 10000 to the power of weight, with scale decimal places.
func printNumeric(dst, v []byte) ([]byte, error) {
	if len(v) < 8 {
		return dst, fmt.Errorf("a value of %d bytes, too few", len(v))
	}
	count, weight := int(binary.BigEndian.Uint16(v)), int(int16(binary.BigEndian.Uint16(v[2:]))) //nolint:gosec // the weight is signed
	sign, scale := binary.BigEndian.Uint16(v[4:]), int(binary.BigEndian.Uint16(v[6:]))
	if len(v) != 8+2*count {
		return dst, fmt.Errorf("a value of %d bytes with %d digits", len(v), count)
	}
	if scale > 0x3fff {
		return dst, fmt.Errorf("a value with %d decimal places", scale)
	}
	switch sign {
	case numericPositive:
	case numericNegative:
		dst = append(dst, '-')
	case numericNaN:
		return append(dst, "NaN"...), nil
	case numericInf:
		return append(dst, "Infinity"...), nil
	case numericNegInf:
		return append(dst, "-Infinity"...), nil
	default:
		return dst, fmt.Errorf("a value with the sign %#x", sign)
	}
	for i := range count {
		if d := binary.BigEndian.Uint16(v[8+2*i:]); d > 9999 {
			return dst, fmt.Errorf("%d is not a digit to the base of 10000", d)
		}
	}
	digit := func(i int) uint16 {
		if i < 0 || i >= count {
			return 0
		}
		return binary.BigEndian.Uint16(v[8+2*i:])
	}
	if weight < 0 {
		dst = append(dst, '0')
	} else {
		dst = strconv.AppendUint(dst, uint64(digit(0)), 10)
		for i := 1; i <= weight; i++ {
			dst = appendPadded(dst, int(digit(i)), 4)
		}
	}
	if scale == 0 {
		return dst, nil
	}
	dst = append(dst, '.')
	end := len(dst) + scale
	for i := weight + 1; len(dst) < end; i++ {
		dst = appendPadded(dst, int(digit(i)), 4)
	}
	return dst[:end], nil
}

// appendPadded prints n with at least width digits.
func appendPadded(dst []byte, n, width int) []byte {
	for limit := 10; width > 1; width-- {
		if n < limit {
			for range width - 1 {
				dst = append(dst, '0')
			}
			break
		}
		limit *= 10
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

// Days count from 2000-01-01; the first and the last are those of a server.
const (
	firstDay     = -2451545   // 4714-11-24 BC
	dayAfterLast = 2145031949 // 5874898-01-01
	perDay       = 24 * 60 * 60 * 1_000_000
	firstMicro   = -211813488000000000 // 4714-11-24 00:00:00 BC
	microPastEnd = 9223371331200000000 // 294277-01-01 00:00:00
)

func printDate(dst, v []byte) ([]byte, error) {
	if err := needs(v, 4); err != nil {
		return dst, err
	}
	days := int64(int32(binary.BigEndian.Uint32(v))) //nolint:gosec // the value is signed
	switch {
	case days == math.MaxInt32:
		return append(dst, "infinity"...), nil
	case days == math.MinInt32:
		return append(dst, "-infinity"...), nil
	case days < firstDay || days >= dayAfterLast:
		return dst, fmt.Errorf("%d days from 2000-01-01 are out of range", days)
	}
	dst, bc := appendDay(dst, days)
	return append(dst, bc...), nil
}

// appendDay prints the day, and returns what a server puts at the very end of
// a date before the first year.
func appendDay(dst []byte, days int64) ([]byte, string) {
	// Count from the first of March of the year 0, so that a leap day is the
	// last of its year; eras have 400 years.
	const toMarch0, eraDays = 730425, 146097
	z := days + toMarch0
	era := z / eraDays
	if z%eraDays < 0 {
		era--
	}
	inEra := z - era*eraDays
	yearOfEra := (inEra - inEra/1460 + inEra/36524 - inEra/(eraDays-1)) / 365
	dayOfYear := inEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	fromMarch := (5*dayOfYear + 2) / 153
	day := dayOfYear - (153*fromMarch+2)/5 + 1
	month, year := fromMarch+3, yearOfEra+era*400
	if month > 12 {
		month, year = month-12, year+1
	}
	bc := ""
	if year <= 0 {
		year, bc = 1-year, " BC"
	}
	dst = append(appendPadded(dst, int(year), 4), '-')
	dst = append(appendPadded(dst, int(month), 2), '-')
	return appendPadded(dst, int(day), 2), bc
}

func printTime(dst, v []byte) ([]byte, error) {
	if err := needs(v, 8); err != nil {
		return dst, err
	}
	micros := signed(v)
	if micros < 0 || micros > perDay {
		return dst, fmt.Errorf("%d microseconds are not a time of day", micros)
	}
	return appendTime(dst, micros), nil
}

func appendTime(dst []byte, micros int64) []byte {
	seconds, fraction := micros/1_000_000, int(micros%1_000_000)
	dst = append(appendPadded(dst, int(seconds/3600), 2), ':')
	dst = append(appendPadded(dst, int(seconds/60%60), 2), ':')
	dst = appendPadded(dst, int(seconds%60), 2)
	if fraction == 0 {
		return dst
	}
	return bytes.TrimRight(appendPadded(append(dst, '.'), fraction, 6), "0")
}

func printTimestamp(dst, v []byte) ([]byte, error)   { return appendTimestamp(dst, v, "") }
func printTimestampTZ(dst, v []byte) ([]byte, error) { return appendTimestamp(dst, v, "+00") }

func appendTimestamp(dst, v []byte, zone string) ([]byte, error) {
	if err := needs(v, 8); err != nil {
		return dst, err
	}
	micros := signed(v)
	switch {
	case micros == math.MaxInt64:
		return append(dst, "infinity"...), nil
	case micros == math.MinInt64:
		return append(dst, "-infinity"...), nil
	case micros < firstMicro || micros >= microPastEnd:
		return dst, fmt.Errorf("%d microseconds from 2000-01-01 are out of range", micros)
	}
	day := micros / perDay
	if micros%perDay < 0 {
		day--
	}
	dst, bc := appendDay(dst, day)
	dst = appendTime(append(dst, ' '), micros-day*perDay)
	return append(append(dst, zone...), bc...), nil
}

// The most dimensions an array can have.
const mostDimensions = 6

// printArray prints an array of any dimensions; bounds are printed when one of
// them is not 1.
func printArray(dst, v []byte, element *printer) ([]byte, error) {
	short := errors.New("an array that is cut short")
	word := func() (int, bool) {
		if len(v) < 4 {
			return 0, false
		}
		n := int(int32(binary.BigEndian.Uint32(v))) //nolint:gosec // the field is signed
		v = v[4:]
		return n, true
	}
	dimensions, _ := word()
	flags, _ := word()
	oid, ok := word()
	switch {
	case !ok:
		return dst, short
	case dimensions < 0 || dimensions > mostDimensions:
		return dst, fmt.Errorf("an array of %d dimensions", dimensions)
	case flags != 0 && flags != 1:
		return dst, fmt.Errorf("an array with the flags %#x", flags)
	case uint32(oid) != element.oid: //nolint:gosec // back to what was read
		return dst, fmt.Errorf("an array of type %d instead of %d", oid, element.oid)
	case dimensions == 0 && len(v) == 0:
		return append(dst, "{}"...), nil
	case dimensions == 0:
		return dst, errors.New("an empty array that is not empty")
	}
	var lengths [mostDimensions]int
	start, items, bounded := len(dst), 1, false
	for i := range dimensions {
		n, _ := word()
		lower, ok := word()
		switch {
		case !ok:
			return dst, short
		case n < 1 || lower > math.MaxInt32-n+1:
			return dst, fmt.Errorf("an array with a dimension from %d of %d elements", lower, n)
		}
		// Every element has a length, so there cannot be more than this.
		if items *= n; items > len(v)/4 {
			return dst, short
		}
		lengths[i] = n
		bounded = bounded || lower != 1
		dst = fmt.Appendf(dst, "[%d:%d]", lower, lower+n-1)
	}
	if bounded {
		dst = append(dst, '=')
	} else {
		dst = dst[:start]
	}
	var at [mostDimensions]int
	open := dimensions // braces to open before the next element
	for item := range items {
		if item > 0 {
			dst = append(dst, ',')
		}
		for range open {
			dst = append(dst, '{')
		}
		n, ok := word()
		if !ok || n > len(v) {
			return dst, short
		}
		var err error
		switch {
		case n == -1:
			dst = append(dst, "NULL"...)
		case n < 0:
			return dst, fmt.Errorf("an element of %d bytes", n)
		default:
			if dst, err = printElement(dst, v[:n], element); err != nil {
				return dst, err
			}
			v = v[n:]
		}
		open = 0
		for d := dimensions - 1; d >= 0; d-- {
			if at[d]++; at[d] < lengths[d] {
				break
			}
			at[d] = 0
			dst = append(dst, '}')
			open++
		}
	}
	if len(v) > 0 {
		return dst, fmt.Errorf("an array with %d bytes behind its last element", len(v))
	}
	return dst, nil
}

// printElement prints an element, in quotes where an array needs them.
func printElement(dst, v []byte, element *printer) ([]byte, error) {
	start := len(dst)
	dst, err := element.print(dst, v)
	if err != nil {
		return dst, err
	}
	text := dst[start:]
	if len(text) > 0 && !bytes.ContainsAny(text, "\"\\{}, \t\n\v\f\r") && !bytes.EqualFold(text, []byte("NULL")) {
		return dst, nil
	}
	special := bytes.Count(text, []byte{'"'}) + bytes.Count(text, []byte{'\\'})
	end := len(text)
	for range special + 2 {
		dst = append(dst, 0)
	}
	quoted := dst[start:]
	to := len(quoted) - 1
	quoted[to] = '"'
	for from := end - 1; from >= 0; from-- {
		to--
		b := quoted[from]
		quoted[to] = b
		if b == '"' || b == '\\' {
			to--
			quoted[to] = '\\'
		}
	}
	quoted[0] = '"'
	return dst, nil
}
