package record_test

import (
	"testing"
	"time"

	"holdfast"
	"holdfast/record"
)

// What a copy has is said as it was last seen, and never more than is known.
func TestCopiesAsLastSeen(t *testing.T) {
	seen := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	all := []holdfast.SetID{"1", "2", "3"}
	sets := func(ids ...holdfast.SetID) record.NodeSets { return record.NodeSets{"demo": ids} }
	newest := map[holdfast.NodeName]holdfast.SetID{"demo": "3"}
	const send = ". To send: `holdfast repository copy`"
	const at = ", as last seen 2026-11-26 12:00:00Z"
	kept := record.Copied{Place: "second", Newest: newest, Seen: seen, Sets: sets(all...)}
	for _, c := range []struct {
		name string
		is   record.Copied
		want string
		one  string // of set 1
	}{
		{"all", kept, "second has all 3 sets" + at, "in second" + at},
		{"dropped there", kept.Without("demo", []holdfast.SetID{"1"}, seen), "second has what it keeps, 2 of 3 sets" + at,
			"not kept by the rules of second" + at},
		{"none kept", kept.Without("demo", all, seen), "second has what it keeps, 0 of 3 sets" + at,
			"not kept by the rules of second" + at},
		{"not sent yet", record.Copied{Place: "second", Seen: seen, Sets: sets("2"), Left: sets("3")},
			"second lacks 1 of 3 sets, and does not keep 1" + at + send,
			"not in second" + at + ". To send it: `holdfast repository copy`"},
		{"of another node", record.Copied{Place: "second", Seen: seen, Sets: record.NodeSets{"other": all}},
			"second lacks all 3 sets" + at + send, "not in second" + at + ". To send it: `holdfast repository copy`"},
		{"never", record.Copied{Place: "second"}, "second: nothing was sent there yet" + send,
			"not in second, where nothing was sent yet. To send it: `holdfast repository copy`"},
		{"by an earlier version", record.Copied{Place: "second", At: seen, Newest: newest},
			"second was sent all 3 sets; what it still has is seen at the next `holdfast repository copy`",
			"sent to second; whether it is still there is seen at the next `holdfast repository copy`"},
	} {
		var listed []record.Set
		for _, id := range all {
			listed = append(listed, record.Set{ID: id, InCopies: []record.SetInCopy{c.is.Of("demo", id)}})
		}
		if got := record.TallyCopies(listed); len(got) != 1 || got[0].String() != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
		if got := c.is.Of("demo", "1").String(); got != c.one {
			t.Errorf("%s: set 1: %s, want %s", c.name, got, c.one)
		}
	}
	if kept.Without("demo", all, seen); !kept.Sets.Has("demo", "1") {
		t.Error("the record before the drop was changed")
	}
}
