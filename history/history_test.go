package history_test

import (
	"math"
	"testing"
	"time"

	"holdfast"
	"holdfast/history"
	"holdfast/record"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// every makes proven sets up to now, each larger by so much.
func every(apart time.Duration, n int, grow int64) []history.Set {
	var out []history.Set
	for i := range n {
		began := now.Add(-apart * time.Duration(n-1-i))
		out = append(out, history.Set{
			Set: record.Set{
				ID: holdfast.NewSetID(began, [4]byte{byte(i)}), State: holdfast.Proven,
				Began: began, Ended: began.Add(10 * time.Minute),
			},
			Databases: 10<<30 + int64(i)*grow,
			Marks:     map[string]string{"Postgres version of participant": "14.19"},
		})
	}
	return out
}

// A set on time leaves no gap; a set that is not proven does not end one.
func TestGaps(t *testing.T) {
	sets := every(4*time.Hour, 12, 0)
	if r := history.Make(sets, now, history.Options{}); len(r.Gaps) != 0 || len(r.Sets) != 12 {
		t.Errorf("%+v", r)
	}
	sets[5].State = holdfast.Misordered
	r := history.Make(sets, now, history.Options{})
	if len(r.Gaps) != 1 || r.Gaps[0].Apart != 8*time.Hour || r.Gaps[0].Open {
		t.Errorf("a misordered set: %+v", r.Gaps)
	}
	late := now.Add(5 * time.Hour)
	if r := history.Make(sets, late, history.Options{}); len(r.Gaps) != 2 || !r.Gaps[1].Open || !r.Gaps[1].To.Equal(late) {
		t.Errorf("none since: %+v", r.Gaps)
	}
	if r := history.Make(sets, late, history.Options{Cadence: day}); len(r.Gaps) != 0 {
		t.Errorf("a set a day: %+v", r.Gaps)
	}
	if r := history.Make(nil, now, history.Options{}); len(r.Gaps) != 0 || r.Sets == nil {
		t.Errorf("no sets: %+v", r)
	}
}

const day = 24 * time.Hour

// The window ends thirty days ago; a gap that reaches into it is part of it.
func TestWindow(t *testing.T) {
	sets := every(20*day, 4, 0)
	r := history.Make(sets, now, history.Options{})
	if len(r.Sets) != 2 || len(r.Gaps) != 2 || !r.Gaps[0].From.Before(r.From) {
		t.Errorf("%d sets, %+v", len(r.Sets), r.Gaps)
	}
}

func TestChanges(t *testing.T) {
	sets := every(4*time.Hour, 6, 0)
	for i := range sets {
		if i >= 3 {
			sets[i].Marks = map[string]string{"Postgres version of participant": "17.6", "migration id": "1"}
		}
	}
	r := history.Make(sets, now, history.Options{})
	if len(r.Changes) != 1 || r.Changes[0].Set != sets[3].ID || r.Changes[0].From != "14.19" || r.Changes[0].Now != "17.6" {
		t.Errorf("%+v", r.Changes)
	}
}

// A steady growth goes on; its storage and its cost in proportion.
func TestGrowth(t *testing.T) {
	price := history.Price{PerGiBMonth: 0.02, Currency: "USD"}
	g := history.Make(every(day, 11, 1<<30), now, history.Options{Stored: 40 << 30, Price: price}).Growth
	if g.PerDay == nil || math.Abs(float64(*g.PerDay-1<<30)) > 1<<10 || g.Databases != 20<<30 || len(g.Points) != 11 {
		t.Fatalf("%+v", g)
	}
	in30 := g.Forecast[0]
	if in30.Databases>>20 != 50<<10 || in30.Stored>>20 != 100<<10 || *g.Cost != 0.8 || math.Abs(*in30.Cost-2) > 0.001 {
		t.Errorf("%+v, %v a month", in30, *in30.Cost)
	}
}

// Of what a trend cannot be known none is made up.
func TestNoGrowth(t *testing.T) {
	for name, sets := range map[string][]history.Set{"no set": nil, "one": every(day, 1, 0), "a day": every(4*time.Hour, 6, 1<<30)} {
		if g := history.Make(sets, now, history.Options{}).Growth; g.PerDay != nil || len(g.Forecast) > 0 || g.Cost != nil {
			t.Errorf("%s: %+v", name, g)
		}
	}
	shrinking := history.Make(every(day, 11, -1<<30), now, history.Options{}).Growth
	if shrinking.Forecast[2].Databases != 0 {
		t.Errorf("databases of a negative size: %+v", shrinking.Forecast)
	}
}
