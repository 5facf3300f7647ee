package retention

import (
	"math"
	"time"
)

// Forever is a duration without end.
const Forever = time.Duration(math.MaxInt64)

// DefaultFaulty is how long sets that do not count are kept by default.
const DefaultFaulty = 7 * 24 * time.Hour

// Policy says how many sets are kept. A zero rule keeps nothing of its own; a
// policy without any rule keeps everything.
type Policy struct {
	Within  time.Duration `json:"within_ns,omitempty"` // all this close to the newest
	Last    int           `json:"last,omitempty"`
	Hourly  int           `json:"hourly,omitempty"` // so many hours that have sets, and so on
	Daily   int           `json:"daily,omitempty"`
	Weekly  int           `json:"weekly,omitempty"`
	Monthly int           `json:"monthly,omitempty"`
	Yearly  int           `json:"yearly,omitempty"`
	// History is how far back the ledger's history is wanted without a gap. Sets
	// are then kept no further apart than the participant's pruning window.
	History time.Duration `json:"history_ns,omitempty"`
	// Faulty is how long sets that do not count are kept.
	Faulty time.Duration `json:"faulty_ns,omitempty"`
	// Cadence is how often a set has to be taken at least; 4 hours if 0.
	Cadence time.Duration `json:"-"`
	// Scheduled is how often the service takes one; 0 if unknown.
	Scheduled time.Duration `json:"-"`
}

// Drops reports whether the policy ever drops anything.
func (p Policy) Drops() bool {
	return p.Within > 0 || p.Last > 0 || p.History > 0 || p.Hourly > 0 || p.Daily > 0 || p.Weekly > 0 ||
		p.Monthly > 0 || p.Yearly > 0
}

// period is a stretch of the calendar that one set can stand for.
type period struct {
	rule  Rule
	name  string // of one, for people
	count func(Policy) int
	of    func(time.Time) string // the period's name; equal for all its moments
}

var periods = []period{
	{Hourly, "hour", func(p Policy) int {
		return p.Hourly
	}, func(t time.Time) string { return t.Format("2006-01-02 15h") }},
	{Daily, "day", func(p Policy) int { return p.Daily }, func(t time.Time) string { return t.Format("2006-01-02") }},
	{Weekly, "week", func(p Policy) int { return p.Weekly }, isoWeek},
	{Monthly, "month", func(p Policy) int {
		return p.Monthly
	}, func(t time.Time) string { return t.Format("2006-01") }},
	{Yearly, "year", func(p Policy) int { return p.Yearly }, func(t time.Time) string { return t.Format("2006") }},
}
