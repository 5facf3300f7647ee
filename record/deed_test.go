package record_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/record"
)

// chain is a trail of that many entries.
func chain(n int) (list []record.Deed) {
	at, previous := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), ""
	for i := range n {
		d := record.Deed{At: at.Add(time.Duration(i) * time.Minute), Node: "demo", By: "root@host", Act: record.Restored, Previous: previous}
		list, previous = append(list, d), d.Digest()
	}
	return list
}

// Whatever is done to an entry is found, except at the end, which the head shows.
func TestTamperingIsFound(t *testing.T) {
	whole := record.TrailOf(chain(5))
	if len(whole.Broken) != 0 || len(whole.Deeds) != 5 || whole.Head != chain(5)[4].Digest() {
		t.Fatalf("%+v", whole)
	}
	shuffled := chain(5)
	slices.Reverse(shuffled)
	if got := record.TrailOf(shuffled); got.Head != whole.Head || len(got.Broken) != 0 {
		t.Errorf("the order in which entries are listed matters: %+v", got)
	}
	for name, tamper := range map[string]func([]record.Deed) []record.Deed{
		"changed": func(l []record.Deed) []record.Deed { l[2].By = "nobody@host"; return l },
		"removed": func(l []record.Deed) []record.Deed { return slices.Delete(l, 2, 3) },
		"first":   func(l []record.Deed) []record.Deed { return l[1:] },
		"another": func(l []record.Deed) []record.Deed {
			return append(l, record.Deed{At: l[4].At, Act: record.DroppedSets, Previous: l[1].Digest()})
		},
	} {
		if got := record.TrailOf(tamper(chain(5))); len(got.Broken) != 1 {
			t.Errorf("%s: %s", name, strings.Join(got.Broken, "\n"))
		}
	}
	if got := record.TrailOf(chain(4)); got.Head == whole.Head {
		t.Error("the head does not show that the end was removed")
	}
	if got := record.TrailOf(nil); len(got.Broken) != 0 || got.Head != "" {
		t.Errorf("%+v", got)
	}
}
