package journal

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"holdfast"
	"holdfast/step"
)

// A journal that is kept elsewhere is the same; what cannot be stored or read is
// an error, and what is secret is not stored.
func TestAJournalElsewhere(t *testing.T) {
	var kept []byte
	var away error
	e := Elsewhere{
		Place: "there", Load: func() ([]byte, error) { return kept, away },
		Store: func(text []byte) error {
			if away == nil {
				kept = text
			}
			return away
		},
		Hide: func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("hunter2"), []byte("***")) },
	}
	if log, err := e.Read(); log.Unfinished() || err != nil {
		t.Fatalf("a journal out of nothing: %+v, %v", log, err)
	}
	want := step.Log{Schema: step.LogSchema, Set: "one", Entries: []step.Entry{{
		Step: step.Step{Act: step.Stop, Kind: step.Workload, Name: "deployment/p", Replicas: 2, Why: "hunter2"}, Mark: step.Begun,
	}}}
	if err := e.Write(want); err != nil || bytes.Contains(kept, []byte("hunter2")) {
		t.Fatalf("%v, %s", err, kept)
	}
	want.Entries[0].Step.Why = "***"
	if got, err := e.Read(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	away = errors.New("away")
	if err := e.Write(want); !errors.Is(err, away) {
		t.Error(err)
	}
	if _, err := e.Read(); !errors.Is(err, away) {
		t.Error(err)
	}
	away = nil
	for _, other := range []string{"{", `{"schema": 1, "set": "one"}`} {
		kept = []byte(other)
		if _, err := e.Read(); holdfast.ClassOf(err) != holdfast.Refused {
			t.Errorf("%s: %v", other, err)
		}
	}
	if err := e.End(); err != nil || kept != nil {
		t.Errorf("%v, left is %s", err, kept)
	}
}
