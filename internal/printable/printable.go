// Package printable makes text harmless for terminals. Names and messages come
// from databases, servers and sets that may belong to somebody else: an escape
// sequence in one would clear the screen, hide a line, or type for the operator.
package printable

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Text is a text whose control characters are written out, as \x1b. Line feeds
// and tabs stay.
func Text(text string) string { return escape(text, "\n\t", `\x%02x`, `\u%04x`) }

// Cell is a text that also stays on its line and in its column.
func Cell(text string) string { return escape(text, "", `\x%02x`, `\u%04x`) }

// JSON is a JSON text whose strings have no control characters. What encoding/json
// leaves as it is can only stand in strings.
func JSON(text []byte) []byte { return []byte(escape(string(text), "\n\t", `\u%04x`, `\u%04x`)) }

func escape(text, keep, short, long string) string {
	if strings.IndexFunc(text, func(r rune) bool { return dangerous(r) && !strings.ContainsRune(keep, r) }) < 0 {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && strings.HasPrefix(text[i:], string(utf8.RuneError)):
			b.WriteRune(r) // it stood there
		case r == utf8.RuneError:
			fmt.Fprintf(&b, short, text[i]) // not UTF-8: a terminal may take it as a control character
		case !dangerous(r) || strings.ContainsRune(keep, r):
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, short, r)
		default:
			fmt.Fprintf(&b, long, r)
		}
	}
	return b.String()
}

// dangerous reports control characters, and those that change the direction of
// the text around them. A byte that is not UTF-8 counts.
func dangerous(r rune) bool {
	switch {
	case r < ' ', 0x7f <= r && r <= 0x9f, r == utf8.RuneError:
		return true
	}
	return 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x2028 || r == 0x2029
}

// Writer writes text out so. A character is recognised within one call of Write.
func Writer(w io.Writer) io.Writer { return writer{w} }

type writer struct{ w io.Writer }

func (p writer) Write(text []byte) (int, error) {
	if _, err := io.WriteString(p.w, Text(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
