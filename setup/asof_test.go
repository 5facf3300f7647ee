package setup

import (
	"testing"
	"time"
)

func TestAsOf(t *testing.T) {
	now := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                          {},
		"2027-01-30T12:00:00Z":      now.AddDate(0, 0, -1),
		"2027-01-31T10:00:00+01:00": now.Add(-3 * time.Hour),
		"36h":                       now.Add(-36 * time.Hour),
		"2d":                        now.AddDate(0, 0, -2),
	} {
		if got, err := AsOf(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"yesterday", "2027-02-01T00:00:00Z", "-1h", "forever"} {
		if got, err := AsOf(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
