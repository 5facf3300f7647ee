package content_test

import (
	"testing"

	"holdfast"
	"holdfast/content"
)

// What was captured in another way is refused where rows are needed, and not
// taken for an empty database.
func TestOnlyDumpsHaveRows(t *testing.T) {
	dump := holdfast.Part{Capture: holdfast.Capture{
		Method:  holdfast.Dump,
		Content: content.Rows{Tables: []content.Table{{Rows: 2}, {Rows: 3}}},
	}}
	rows, err := content.RowsOf(dump)
	if err != nil || len(rows.Tables) != 2 {
		t.Errorf("%+v, %v", rows, err)
	}
	if tables, n := dump.Counts(); tables != 2 || n != 5 {
		t.Errorf("%d tables, %d rows", tables, n)
	}
	for _, c := range []holdfast.Capture{
		{Method: holdfast.Physical, Content: content.ServerFiles{Names: []string{"a"}}},
		{Method: holdfast.Snapshot, Content: content.Reference{ID: "b"}},
		{},
	} {
		if _, err := content.RowsOf(holdfast.Part{Capture: c}); holdfast.ClassOf(err) != holdfast.Refused {
			t.Errorf("method %q: %v", c.Method, err)
		}
		if tables, n := c.Counts(); tables != 0 || n != 0 {
			t.Errorf("method %q: %d tables, %d rows", c.Method, tables, n)
		}
	}
}
