package retention_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/eventtest"
	"holdfast/record"
	"holdfast/retention"
)

// shelf is a store whose sets are candidates.
type shelf struct {
	sets    []retention.Candidate
	pins    []record.Pin
	arrive  func(*shelf) // happens right before anybody may choose
	refuse  error
	upkeeps []bool
}

func (s *shelf) Drop(
	ctx context.Context, _ holdfast.NodeName, choose func(context.Context) ([]holdfast.SetID, error),
) error {
	if s.arrive != nil {
		s.arrive(s)
	}
	ids, err := choose(ctx)
	if err = errors.Join(err, s.refuse); err != nil {
		return err
	}
	s.sets = slices.DeleteFunc(s.sets, func(c retention.Candidate) bool { return slices.Contains(ids, c.Set) })
	return nil
}

func (s *shelf) Maintain(_ context.Context, full bool) (record.Maintenance, error) {
	s.upkeeps = append(s.upkeeps, full)
	return record.Maintenance{Mode: "full"}, nil
}

func (s *shelf) job(p retention.Policy) retention.Job {
	return retention.Job{
		Node:   "demo",
		Policy: p,
		Store:  s,
		Now:    func() time.Time { return newest },
		Look: func(context.Context) ([]retention.Candidate, []record.Pin, error) {
			return slices.Clone(s.sets), s.pins, nil
		},
	}
}

func TestApplyDecidesAgainWhenItIsAlone(t *testing.T) {
	s := &shelf{sets: daily(3)}
	s.arrive = func(s *shelf) {
		s.pins = []record.Pin{{Set: ago(3 * day).Set, Until: newest.Add(day), Reason: "somebody was faster"}}
	}
	var heard eventtest.Record
	job := s.job(retention.Policy{Last: 2})
	job.Events = heard.Hear
	report, err := job.Apply(t.Context(), true)
	if list := eventtest.Of[retention.SetDropped](&heard); len(list) != 1 || list[0].Node != "demo" ||
		list[0].Set != ago(2*day).Set || list[0].Why == "" {
		t.Errorf("reported: %+v", list)
	}
	if err != nil || !slices.Equal(report.Dropped, []holdfast.SetID{ago(2 * day).Set}) || len(s.sets) != 3 ||
		report.Maintenance == nil || report.Plan.Node != "demo" {
		t.Errorf("%+v, %v", report, err)
	}
	again, err := s.job(retention.Policy{Last: 2}).Apply(t.Context(), true)
	if err != nil || len(again.Dropped) != 0 || !slices.Equal(s.upkeeps, []bool{true, false}) {
		t.Errorf("again: %+v, %v; full maintenance %v", again, err, s.upkeeps)
	}
}

func TestApplyReportsNothingThatWasNotDone(t *testing.T) {
	s := &shelf{sets: daily(3), refuse: errors.New("the disk is full")}
	report, err := s.job(retention.Policy{Last: 2}).Apply(t.Context(), true)
	if err == nil || len(report.Dropped) != 0 || len(s.upkeeps) != 0 {
		t.Errorf("%+v, %v, %v", report, err, s.upkeeps)
	}
}

func TestByNameRefusesWhatTheNodeMayNeed(t *testing.T) {
	s := &shelf{sets: daily(5)}
	s.sets[0].Restores = holdfast.Holds
	s.pins = []record.Pin{{Set: s.sets[1].Set, Until: newest.Add(day), Reason: "audit"}}
	s.sets[2] = retention.Candidate{
		Set:        s.sets[2].Set,
		At:         s.sets[2].At,
		State:      holdfast.Proven,
		Unreadable: "its manifest is gone",
	}
	for i, want := range []string{"the newest set that a drill restored", "pinned until", "", "", "",
		"the newest proven set"} {
		s := &shelf{sets: slices.Clone(s.sets), pins: s.pins}
		report, err := s.job(retention.Policy{}).ApplyTo(t.Context(), false, s.sets[i].Set)
		switch {
		case want == "":
			if err != nil || len(report.Dropped) != 1 || len(s.sets) != 5 || report.Maintenance != nil {
				t.Errorf("set %d: %+v, %v", i, report, err)
			}
		case holdfast.ClassOf(err) != holdfast.Refused || !strings.Contains(err.Error(), want) || len(s.sets) != 6:
			t.Errorf("set %d: %v, want %s", i, err, want)
		}
	}
}
