package retention

import (
	"context"
	"fmt"
	"strings"
	"time"

	"holdfast"
)

// Clock is the clock of somebody else, such as a database server.
type Clock struct {
	Of    string
	Ahead time.Duration // of ours
}

// The bounds of what happens without somebody who looks.
const (
	// jump is how many cadences may pass without a set. After more, the clock may
	// have jumped: what looks old may be what was taken yesterday.
	jump = 10
	// clockTolerance is far below the shortest period that a rule counts in.
	clockTolerance = 10 * time.Minute
	// defaultCadence is how often a node is backed up at least (Splice:
	// validator_backups).
	defaultCadence = 4 * time.Hour
)

// clockDoubts say why the time may be wrong. Rules and maintenance alike judge by
// age, so with a wrong clock both delete what is wanted.
func clockDoubts(p Policy, sets []Candidate, clocks []Clock, now time.Time) []string {
	var out []string
	for _, c := range clocks {
		if c.Ahead.Abs() > clockTolerance {
			out = append(out, fmt.Sprintf("the clock here is %s from that of %s", span(c.Ahead.Abs()), c.Of))
		}
	}
	limit := p.longest()
	var before, newest Candidate
	for _, c := range sets { // oldest first
		if c.Unreadable == "" && !c.At.After(now) && !c.premature() {
			before, newest = newest, c
		}
	}
	if newest.Set == "" {
		return out
	}
	if gap := now.Sub(newest.At); gap > limit {
		out = append(out, fmt.Sprintf("the newest set, %s, is %s old: either the clock jumped or backups stopped",
			newest.Set, span(gap)))
	}
	if gap := newest.At.Sub(before.At); before.Set != "" && gap > limit {
		out = append(out, fmt.Sprintf("the newest set, %s, is dated %s after the one before it: either the clock "+
			"jumped or backups stopped", newest.Set, span(gap)))
	}
	return out
}

// longest is how long may pass between two sets.
func (p Policy) longest() time.Duration {
	if p.Cadence > 0 {
		return jump * p.Cadence
	}
	return jump * defaultCadence
}

// tooMany doubts a plan that drops more than half of the sets.
func (p Plan) tooMany() []string {
	if n := len(p.Dropped()); 2*n > len(p.Sets) {
		return []string{fmt.Sprintf("it would drop %d of %d sets", n, len(p.Sets))}
	}
	return nil
}

// crowd is how many sets within one cadence, or between two of a schedule that is
// quicker, are more than anybody takes by hand.
const crowd = 10

// crowded doubts sets that came so fast that they may be there to push others out of
// "last". The other rules count periods, and give a period one place whatever comes.
func (p Policy) crowded(sets []Candidate) []string {
	if p.Last == 0 {
		return nil
	}
	cadence := p.longest() / jump
	if p.Scheduled > 0 {
		cadence = min(cadence, p.Scheduled)
	}
	for i := crowd; i < len(sets); i++ { // oldest first
		if apart := sets[i].At.Sub(sets[i-crowd].At); apart < cadence {
			return []string{fmt.Sprintf("%d sets up to %s came within %s: somebody may want to push others out of `last`",
				crowd+1, sets[i].Set, span(apart))}
		}
	}
	return nil
}

// unattended refuses what nobody should do without a look at it.
func (j Job) unattended(doubts []string, what string) error {
	if len(doubts) == 0 || j.Force {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  what + ": " + strings.Join(doubts, "; "),
		Why: "With a wrong clock, sets of today look old. Nothing was dropped or deleted. Without --force a run " +
			"drops at most half of the sets, and none after a pause of ten cadences.",
		Do: "Check the time here (`date -u`) and what would go (`holdfast retention`). If both are right: " +
			"`holdfast retention --yes --force`. If backups are rarer than `check.cadence`, set it.",
	}
}

// clocks are those that answer.
func (j Job) clocks(ctx context.Context) []Clock {
	if j.Clocks == nil {
		return nil
	}
	return j.Clocks(ctx)
}
