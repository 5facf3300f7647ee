package holdfast_test

import (
	"testing"

	"holdfast"
)

// Both offsets of a pair, as the proof of its order compares them.
func TestOffsets(t *testing.T) {
	set := goodSet()
	offsets := set.Offsets()
	if len(offsets) != 1 || offsets[0].Ahead() < 0 || offsets[0].LedgerEnd == 0 {
		t.Fatalf("%+v", offsets)
	}
	participantOf(&set).Facts.Participant = nil
	if offsets := set.Offsets(); len(offsets) != 0 {
		t.Errorf("of an unknown schema: %+v", offsets)
	}
}

type files []holdfast.File

func (f files) Files() []holdfast.File           { return f }
func (f files) Counts() (tables int, rows int64) { return 0, 0 }
func (f files) Elsewhere() string                { return "" }

// A table that is stored in segments is one table.
func TestTables(t *testing.T) {
	c := holdfast.Capture{Content: files{
		{Name: "schema.dump", Bytes: 99},
		{Name: "a/0", Table: "s.a", Bytes: 1, Rows: 1},
		{Name: "b/0", Table: "s.b", Bytes: 2, Rows: 7},
		{Name: "b/1", Table: "s.b", Bytes: 3, Rows: 8},
	}}
	got := c.Tables()
	if len(got) != 2 || got[0] != (holdfast.StoredTable{Name: "s.b", Rows: 15, Bytes: 5}) || got[1].Name != "s.a" {
		t.Errorf("%+v", got)
	}
}
