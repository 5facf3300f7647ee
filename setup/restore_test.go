package setup

import (
	"testing"
	"time"

	"holdfast/databases"
)

// What the newest restore has replaced is told by when: a volume, or databases
// on the one that took its place.
func TestWhatTheNewestRestoreReplaced(t *testing.T) {
	emptied := time.Date(2026, 11, 23, 3, 12, 7, 0, time.UTC)
	left := func(role databases.Role, minutes ...int) (out []databases.Leftover) {
		for _, m := range minutes {
			out = append(out, databases.Leftover{Label: databases.Label{Role: role, At: emptied.Add(time.Duration(m) * time.Minute)}})
		}
		return out
	}
	for _, c := range []struct {
		name      string
		databases []databases.Leftover
		volume    bool
	}{
		{"nothing is left", nil, true},
		{"the empty databases of the fresh volume", left(databases.Before, 2, 2), true},
		{"a later restore", left(databases.Before, 2, 2, 60, 60), false},
		{"a later restore that was taken back", append(left(databases.Before, 2, 2), left(databases.Undone, 60, 60)...), true},
		{"what an earlier restore left elsewhere", left(databases.Before, -600, 2, 2), true},
	} {
		if got := filledOnce(emptied, c.databases); got != c.volume {
			t.Errorf("%s: the volume %v, want %v", c.name, got, c.volume)
		}
	}
}
