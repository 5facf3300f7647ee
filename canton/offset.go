package canton

import (
	"regexp"
	"strconv"
)

var offsetRule = regexp.MustCompile(`^00[0-9a-f]{16}$`)

// DecodeOffset turns the text of last_ingested_offset into a ledger offset:
// lower-case hex of a zero byte and a big-endian 64-bit number; the empty text
// is the offset before the first event. Anything else is unknown, never zero.
func DecodeOffset(text string) (int64, bool) {
	if text == "" {
		return 0, true
	}
	if !offsetRule.MatchString(text) {
		return 0, false
	}
	n, err := strconv.ParseInt(text[2:], 16, 64)
	return n, err == nil
}
