package canton

import (
	"fmt"
	"math"
	"testing"
)

func TestDecodeOffset(t *testing.T) {
	for text, want := range map[string]int64{
		"":                   0, // before the first event
		"000000000000000000": 0,
		"000000000000000042": 0x42,
		"000000000000385348": 0x385348, // 3691336, of a real node
		"007fffffffffffffff": math.MaxInt64,
	} {
		if got, ok := DecodeOffset(text); !ok || got != want {
			t.Errorf("%q decodes to %d, %v; want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"0", "42", "00000000000000042", "0000000000000000042", // lengths
		"00000000000000004G", "00000000000000004 ", "00000000000000004A", // characters; Splice writes lower case
		"010000000000000042", "000000000000000042\n", " 00000000000000042",
		"00ffffffffffffffff", // negative as a signed number
		"００００００",
	} {
		if got, ok := DecodeOffset(text); ok {
			t.Errorf("%q decodes to %d; want unknown", text, got)
		}
	}
}

// Whatever decodes is what encodes to the same text: nothing is guessed.
func FuzzDecodeOffset(f *testing.F) {
	for _, seed := range []string{"", "000000000000000042", "00ffffffffffffffff", "0x0000000000000042",
		"00_0000000000000042"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := DecodeOffset(text)
		switch {
		case ok && n < 0:
			t.Errorf("%q decodes to %d", text, n)
		case ok && text != "" && fmt.Sprintf("%018x", n) != text:
			t.Errorf("%q decodes to %d, which is %018x", text, n, n)
		}
	})
}
