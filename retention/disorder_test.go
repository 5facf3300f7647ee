package retention_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/record"
	"holdfast/retention"
)

// genuine are the sets of a node that takes one every four hours, each stored when it is taken.
func genuine(begin time.Time, days int) (sets []retention.Candidate) {
	for at := begin; at.Before(begin.Add(time.Duration(days) * day)); at = at.Add(4 * time.Hour) {
		sets = append(sets, forged(at, at.Add(time.Minute), 1))
	}
	return sets
}

// forged is a proven set of a date that was stored at a time.
func forged(at, stored time.Time, n byte) retention.Candidate {
	return retention.Candidate{
		Set: holdfast.NewSetID(at, [4]byte{n}), State: holdfast.Proven, At: at, Stored: stored,
		Marks: map[string]string{}, Restores: holdfast.CannotTell,
	}
}

// keeps are the genuine sets that a policy keeps.
func keeps(p retention.Plan, of []retention.Candidate) (out []holdfast.SetID) {
	for _, c := range of {
		if d, known := p.Of(c.Set); known && d.Keep {
			out = append(out, c.Set)
		}
	}
	return out
}

// Somebody who can write to the repository forges sets of the past and of the future,
// to push good ones out. Neither does: not at once, nor when the date has come. All
// forged sets are kept, and named.
func TestForgedSetsPushNoneOut(t *testing.T) {
	begin := time.Date(2026, 10, 1, 0, 30, 0, 0, time.UTC)
	good := genuine(begin, 40)
	attack := begin.Add(20 * day)
	var bad []retention.Candidate
	for n := range 40 { // one at the end of each day: it would be the newest of the day
		at := begin.Truncate(day).Add(time.Duration(n+1)*day - time.Minute)
		if at.Sub(attack).Abs() > time.Hour {
			bad = append(bad, forged(at, attack, 255))
		}
	}
	for name, policy := range map[string]retention.Policy{
		"daily": {Daily: 30}, "last": {Last: 12}, "within": {Within: 9 * day},
		"all": {Last: 3, Hourly: 24, Daily: 7, Weekly: 4, Monthly: 2},
	} {
		for _, now := range []time.Time{attack.Add(time.Hour), begin.Add(30 * day), begin.Add(40 * day)} {
			taken := slices.DeleteFunc(slices.Clone(good), func(c retention.Candidate) bool { return c.Stored.After(now) })
			want := keeps(retention.Decide(policy, taken, nil, now), taken)
			plan := retention.Decide(policy, append(slices.Clone(taken), bad...), nil, now)
			if got := keeps(plan, taken); !slices.Equal(got, want) {
				t.Errorf("%s on %s: with forged sets %d are kept, want %d", name, now.Format(time.DateOnly), len(got), len(want))
			}
			for _, c := range bad {
				d, _ := plan.Of(c.Set)
				if !d.Keep || !strings.Contains(d.Because(), "forged") && !strings.Contains(d.Because(), "in the future") {
					t.Errorf("%s on %s: forged set of %s: %+v", name, now.Format(time.DateOnly), c.At.Format(time.DateOnly), d)
				}
			}
		}
	}
}

// A copy gets the forged sets when it is sent them, whatever the repository says.
// What it has, it keeps.
func TestForgedSetsThatACopyIsSent(t *testing.T) {
	begin := time.Date(2026, 10, 1, 0, 30, 0, 0, time.UTC)
	now := begin.Add(20 * day)
	good := genuine(begin, 20)
	for i := range good { // the first came all at once, when the copy was made
		good[i].Stored = slices.MaxFunc([]time.Time{good[i].Stored, begin.Add(10*day + time.Duration(i)*time.Second)}, time.Time.Compare)
	}
	policy := retention.Policy{Daily: 30}
	want := keeps(retention.Decide(policy, good, nil, now), good)
	if len(want) != 20 {
		t.Fatalf("of 20 days %d sets are kept", len(want))
	}
	with := slices.Clone(good)
	for n := range 19 {
		with = append(with, forged(begin.Truncate(day).Add(time.Duration(n+1)*day-time.Minute), now, 255))
	}
	if got := keeps(retention.Decide(policy, with, nil, now), good); !slices.Equal(got, want) {
		t.Errorf("%v are kept, want %v", got, want)
	}
}

// Sets that come fast push others out of "last" only when somebody has looked.
func TestAFloodOfSets(t *testing.T) {
	begin := time.Date(2026, 10, 1, 0, 30, 0, 0, time.UTC)
	sets := genuine(begin, 10)
	now := begin.Add(10 * day)
	for n := range 12 {
		at := now.Add(time.Duration(n-30) * time.Minute)
		sets = append(sets, forged(at, at, 255))
	}
	for name, c := range map[string]struct {
		policy retention.Policy
		doubts bool
	}{
		"last": {retention.Policy{Last: 50}, true}, "daily": {retention.Policy{Daily: 5, Hourly: 50}, false},
		"a schedule of a minute":  {retention.Policy{Last: 50, Scheduled: time.Minute}, false},
		"a schedule of a quarter": {retention.Policy{Last: 50, Scheduled: 15 * time.Minute}, true},
		"a schedule of a day":     {retention.Policy{Last: 50, Scheduled: day}, true},
	} {
		job := retention.Job{Policy: c.policy, Now: func() time.Time { return now },
			Look: func(context.Context) ([]retention.Candidate, []record.Pin, error) { return sets, nil, nil }}
		plan, err := job.Plan(t.Context())
		if err != nil || strings.Contains(fmt.Sprint(plan.Doubts), "push others out") != c.doubts {
			t.Errorf("%s: %v, %v", name, plan.Doubts, err)
		}
	}
}
