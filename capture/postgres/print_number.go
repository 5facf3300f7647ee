package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strconv"
)

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
