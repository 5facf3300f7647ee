package retention_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/splicetest/history"
	"holdfast/record"
	"holdfast/retention"
)

var update = flag.Bool("update", false, "update the golden files")

// What every policy makes of one and the same life, read as an operator would.
func TestPoliciesAgainstTheirGoldenFiles(t *testing.T) {
	long := history.Options{Begin: time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC), Span: 380 * day, Every: 8 * day}
	short := history.Options{
		Begin: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		Span:  12 * day,
		Every: 7 * time.Hour,
	}
	faulty := short
	faulty.Faults = true
	for name, c := range map[string]struct {
		policy retention.Policy
		life   history.Options
		seed   uint64
	}{
		"none":             {retention.Policy{}, faulty, 1},
		"last":             {retention.Policy{Last: 5}, short, 2},
		"within":           {retention.Policy{Within: 36 * time.Hour}, short, 2},
		"hourly-and-daily": {retention.Policy{Hourly: 6, Daily: 7}, short, 4},
		"weekly-monthly":   {retention.Policy{Weekly: 4, Monthly: 6, Yearly: 2}, long, 3},
		"history":          {retention.Policy{Last: 2, Daily: 3, History: 9 * day}, short, 24},
		"history-forever":  {retention.Policy{Last: 1, History: retention.Forever}, long, 20},
		"faulty":           {retention.Policy{Daily: 4, Faulty: 3 * day}, faulty, 6},
	} {
		t.Run(name, func(t *testing.T) {
			life := history.New(c.seed, c.life)
			var sets []retention.Candidate
			for _, s := range life.Sets {
				sets = append(sets, retention.Look(s, holdfast.CannotTell))
			}
			pins := []record.Pin{
				{Set: sets[3].Set, Reason: "before the migration", Until: life.End.Add(day)},
				{Set: sets[4].Set, Reason: "done", Until: life.End.Add(-day)},
			}
			var got bytes.Buffer
			for _, e := range life.Events {
				fmt.Fprintf(&got, "# %s %s\n", e.At.Format("2006-01-02 15:04"), e.What)
			}
			plan := retention.Decide(c.policy, sets, pins, life.End)
			for _, d := range plan.Sets {
				fmt.Fprintf(&got, "%s %-10s %s\n", map[bool]string{
					true:  "keep",
					false: "drop",
				}[d.Keep], d.State, d.Set)
				for _, r := range d.Reasons {
					fmt.Fprintf(&got, "     %s: %s\n", r.Rule, r.Text)
				}
			}
			for _, g := range plan.Gaps {
				fmt.Fprintf(&got, "gap  %s to %s: %v, window %v\n", g.From, g.To, g.Apart, g.Window)
			}
			file := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("another plan than %s (to update it: -update):\n%s", file, got.String())
			}
		})
	}
}

var newest = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// ago is a proven set of a node that prunes after two days.
func ago(d time.Duration) retention.Candidate {
	at := newest.Add(-d)
	return retention.Candidate{
		Set:      holdfast.NewSetID(at, [4]byte{}),
		State:    holdfast.Proven,
		At:       at,
		Restores: holdfast.CannotTell,
		Window:   2 * day,
		Pruned:   true,
		Marks:    map[string]string{"pruning window": "48h"},
	}
}

func ages(sets []retention.Candidate, p retention.Plan) []time.Duration {
	var out []time.Duration
	for _, c := range slices.Backward(kept(sets, p)) {
		out = append(out, newest.Sub(c.At))
	}
	return out
}

func daily(days int) []retention.Candidate {
	var sets []retention.Candidate
	for i := days; i >= 0; i-- {
		sets = append(sets, ago(time.Duration(i)*day))
	}
	return sets
}

