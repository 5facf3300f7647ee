package retention_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/splicetest/history"
	"holdfast/record"
	"holdfast/retention"
)

const day = 24 * time.Hour

// seeds are those every run tries, and some of its own.
func seeds(t *testing.T) []uint64 {
	var out []uint64
	for s := range uint64(30) {
		out = append(out, s)
	}
	for range 10 {
		out = append(out, rand.Uint64())
	}
	return out
}

// situation is a random history with a random policy, pins and time.
type situation struct {
	policy retention.Policy
	sets   []retention.Candidate
	pins   []record.Pin
	now    time.Time
}

func aPolicy(r *rand.Rand) retention.Policy {
	some := func(most int) int { return max(0, r.IntN(2*most)-most/2) }
	p := retention.Policy{
		Within:  time.Duration(some(10)) * day,
		Last:    some(10),
		Hourly:  some(30),
		Daily:   some(14),
		Weekly:  some(8),
		Monthly: some(4),
		Yearly:  some(2),
		History: []time.Duration{0, 10 * day, 40 * day, retention.Forever}[r.IntN(4)],
		Faulty:  time.Duration(some(10)) * day,
	}
	if !p.Drops() {
		p.Last = 1
	}
	return p
}

func candidates(r *rand.Rand, life history.Life) []retention.Candidate {
	var out []retention.Candidate
	for _, s := range life.Sets {
		restores := holdfast.CannotTell
		switch r.IntN(30) {
		case 0:
			restores = holdfast.Violated
		case 1, 2:
			restores = holdfast.Holds
		}
		c := retention.Look(s, restores)
		if r.IntN(60) == 0 {
			c = retention.Candidate{
				Set:        c.Set,
				State:      c.State,
				At:         c.At,
				Unreadable: "directory \"\" of the set: BLOB not found",
			}
		}
		out = append(out, c)
	}
	return out
}

func aSituation(seed uint64) situation {
	r := rand.New(rand.NewPCG(seed, 1))
	life := history.New(seed, history.Options{
		Faults: true,
		Span:   time.Duration(1+r.IntN(60)) * day,
		Every:  time.Duration(1+r.IntN(12)) * time.Hour,
	})
	s := situation{
		policy: aPolicy(r),
		sets:   candidates(r, life),
		now:    life.End.Add(time.Duration(r.IntN(200)-100) * time.Hour),
	}
	for range r.IntN(5) {
		s.pins = append(s.pins, record.Pin{
			Set:    s.sets[r.IntN(len(s.sets))].Set,
			Reason: "audit",
			Until:  s.now.Add(time.Duration(r.IntN(100)-50) * time.Hour),
		})
	}
	return s
}

func (s situation) decide() retention.Plan { return retention.Decide(s.policy, s.sets, s.pins, s.now) }

// kept are the candidates that a plan keeps.
func kept(sets []retention.Candidate, p retention.Plan) []retention.Candidate {
	return slices.DeleteFunc(slices.Clone(sets), func(c retention.Candidate) bool {
		d, _ := p.Of(c.Set)
		return !d.Keep
	})
}

// newest returns the newest candidate that suits and is not from the future.
func (s situation) newest(suits func(retention.Candidate) bool) (found retention.Candidate) {
	for _, c := range s.sets {
		if c.Unreadable == "" && !c.At.After(s.now) && suits(c) &&
			(c.At.After(found.At) || c.At.Equal(found.At) && c.Set > found.Set) {
			found = c
		}
	}
	return found
}

func proven(c retention.Candidate) bool { return c.State == holdfast.Proven }
func counts(c retention.Candidate) bool { return proven(c) && c.Restores != holdfast.Violated }

