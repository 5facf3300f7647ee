package compose

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"holdfast"
)

func TestJournalOutlivesItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.restore.json")
	if j, err := readJournal(path); j != nil || err != nil {
		t.Fatalf("a journal out of nothing: %v, %v", j, err)
	}
	first, err := begin(path, Journal{Set: "one", Project: "p", Began: time.Unix(1000, 0).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := begin(path, Journal{Set: "two"}); holdfast.ClassOf(err) != holdfast.Busy {
		t.Fatalf("two at once: %v", err)
	}
	first.note(Container{ID: "a", Name: "participant", State: "running", Restart: Restart{Name: "always"}}, "participant")
	if err := first.save(); err != nil {
		t.Fatal(err)
	}
	first.release() // the process was killed
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the journal may be read by others: %v, %v", info, err)
	}

	second, err := begin(path, Journal{Set: "two", Began: time.Unix(2000, 0).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	// As it is now is not as it was.
	second.note(Container{ID: "a", Name: "participant", State: "exited", Restart: Restart{Name: "no"}}, "participant")
	want := []before{{ID: "a", Name: "participant", Role: "participant", Up: true, Restart: Restart{Name: "always"}}}
	if !reflect.DeepEqual(second.Before, want) || !second.Began.Equal(time.Unix(1000, 0)) || second.Set != "two" {
		t.Errorf("got %+v, want %+v of the first run", second, want)
	}
	second.Created = []string{"validator"}
	second.note(Container{ID: "b", Name: "validator"}, "validator")
	if len(second.Before) != 1 {
		t.Errorf("a container that the restore made is taken for one that was there: %+v", second.Before)
	}
	if err := second.end(); err != nil {
		t.Fatal(err)
	}
	if j, err := readJournal(path); j != nil || err != nil {
		t.Fatalf("the journal is still there: %v, %v", j, err)
	}
}
