package cycle_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/cost"
	"holdfast/cycle"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// honest is what is seen of a provider that does what it says, with a clock that is a
// minute ahead of ours.
func honest() cycle.Seen {
	at := func(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }
	ahead := func(seconds float64) time.Time { return at(seconds + 60) }
	return cycle.Seen{
		Created: at(-600), Lifted: time.Hour,
		Name: "holdfast-s-holdfast-try-1", Requested: at(0), Ready: at(300), States: []string{"creating", "available"}, Percent: 100,
		Labels: map[string]string{"a": "b"}, Wanted: map[string]string{"a": "b"}, Resource: "db-1", Of: "db-1", Version: "15.4",
		Runs: "15.4", DatabaseTime: ahead(7.1), OriginalTime: ahead(299), CreateTime: ahead(299), Described: true,
		Again: "it exists", AgainExists: true, RoomBefore: 3, RoomAfter: 4,
		Clock: time.Minute, Read: true, Before: 10, After: 400, WasID: "7",
		Writes: []cycle.Write{{Offset: 10, At: ahead(-1), Took: time.Second}, {Offset: 11, At: ahead(7), Took: time.Minute},
			{Offset: 12, At: ahead(20)}, {Offset: 400, At: ahead(301)}},
		Offset: 11, SystemID: "7", Wants: "x", Has: "x", Rows: 33, Compared: true, Ended: true, Outlived: true,
	}
}

// A provider that does what it says is not accused, and each thing that it does not do
// is found, by that one claim.
func TestClaims(t *testing.T) {
	for _, c := range honest().Claims() {
		if c.Verdict != holdfast.Holds {
			t.Errorf("%s: %s: %s", c.Claim, c.Verdict, c.Seen)
		}
	}
	for _, c := range (cycle.Seen{}).Claims() {
		if c.Verdict != holdfast.CannotTell {
			t.Errorf("nothing was seen, and %s: %s: %s", c.Claim, c.Verdict, c.Seen)
		}
	}
	for _, c := range []struct {
		change func(*cycle.Seen)
		wrong  string
	}{
		{func(s *cycle.Seen) { s.Labels = nil }, "the tags that were requested"},
		{func(s *cycle.Seen) { s.Percent = 40 }, "whole"},
		{func(s *cycle.Seen) { s.Resource = "db-2" }, "DbiResourceId"},
		{func(s *cycle.Seen) { s.Version = "15.5" }, "EngineVersion"},
		{func(s *cycle.Seen) { s.DatabaseTime = s.DatabaseTime.Add(-time.Minute) }, "SnapshotDatabaseTime"},
		{func(s *cycle.Seen) { s.DatabaseTime = s.DatabaseTime.Add(time.Minute) }, "SnapshotDatabaseTime"},
		{func(s *cycle.Seen) { s.DatabaseTime = time.Time{} }, "SnapshotDatabaseTime"},
		{func(s *cycle.Seen) {
			s.OriginalTime = s.OriginalTime.Add(-time.Hour)
			s.CreateTime = s.OriginalTime
		}, "OriginalSnapshotCreateTime"},
		{func(s *cycle.Seen) { s.CreateTime = s.CreateTime.Add(time.Hour) }, "SnapshotCreateTime is the same"},
		{func(s *cycle.Seen) { s.AgainExists = false }, "second request"},
		{func(s *cycle.Seen) { s.RoomAfter = s.RoomBefore }, "ManualSnapshots"},
		{func(s *cycle.Seen) { s.Before = 12 }, "between the request and the answer that it is available"},
		{func(s *cycle.Seen) { s.SystemID = "8" }, "system identifier"},
		{func(s *cycle.Seen) { s.Has = "y" }, "set up as was requested"},
		{func(s *cycle.Seen) { s.CompareError = "row 3 differs" }, "every row"},
		{func(s *cycle.Seen) { s.Outlived = false }, "outlives"},
		{func(s *cycle.Seen) { s.Writes[1].Took = time.Hour }, "stops writing"},
	} {
		s := honest()
		c.change(&s)
		var wrong []string
		for _, claim := range s.Claims() {
			if claim.Verdict == holdfast.Violated {
				wrong = append(wrong, claim.Claim)
			}
		}
		if len(wrong) != 1 || !strings.Contains(wrong[0], c.wrong) {
			t.Errorf("want %q, found %q", c.wrong, wrong)
		}
	}
}

// Whatever fails, everything is removed, also after an interrupt; the report says what
// was done, and the error what is wrong.
func TestCycles(t *testing.T) {
	broken, stuck := errors.New("broken"), errors.New("stuck")
	plan := cycle.Plan{Class: "db.t4g.micro", GB: 20}.Estimate(24*time.Hour, cost.Prices{})
	if h := plan.Most.Hours["db.t4g.micro"]; h != 48 {
		t.Errorf("at most %v hours", h)
	}
	for _, c := range []struct {
		name      string
		fails     int // the step, from 1
		interrupt bool
		left      error
		seen      cycle.Seen
		steps     int
		verdict   holdfast.Verdict
		class     holdfast.Class
		says      string
	}{
		{name: "all is well", seen: honest(), steps: 4, verdict: holdfast.Holds},
		{name: "a step fails", fails: 2, seen: cycle.Seen{Created: noon}, steps: 3, verdict: holdfast.CannotTell,
			class: holdfast.Undetermined, says: "broken"},
		{name: "interrupted", fails: 2, interrupt: true, seen: cycle.Seen{Created: noon}, steps: 3, verdict: holdfast.CannotTell,
			class: holdfast.Undetermined, says: "canceled"},
		{name: "something is left", left: stuck, seen: honest(), steps: 4, verdict: holdfast.Violated, class: holdfast.Failed, says: "stuck"},
		{name: "a lie", seen: func() cycle.Seen { s := honest(); s.Outlived = false; return s }(), steps: 4, verdict: holdfast.Violated,
			class: holdfast.Violation, says: "outlives"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			now, removed := noon, 0
			job := cycle.Job{Plan: plan, Seen: func() cycle.Seen { return c.seen }, Now: func() time.Time { now = now.Add(time.Minute); return now }}
			for n := range 3 {
				job.Steps = append(job.Steps, cycle.Step{What: "step", Do: func(ctx context.Context) error {
					if c.interrupt && n+1 == c.fails {
						cancel()
						return ctx.Err()
					}
					if n+1 == c.fails {
						return broken
					}
					return nil
				}})
			}
			job.Remove = func(ctx context.Context) ([]string, error) {
				if removed++; ctx.Err() != nil {
					t.Errorf("removing is interrupted: %v", ctx.Err())
				}
				return []string{"instance x"}, c.left
			}
			r, err := job.Run(ctx)
			if removed != 1 || len(r.Steps) != c.steps || r.Verdict != c.verdict || !slices.Equal(r.Removed, []string{"instance x"}) {
				t.Errorf("removed %d times, %d steps, %s, %v", removed, len(r.Steps), r.Verdict, r.Removed)
			}
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if (r.Left != "") != (c.left != nil) || r.Used.Hours["db.t4g.micro"] <= 0 || len(r.Sum.Unknown) == 0 {
				t.Errorf("left %q, used %+v, %+v", r.Left, r.Used, r.Sum)
			}
			if c.class != "" && holdfast.ClassOf(err) != c.class && c.fails == 0 {
				t.Errorf("class %s, want %s", holdfast.ClassOf(err), c.class)
			}
		})
	}
}