func TestWhatNoPolicyMayDo(t *testing.T) {
	for _, seed := range seeds(t) {
		s := aSituation(seed)
		p := s.decide()
		if len(p.Sets) != len(s.sets) {
			t.Fatalf("seed %d: %d decisions on %d sets", seed, len(p.Sets), len(s.sets))
		}
		must := func(c retention.Candidate, why string) {
			t.Helper()
			if d, ok := p.Of(c.Set); c.Set != "" && (!ok || !d.Keep) {
				t.Errorf("seed %d, %+v: dropped %s, %s: %s", seed, s.policy, c.Set, why, d.Because())
			}
		}
		must(s.newest(counts), "the newest that counts")
		if s.newest(counts).Set == "" {
			must(s.newest(proven), "the newest proven set")
		}
		must(s.newest(func(c retention.Candidate) bool {
			return c.Restores == holdfast.Holds && counts(c)
		}), "the newest that restores")
		for _, c := range s.sets {
			d, ok := p.Of(c.Set)
			if !ok || len(d.Reasons) == 0 || d.Because() == "" {
				t.Errorf("seed %d: no reason for %s", seed, c.Set)
			}
			if c.Unreadable != "" {
				must(c, "which cannot be judged")
			}
			if c.At.After(s.now) {
				must(c, "which is from the future")
			}
			for _, pin := range s.pins {
				if pin.Set == c.Set && pin.HoldsAt(s.now) {
					must(c, "which is pinned")
				}
			}
			if len(d.Reasons) == 1 && d.Keep && !counts(c) && d.Reasons[0].Rule == retention.Daily {
				t.Errorf("seed %d: %s stands for a day", seed, c.Set)
			}
		}
	}
}

func TestDecidingAgainDropsNothingMore(t *testing.T) {
	for _, seed := range seeds(t) {
		s := aSituation(seed)
		p := s.decide()
		again := s
		again.sets = kept(s.sets, p)
		if more := again.decide().Dropped(); len(more) > 0 {
			d, _ := p.Of(more[0])
			e, _ := again.decide().Of(more[0])
			t.Fatalf("seed %d, %+v: dropped again %v: was kept because %s; now: %s", seed, s.policy, more,
				d.Because(), e.Because())
		}
	}
}

func TestTheOrderOfTheInputDoesNotMatter(t *testing.T) {
	for _, seed := range seeds(t) {
		s := aSituation(seed)
		want := s.decide()
		r := rand.New(rand.NewPCG(seed, 2))
		r.Shuffle(len(s.sets), func(i, k int) { s.sets[i], s.sets[k] = s.sets[k], s.sets[i] })
		r.Shuffle(len(s.pins), func(i, k int) { s.pins[i], s.pins[k] = s.pins[k], s.pins[i] })
		if got := s.decide(); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: another order, another plan", seed)
		}
	}
}

// While no set is added, time only ever takes reasons away. Sets from the
// future are left out: they begin to count when their time has come.
func TestTimeAloneNeverBringsAReasonBack(t *testing.T) {
	for _, seed := range seeds(t) {
		s := aSituation(seed)
		s.sets = slices.DeleteFunc(s.sets, func(c retention.Candidate) bool { return c.At.After(s.now) })
		early := s.decide()
		s.now = s.now.Add(time.Duration(1+seed%400) * time.Hour)
		for _, d := range s.decide().Sets {
			if before, _ := early.Of(d.Set); d.Keep && !before.Keep {
				t.Errorf("seed %d: %s was to be dropped, later it is kept: %s", seed, d.Set, d.Because())
			}
		}
	}
}

func TestWithoutAPolicyNothingIsDropped(t *testing.T) {
	for _, seed := range seeds(t) {
		s := aSituation(seed)
		s.policy = retention.Policy{Faulty: time.Hour}
		if dropped := s.decide().Dropped(); len(dropped) > 0 {
			t.Fatalf("seed %d: %v", seed, dropped)
		}
	}
}

// smallest is the smallest pruning window from one set to another, 0 for none.
func smallest(sets []retention.Candidate) time.Duration {
	var w time.Duration
	for _, c := range sets {
		if c.Window > 0 && (w == 0 || c.Window < w) {
			w = c.Window
		}
	}
	return w
}

