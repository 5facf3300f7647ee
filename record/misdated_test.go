package record_test

import (
	"testing"
	"time"

	"holdfast/record"
)

// A set of the future stays out of order when its date has come, by the time at which
// it was stored; clocks that differ a little are no reason.
func TestMisdated(t *testing.T) {
	noon := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	const why = ": a clock was wrong, or it is forged"
	for _, c := range []struct {
		ended, stored, now time.Duration // after noon
		want               string
	}{
		{0, time.Second, time.Minute, ""},
		{5 * time.Minute, 0, 0, ""},
		{time.Hour, time.Hour, 0, "it is dated 2026-11-26 13:00:00Z, 1h0m0s in the future" + why},
		{time.Hour, 0, 2 * time.Hour, "it was stored 1h0m0s before its own date" + why},
		{0, 24 * time.Hour, 24 * time.Hour, ""}, // sent late
	} {
		if got := record.Misdated(noon.Add(c.ended), noon.Add(c.stored), noon.Add(c.now)); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	if got := record.Misdated(noon, time.Time{}, noon); got != "" {
		t.Errorf("stored at an unknown time: %q", got)
	}
}
