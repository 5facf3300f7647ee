package record_test

import (
	"testing"
	"time"

	"holdfast"
	"holdfast/record"
)

func TestWhatDrillsSayOfASet(t *testing.T) {
	at := func(hour int, set holdfast.SetID, v holdfast.Verdict) record.Drill {
		return record.Drill{
			Set:     set,
			At:      time.Date(2026, 11, 22, hour, 0, 0, 0, time.UTC),
			Verdict: v,
			Restore: time.Duration(hour) * time.Minute,
			Bytes:   1 << 30,
		}
	}
	for _, c := range []struct {
		name   string
		drills []record.Drill
		want   holdfast.Verdict
	}{
		{"none", nil, holdfast.CannotTell},
		{"another set's", []record.Drill{at(1, "b", holdfast.Holds)}, holdfast.CannotTell},
		{"one", []record.Drill{at(1, "a", holdfast.Holds)}, holdfast.Holds},
		{"the newest counts", []record.Drill{at(3, "a", holdfast.Violated), at(1, "a", holdfast.Holds)},
			holdfast.Violated},
		{"an inconclusive one does not",
			[]record.Drill{at(1, "a", holdfast.Holds), at(3, "a", holdfast.CannotTell)}, holdfast.Holds},
	} {
		if got := record.Restores("a", c.drills); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	took, by := record.RestoreEstimate(2<<30,
		[]record.Drill{at(2, "a", holdfast.Holds), at(3, "b", holdfast.Holds), at(4, "c", holdfast.Violated)})
	if took != 6*time.Minute || by.Set != "b" {
		t.Errorf("restoring twice the bytes that took 3 minutes is said to take %v, by %s", took, by.Set)
	}
	if took, _ := record.RestoreEstimate(1, nil); took != 0 {
		t.Errorf("without a drill: %v", took)
	}
}
