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

// every are that many sets at the cadence, the newest last.
func every(n int, last time.Time) []retention.Candidate {
	var sets []retention.Candidate
	for i := n - 1; i >= 0; i-- {
		sets = append(sets, ago(newest.Sub(last.Add(-time.Duration(i)*4*time.Hour))))
	}
	return sets
}

// A run that nobody looks at does nothing that a wrong clock or a wrong rule
// would turn into a loss.
func TestARunThatNobodyLooksAt(t *testing.T) {
	for _, c := range []struct {
		name   string
		sets   []retention.Candidate
		policy retention.Policy
		clock  time.Duration // of a server, ahead of ours
		says   string        // "": it is done
		kept   int           // after --force
		upkeep bool          // that maintenance is in doubt as well
	}{
		{"at the cadence", every(43, newest), retention.Policy{Last: 30}, 0, "", 30, false},
		{"a clock that jumped 400 days, for backups as well", append(every(42, newest.Add(-400*day)), every(1, newest)...),
			retention.Policy{Within: 30 * day}, 0, "dated 400d after the one before it", 1, true},
		{"and one more backup since", append(every(42, newest.Add(-400*day)), every(2, newest)...),
			retention.Policy{Within: 30 * day}, 0, "it would drop 42 of 44 sets", 2, false},
		{"a clock that jumped, for retention alone", every(43, newest.Add(-400*day)), retention.Policy{Last: 30}, 0,
			"is 400d old", 30, true},
		{"more than half", every(10, newest), retention.Policy{Last: 4}, 0, "it would drop 6 of 10 sets", 4, false},
		{"half", every(10, newest), retention.Policy{Last: 5}, 0, "", 5, false},
		{"a server's clock", every(10, newest), retention.Policy{Last: 6}, -2 * time.Hour, "from that of the server", 6, true},
		{"a server's clock, and nothing to drop", every(3, newest), retention.Policy{}, time.Hour, "from that of the server", 3, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &shelf{sets: c.sets}
			job := s.job(c.policy)
			job.Clocks = func(context.Context) []retention.Clock {
				return []retention.Clock{{Of: "the server", Ahead: c.clock}}
			}
			_, err := job.Apply(t.Context(), true)
			if c.says == "" {
				if err != nil || len(s.sets) != c.kept {
					t.Errorf("%v; %d are left", err, len(s.sets))
				}
				return
			}
			if holdfast.ClassOf(err) != holdfast.Refused || !strings.Contains(err.Error(), c.says) ||
				len(s.sets) != len(c.sets) || len(s.upkeeps) > 0 {
				t.Errorf("%v; %d of %d are left, maintained %v", err, len(s.sets), len(c.sets), s.upkeeps)
			}
			job.Policy = retention.Policy{}
			if _, err := job.Apply(t.Context(), true); (err != nil) != c.upkeep || len(s.upkeeps) > 0 == c.upkeep {
				t.Errorf("maintenance alone: %v, %v", err, s.upkeeps)
			}
			job.Policy, job.Force = c.policy, true
			if _, err := job.Apply(t.Context(), true); err != nil || len(s.sets) != c.kept {
				t.Errorf("forced: %v; %d are left", err, len(s.sets))
			}
		})
	}
}
