package journal

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"holdfast"
	"holdfast/step"
)

func TestAJournalOutlivesItsProcess(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "node.restore.json")}
	if log, err := f.Read(); log.Unfinished() || err != nil {
		t.Fatalf("a journal out of nothing: %+v, %v", log, err)
	}
	unlock, err := f.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Lock(); holdfast.ClassOf(err) != holdfast.Busy {
		t.Fatalf("two at once: %v", err)
	}
	want := step.Log{
		Schema: step.LogSchema, Set: "one", Began: time.Unix(1000, 0).UTC(),
		Entries: []step.Entry{{Step: step.Step{Act: step.Stop, Kind: step.Container, Name: "participant"}, Mark: step.Begun}},
	}
	if err := f.Write(want); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteNotes([]string{"a"}); err != nil {
		t.Fatal(err)
	}
	unlock() // the process was killed
	if info, err := os.Stat(f.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the journal may be read by others: %v, %v", info, err)
	}

	if unlock, err = f.Lock(); err != nil {
		t.Fatal(err)
	}
	defer unlock()
	got, err := f.Read()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if err := f.Write(got); err != nil { // the notes stay
		t.Fatal(err)
	}
	var notes []string
	if err := f.ReadNotes(&notes); err != nil || len(notes) != 1 {
		t.Errorf("the notes are %v, %v", notes, err)
	}
	if err := f.End(); err != nil {
		t.Fatal(err)
	}
	if log, err := f.Read(); log.Unfinished() || err != nil {
		t.Fatalf("the journal is still there: %+v, %v", log, err)
	}
}

// What an earlier version has left unfinished is not passed over.
func TestAJournalOfAnEarlierVersionIsRefused(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "node.restore.json")}
	old := `{"set": "20261122T154500Z-1f0c9a3e", "project": "p", "before": [{"id": "a", "name": "participant", "up": true}]}`
	if err := os.WriteFile(f.Path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Read(); holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("got %v", err)
	}
}
