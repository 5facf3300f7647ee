package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

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
