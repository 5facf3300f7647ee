package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

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
	dst, err := element.write(dst, v)
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
