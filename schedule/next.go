package schedule

import (
	"fmt"
	"hash/fnv"
	"time"
)

// Task is one kind of work for a node, and how often it is done.
type Task struct {
	Name   string
	Rule   Rule
	Window Window // in which it may begin
	// Jitter is at most how far from its time it begins, the same for a node each
	// time: later than a time of the calendar, and earlier than an interval ends, by
	// a small share of it, so that nothing gets older than its interval.
	Jitter time.Duration
	// First is for the task that everything else gives way to: one that would
	// still run when this is due again begins behind it.
	First bool
}

// Past is what is known of a task: from the repository, so that another machine
// knows it as well, and from this process.
type Past struct {
	Done     time.Time     // when the newest that succeeded was begun; zero for none
	Tried    time.Time     // when this process ended the newest attempt; zero for none
	Failures int           // attempts in a row that failed
	Failed   error         // why the newest of them did
	Held     bool          // the newest attempt found another run at work; that is no failure
	Took     time.Duration // the newest that succeeded; 0 when unknown
	// Wanted is why it is wanted at once, whatever the rule says; "" when it is not.
	Wanted string
}

// Decision is what is to be done next.
type Decision struct {
	Task string
	At   time.Time // not before now; zero when nothing is ever due
	Due  time.Time // when it was, or will be, due by its rule
	Why  string    // for people
}

// Patience is how long a failed task is left alone: shortest after the first
// failure, twice as long after each further one. It never waits for longer than
// a quarter of the rule's interval.
const Patience = time.Minute

// heldPatience is how long a task is left alone that found another run at work:
// that may end at any time, and may have been killed.
const heldPatience = 15 * time.Second

// Next decides which task begins next, and when. Node is who it is for: the
// nodes of an organisation do not all begin at the same second.
func Next(now time.Time, node string, tasks []Task, past map[string]Past) Decision {
	var best Decision
	for _, t := range tasks {
		d, ok := t.next(now, node, past[t.Name])
		if ok && (best.At.IsZero() || earlier(d, best)) {
			best = d
		}
	}
	for _, t := range tasks {
		if t.First && t.Name != best.Task && !best.At.IsZero() {
			best = t.before(now, node, best, past)
		}
	}
	return best
}

// earlier reports whether a begins before b: of two that are due, that which has
// been due for longer.
func earlier(a, b Decision) bool {
	if !a.At.Equal(b.At) {
		return a.At.Before(b.At)
	}
	return a.Due.Before(b.Due)
}

// next is when the task alone would begin.
func (t Task) next(now time.Time, node string, p Past) (Decision, bool) {
	d := Decision{Task: t.Name}
	switch {
	case p.Wanted != "":
		d.Due, d.Why = now, p.Wanted
	case t.Rule.Never():
		return d, false
	case p.Done.IsZero():
		d.Due, d.Why = now, "there is none yet"
	case p.Done.After(now.Add(Tolerance)):
		// The newest stays of the future however often this is done.
		d.Due, d.Why = now, "the last one is of the future: a clock was wrong"
		if !p.Tried.IsZero() && !p.Tried.After(now.Add(Tolerance)) {
			d.Due = t.Rule.Next(p.Tried)
		}
	default:
		d.Due = t.due(node, p.Done)
		d.Why = t.Rule.String()
		if late := now.Sub(d.Due); late > Tolerance {
			d.Why = fmt.Sprintf("%s; it is late by %v", d.Why, late.Round(time.Second))
		}
	}
	d.At = d.Due
	if d.At.Before(now) {
		d.At = now
	}
	if again := p.Tried.Add(heldPatience); p.Held && again.After(d.At) && !p.Tried.After(now.Add(Tolerance)) {
		d.At, d.Why = again, d.Why+"; when the other run may have ended"
	}
	if p.Failures > 0 {
		if again := p.Tried.Add(t.patience(now, p.Failures)); again.After(d.At) && !p.Tried.After(now.Add(Tolerance)) {
			d.At = again
			d.Why = fmt.Sprintf("%s; tried again after %d failures", d.Why, p.Failures)
		}
	}
	if p.Wanted == "" {
		d.At = t.Window.Open(d.At)
	}
	return d, true
}

// earlyShare is which part of an interval a node may begin early: of four hours
// ten minutes. Nodes that began together drift apart, as each has its own period.
const earlyShare = 24

// due is when the task is due again after it was done, with the node's jitter.
func (t Task) due(node string, done time.Time) time.Time {
	at := t.Rule.Next(done)
	if t.Rule.cron != nil {
		return at.Add(offset(node, t.Name, t.Jitter))
	}
	return at.Add(-offset(node, t.Name, min(t.Jitter, t.Rule.every/earlyShare)))
}

// Tolerance is how far clocks may differ, and how late something may be, before
// it is worth a word.
const Tolerance = time.Minute

// patience is how long after a failure the next attempt begins.
func (t Task) patience(now time.Time, failures int) time.Duration {
	wait := Patience << min(failures-1, 10)
	if most := t.Rule.Interval(now) / 4; most > 0 && wait > most {
		wait = most
	}
	return wait
}

// before lets the first task go before another that would keep it from its time.
// One that is half an interval old at most does not go again: else a task that
// takes longer than that interval would never begin.
func (t Task) before(now time.Time, node string, other Decision, past map[string]Past) Decision {
	mine, took := past[t.Name], past[other.Task].Took
	own, ok := t.next(now, node, mine)
	if !ok || took <= 0 || mine.Failures > 0 || !other.At.Add(took).After(own.At) {
		return other
	}
	if other.At.Sub(mine.Done) <= t.Rule.Interval(now)/2 {
		return other
	}
	own.At = other.At
	own.Why = fmt.Sprintf("before the %s, which takes about %v", other.Task, took.Round(time.Minute))
	return own
}

// offset is a node's own part of the jitter.
func offset(node, task string, jitter time.Duration) time.Duration {
	if jitter <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(node + "\x00" + task))
	return time.Duration(h.Sum64() % uint64(jitter)).Truncate(time.Second)
}
