package size_test

import (
	"math"
	"testing"

	"holdfast/size"
)

func TestOf(t *testing.T) {
	for bytes, want := range map[int64]string{
		-1: "-1 B", 0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 20 << 20: "20.0 MiB",
		3 << 30: "3.0 GiB", 5 << 40: "5.0 TiB", math.MaxInt64: "8192.0 PiB",
	} {
		if got := size.Of(bytes); got != want {
			t.Errorf("%d bytes are %q, want %q", bytes, got, want)
		}
	}
}
