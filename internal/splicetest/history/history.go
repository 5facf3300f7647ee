// Package history makes up the lives of validator nodes as sequences of sets,
// without databases: a ledger that grows and is pruned, users who come, upgrades
// of Splice and Postgres, logical synchronizer upgrades, restarts, runs that were
// killed and tried again. Every life is a function of its seed, and in a healthy
// one every set is proven and nothing is wrong with the node at any moment.
//
// Rules that look at many sets over time are tested against it: over any healthy
// life they have to stay silent.
package history

import (
	"fmt"
	"math/rand/v2"
	"time"

	"holdfast"
)

// Options say what sort of life it is. The zero value is a healthy one of two
// months with a set every four hours.
type Options struct {
	Begin time.Time     // zero: 1 September 2026
	Span  time.Duration // 0: 61 days
	Every time.Duration // 0: 4 hours
	// Faults makes some sets unproven, misordered or mismatched, and some clocks
	// jump. The life is not healthy then.
	Faults bool
}

// Event is one thing that happened to the node.
type Event struct {
	At   time.Time
	What string // "logical synchronizer upgrade to serial 4"
}

// Life is one node's life.
type Life struct {
	Seed   uint64
	Sets   []holdfast.Set // in the order they were taken
	Events []Event
	End    time.Time

	states []state // of the node, one for each set, and the last one
}

// Live returns the facts of the node's databases as they are when the life
// ends: the validator app's and the participant's.
func (l Life) Live() (validator, participant holdfast.Facts) {
	last := l.states[len(l.states)-1]
	return last.validatorFacts(last.offset), last.participantFacts()
}

// Until returns the life as it was when that many sets had been taken: what
// was known then, and the node right after.
func (l Life) Until(sets int) Life {
	cut := Life{Seed: l.Seed, Sets: l.Sets[:sets:sets], states: l.states[:sets:sets]}
	cut.End = cut.states[sets-1].at
	for _, e := range l.Events {
		if !e.At.After(cut.End) {
			cut.Events = append(cut.Events, e)
		}
	}
	return cut
}

// New makes up the life of that seed.
func New(seed uint64, opt Options) Life {
	if opt.Begin.IsZero() {
		opt.Begin = time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	}
	if opt.Span == 0 {
		opt.Span = 61 * 24 * time.Hour
	}
	if opt.Every == 0 {
		opt.Every = 4 * time.Hour
	}
	m := maker{rand: rand.New(rand.NewPCG(seed, 0x686f6c64)), opt: opt, life: Life{Seed: seed}}
	m.state = m.born(seed)
	for end := opt.Begin.Add(opt.Span); ; {
		m.pass(m.between(opt.Every*8/10, opt.Every*9/10))
		if m.state.at.After(end) {
			break
		}
		m.happen()
		if m.rand.IntN(40) == 0 {
			m.event("a run was killed and tried again")
			m.pass(m.between(opt.Every/240, opt.Every/40))
		}
		m.take()
	}
	m.life.End = m.state.at
	m.life.states = append(m.life.states, m.state)
	return m.life
}

// maker makes up one life.
type maker struct {
	rand  *rand.Rand
	opt   Options
	state state
	life  Life
}

func (m *maker) between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(m.rand.Int64N(int64(most-least)))
}

func (m *maker) event(format string, args ...any) {
	m.life.Events = append(m.life.Events, Event{m.state.at, fmt.Sprintf(format, args...)})
}

// pass lets time pass: the ledger grows, and the participant prunes.
func (m *maker) pass(d time.Duration) {
	m.state.at = m.state.at.Add(d)
	m.state.grow(int64(d.Minutes() * m.state.pace))
}

// happen is what may happen to a node between two sets.
func (m *maker) happen() {
	s := &m.state
	switch m.rand.IntN(24) {
	case 0, 1:
		s.users = append(s.users, user{fmt.Sprintf("user-%d", len(s.users)+1), s.at})
		m.event("%s was onboarded", s.users[len(s.users)-1].name)
	case 2:
		m.event("restart")
		s.at = s.at.Add(m.between(10*time.Second, m.opt.Every/60)) // without a ledger
	case 3:
		s.pace = 1 + 20*m.rand.Float64()
	case 4:
		if m.rand.IntN(3) == 0 {
			s.postgres++
			m.event("Postgres upgraded to %d.%d", s.postgres/10000, s.postgres%10000)
		}
	case 5:
		if m.rand.IntN(2) == 0 {
			s.validatorSchema++
			s.participantSchema += m.rand.IntN(2)
			m.event("Splice upgraded: schema %d", s.validatorSchema)
		}
	case 6:
		if m.rand.IntN(4) == 0 {
			s.upgradeSynchronizer()
			m.event("logical synchronizer upgrade to serial %d", s.serial)
		}
	case 7:
		if m.rand.IntN(3) == 0 {
			s.window = []time.Duration{0, 48 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}[m.rand.IntN(4)]
			m.event("pruning retention set to %v", s.window)
		}
	}
}