// gapless checks that what is kept covers the wanted history wherever all that
// there ever was does.
func gapless(t *testing.T, seed uint64, p retention.Plan, all []retention.Candidate) {
	t.Helper()
	usable := slices.DeleteFunc(slices.Clone(all), func(c retention.Candidate) bool {
		return !counts(c) || c.Unreadable != "" || c.At.After(p.Now)
	})
	slices.SortFunc(usable, func(a, b retention.Candidate) int { return a.At.Compare(b.At) })
	if len(usable) == 0 || p.Policy.History == 0 {
		return
	}
	newest := usable[len(usable)-1].At
	last := len(usable) - 1
	for i := len(usable) - 2; i >= 0; i-- {
		later := usable[last]
		if later.Window == 0 && !later.Pruned ||
			p.Policy.History != retention.Forever && newest.Sub(later.At)+later.Window >= p.Policy.History {
			return
		}
		if d, ok := p.Of(usable[i].Set); !ok || !d.Keep {
			continue
		}
		w := smallest(usable[i : last+1])
		if apart := later.At.Sub(usable[i].At); w > 0 && apart > w && last-i > 1 {
			t.Errorf("seed %d: %s and %s are %v apart, the window is %v, and there was a set between", seed,
				usable[i].Set, later.Set, apart, w)
		}
		last = i
	}
}

func TestHistoryHasNoGapThatASetCouldFill(t *testing.T) {
	for _, seed := range seeds(t) {
		s := aSituation(seed)
		s.policy.History = []time.Duration{20 * day, retention.Forever}[seed%2]
		gapless(t, seed, s.decide(), s.sets)
	}
}

func TestBothSidesOfEveryChangeAreKept(t *testing.T) {
	changes := 0
	for _, seed := range seeds(t) {
		s := aSituation(seed)
		p := s.decide()
		usable := slices.DeleteFunc(slices.Clone(s.sets), func(c retention.Candidate) bool {
			return !counts(c) || c.Unreadable != "" || c.At.After(s.now)
		})
		slices.SortFunc(usable, func(a, b retention.Candidate) int { return a.At.Compare(b.At) })
		for i := range usable[:max(0, len(usable)-1)] {
			a, b := usable[i], usable[i+1]
			for _, mark := range []string{"synchronizer serial", "migration id", "schema version of validator",
				"Postgres version of participant"} {
				if a.Marks[mark] == b.Marks[mark] {
					continue
				}
				changes++
				for _, c := range []retention.Candidate{a, b} {
					if d, _ := p.Of(c.Set); !d.Keep {
						t.Errorf("seed %d: %s, next to a change of the %s, is dropped", seed, c.Set, mark)
					}
				}
			}
		}
	}
	if changes < 50 {
		t.Errorf("only %d changes were looked at", changes)
	}
}

// A life is lived set by set, with retention after each. What the calendar and
// history would keep of everything there ever was is still there at every
// moment: nothing that was dropped is missed later.
func TestWhatWasDroppedIsNeverMissed(t *testing.T) {
	for _, seed := range append(seeds(t)[:14], seeds(t)[30:36]...) {
		r := rand.New(rand.NewPCG(seed, 3))
		life := history.New(seed, history.Options{Every: time.Duration(3+r.IntN(9)) * time.Hour})
		policy := aPolicy(r)
		var all, there []retention.Candidate
		most := 0
		for i, set := range life.Sets {
			c := retention.Look(set, holdfast.CannotTell)
			all, there = append(all, c), append(there, c)
			now := set.Ended.Wall
			there = kept(there, retention.Decide(policy, there, nil, now))
			most = max(most, len(there))
			if i%29 != 0 && i != len(life.Sets)-1 {
				continue
			}
			whole := retention.Decide(policy, all, nil, now)
			for _, d := range whole.Sets {
				wanted := slices.ContainsFunc(d.Reasons, func(r retention.Reason) bool {
					return r.Rule != retention.Spacing
				})
				if d.Keep && wanted && !slices.ContainsFunc(there, func(c retention.Candidate) bool {
					return c.Set == d.Set
				}) {
					t.Fatalf("seed %d, %+v: after %d sets %s is missed: %s", seed, policy, i+1, d.Set, d.Because())
				}
			}
			gapless(t, seed, retention.Decide(policy, there, nil, now), all)
		}
		if policy.History == 0 && most > 250 {
			t.Errorf("seed %d, %+v: %d sets were kept at a time", seed, policy, most)
		}
	}
}
