package endtoend

import (
	"fmt"
	"slices"
	"testing"

	"holdfast"
	"holdfast/backup"
	"holdfast/capture/postgres"
	"holdfast/content"
	"holdfast/event"
	"holdfast/internal/eventtest"
	"holdfast/internal/splicetest"
)

// Whoever listens to a run sees the stages: every capture of one has ended
// before one of the next begins, and all that is read lies between.
func TestARunReportsItsStages(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{App: true})
	set := b.backup(t)
	if types := b.Heard.Types(); types[0] != "backup.IdentitiesBegan" || types[len(types)-1] != "backup.SetStored" {
		t.Errorf("the run reports %v", types)
	}
	at := func(e event.Event) int { return slices.Index(b.Heard.All(), e) }
	var ended []int
	for i, e := range eventtest.Of[backup.CaptureEnded](b.Heard) {
		if began := at(backup.CaptureBegan{Component: e.Component}); began < 0 || began > at(e) {
			t.Errorf("the capture of %s began with event %d and ended with %d", e.Component, began, at(e))
		}
		c, _ := set.Part(e.Component)
		if tables, _ := c.Counts(); e.Tables != tables || e.Bytes != c.Bytes || e.Rows == 0 ||
			e.Took != c.Ended.Since-c.Began.Since {
			t.Errorf("reported of %s: %+v", e.Component, e)
		}
		if (i == 2) != (e.Component == "participant") {
			t.Errorf("capture %d to end is that of %s", i, e.Component)
		}
		ended = append(ended, at(e))
	}
	if len(ended) != 3 || at(backup.CaptureBegan{Component: "participant"}) < ended[1] {
		t.Errorf("captures ended with events %v, the participant's began with %d", ended,
			at(backup.CaptureBegan{Component: "participant"}))
	}
	stored := backup.SetStored{Set: set.ID, State: holdfast.Proven, Took: set.Ended.Since - set.Began.Since}
	if at(stored) < 0 {
		t.Errorf("not reported: %+v", stored)
	}
}

// Every table is reported once, when its last segment is read, within its
// component's capture.
func TestARunReportsItsTables(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	b.Dump.SegmentBlocks = 4
	set := b.backup(t)
	rows := map[string]int64{}
	for _, e := range eventtest.Of[postgres.TableDone](b.Heard) {
		key := fmt.Sprintf("%s %s", e.Component, e.Table)
		if _, twice := rows[key]; twice {
			t.Errorf("%s is done twice", key)
		}
		rows[key] = e.Rows
	}
	for _, c := range set.Parts() {
		for _, table := range c.Content.(content.Rows).Tables {
			key := fmt.Sprintf("%s %q.%q", c.Component, table.Schema, table.Name)
			if got, ok := rows[key]; !ok || got != table.Rows {
				t.Errorf("%s: reported %d rows (%t), the set has %d", key, got, ok, table.Rows)
			}
			delete(rows, key)
		}
	}
	if len(rows) > 0 {
		t.Errorf("reported and not in the set: %v", rows)
	}
}