func TestExamples(t *testing.T) {
	drilled := func(d time.Duration, v holdfast.Verdict) retention.Candidate {
		c := ago(d)
		c.Restores = v
		return c
	}
	state := func(d time.Duration, s holdfast.State) retention.Candidate {
		c := ago(d)
		c.State = s
		return c
	}
	unpruned := daily(9)
	for i := range unpruned {
		unpruned[i].Window, unpruned[i].Pruned = 0, false
	}
	sameInstant := []retention.Candidate{ago(0), ago(0)}
	sameInstant[1].Set = holdfast.NewSetID(newest, [4]byte{1})
	for _, x := range []struct {
		name   string
		policy retention.Policy
		sets   []retention.Candidate
		pins   []record.Pin
		want   []time.Duration // ages of the kept sets, newest first
	}{
		{"nothing there", retention.Policy{Last: 1}, nil, nil, nil},
		{"history goes in steps of the window", retention.Policy{
			Last:    1,
			History: retention.Forever,
		}, daily(9), nil, []time.Duration{0, 2 * day, 4 * day, 6 * day, 8 * day, 9 * day}},
		{"and ends where it is no longer wanted", retention.Policy{
			Last:    1,
			History: 5 * day,
		}, daily(9), nil, []time.Duration{0, 2 * day, 4 * day}},
		{"a node that never pruned has all of it in one set", retention.Policy{
			Last:    1,
			History: retention.Forever,
		}, unpruned, nil, []time.Duration{0}},
		{"a pin is no stepping stone", retention.Policy{Last: 1, History: retention.Forever}, daily(5),
			[]record.Pin{{
				Set:    ago(day).Set,
				Until:  newest.Add(time.Hour),
				Reason: "x",
			}}, []time.Duration{0, day, 2 * day, 4 * day, 5 * day}},
		{"what the calendar keeps is one", retention.Policy{
			Daily:   2,
			History: retention.Forever,
		}, daily(5), nil, []time.Duration{0, day, 3 * day, 5 * day}},
		{"of two at the same instant the higher ID is newer", retention.Policy{Last: 1}, sameInstant, nil,
			[]time.Duration{0}},
		{"the newest is kept although it failed a drill, and so is the newest that did not", retention.Policy{
			Last:   1,
			Faulty: time.Hour,
		},
			[]retention.Candidate{ago(3 * day), ago(2 * day), drilled(day, holdfast.Violated),
				drilled(0, holdfast.Violated)}, nil, []time.Duration{0, 2 * day}},
		{"if all failed, the newest proven is kept", retention.Policy{Last: 1, Faulty: time.Hour},
			[]retention.Candidate{drilled(3*day, holdfast.Violated), drilled(2*day, holdfast.Violated),
				state(0, holdfast.Unproven)}, nil, []time.Duration{0, 2 * day}},
		{"the last that restores is kept however old", retention.Policy{Last: 1},
			[]retention.Candidate{drilled(90*day, holdfast.Holds), drilled(80*day, holdfast.Holds), ago(70 * day),
				ago(0)}, nil, []time.Duration{0, 80 * day}},
		{"without a proven set the newest unproven is what there is", retention.Policy{Last: 1, Faulty: time.Hour},
			[]retention.Candidate{state(9*day, holdfast.Unproven), state(8*day, holdfast.Unproven),
				state(4*day, holdfast.Misordered), state(0, holdfast.Mismatched)}, nil, []time.Duration{0, 8 * day}},
		{"faulty sets take nobody's place", retention.Policy{Daily: 2, Faulty: 36 * time.Hour},
			[]retention.Candidate{ago(4 * day), ago(3 * day), state(2*day, holdfast.Unproven),
				state(day, holdfast.Misordered), ago(0)}, nil, []time.Duration{0, day, 3 * day}},
		{"where backups have stopped nothing melts away", retention.Policy{Within: 2 * day, Faulty: day},
			[]retention.Candidate{ago(100 * day), ago(99 * day), state(98*day, holdfast.Unproven)}, nil,
			[]time.Duration{98 * day, 99 * day, 100 * day}},
	} {
		t.Run(x.name, func(t *testing.T) {
			if got := ages(x.sets, retention.Decide(x.policy, x.sets, x.pins, newest)); !slices.Equal(got, x.want) {
				t.Errorf("kept are those of %v ago, want %v", got, x.want)
			}
		})
	}
	p := retention.Decide(retention.Policy{Last: 1}, sameInstant, nil, newest)
	if d, _ := p.Of(sameInstant[1].Set); !d.Keep {
		t.Error("of two at the same instant the lower ID was kept")
	}
}

// A gap that no set could fill is reported with the sets on its sides, which
// are both kept.
func TestAGapIsReported(t *testing.T) {
	sets := []retention.Candidate{ago(9 * day), ago(8 * day), ago(3 * day), ago(day), ago(0)}
	p := retention.Decide(retention.Policy{Last: 1, History: retention.Forever}, sets, nil, newest)
	if len(p.Gaps) != 1 || p.Gaps[0] != (retention.Gap{
		From:   sets[1].Set,
		To:     sets[2].Set,
		Apart:  5 * day,
		Window: 2 * day,
	}) {
		t.Errorf("gaps %+v", p.Gaps)
	}
	if got := ages(sets, p); !slices.Equal(got, []time.Duration{0, day, 3 * day, 8 * day, 9 * day}) {
		t.Errorf("kept are those of %v ago", got)
	}
}

// A set is looked at as its facts say, not as it calls itself.
func TestLookBelievesTheFacts(t *testing.T) {
	set := history.New(1, history.Options{}).Sets[0]
	c := retention.Look(set, holdfast.CannotTell)
	if c.State != holdfast.Proven || c.Marks["synchronizer serial"] == "" || c.Marks["migration id"] != "0" ||
		c.Marks["schema version of validator"] == "" || c.Marks["Postgres version of participant"] == "" {
		t.Errorf("looks like %+v", c)
	}
	if want, _ := set.Part("participant"); !c.At.Equal(want.Consistent.Wall) {
		t.Errorf("at %v, but the participant was captured at %v", c.At, want.Consistent.Wall)
	}
	set.Captures = cloned(set.Captures)
	slices.Reverse(set.Captures)
	set.Captures[0].Began.Since, set.Captures[1].Began.Since = 0, time.Hour
	set.Captures[1].Ended.Since = 2 * time.Hour
	if c := retention.Look(set, holdfast.CannotTell); c.State != holdfast.Misordered {
		t.Errorf("a set whose clock contradicts it is %s", c.State)
	}
}

// A set's summary says of it what its manifest does, after it was stored.
func TestAListingSaysWhatManifestsDo(t *testing.T) {
	for i, set := range history.New(1, history.Options{Span: 3 * day}).Sets {
		text, err := json.Marshal(record.Summarize(set))
		if err != nil {
			t.Fatal(err)
		}
		var stored record.Summary
		if err := json.Unmarshal(text, &stored); err != nil {
			t.Fatal(err)
		}
		want := retention.Look(set, holdfast.Holds)
		if got := retention.Listed(set.ID, set.State, stored, holdfast.Holds); !reflect.DeepEqual(got, want) {
			t.Errorf("set %d: %+v, want %+v", i, got, want)
		}
	}
}

// cloned are captures of which a test may change what they say of their
// components.
func cloned(captures []holdfast.Capture) []holdfast.Capture {
	out := slices.Clone(captures)
	for i := range out {
		out[i].Components = slices.Clone(out[i].Components)
	}
	return out
}
