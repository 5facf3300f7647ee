package retention

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
	"time"

	"holdfast"
	"holdfast/record"
)

// Candidate is one stored set as the rules see it.
type Candidate struct {
	Set   holdfast.SetID
	State holdfast.State
	// At is the time of the participant's database in the set; for a node
	// without a participant, the begin of the run.
	At time.Time
	// Stored is when it was stored where it is; zero: that is not known.
	Stored time.Time
	// Marks are what a restore has to match, by name: "synchronizer serial" is
	// "global 5". Only recorded values are among them.
	Marks map[string]string
	// Window is the retention of the participant's pruning schedule, 0 when it
	// has none. Pruned says that it has pruned before.
	Window time.Duration
	Pruned bool
	// Restores is the verdict of the drills: holds, violated, or cannot tell
	// without a drill.
	Restores holdfast.Verdict
	// Unreadable says why the set could not be read.
	Unreadable string
}

// windowMark is the mark of the pruning window.
const windowMark = "pruning window"

// Look makes a candidate of a set's manifest. It computes the state again: a
// state that the facts do not support does not count.
func Look(set holdfast.Set, restores holdfast.Verdict) Candidate {
	c := Listed(set.ID, set.State, record.Summarize(set), restores)
	if set.State == holdfast.Proven {
		set.Prove()
		c.State = set.State
	}
	return c
}

// Listed makes a candidate of what a listing knows of a set.
func Listed(id holdfast.SetID, state holdfast.State, s record.Summary, restores holdfast.Verdict) Candidate {
	c := Candidate{
		Set: id, State: state, At: s.At, Marks: maps.Clone(s.Marks), Pruned: s.Pruned, Restores: restores,
	}
	if c.Marks == nil {
		c.Marks = map[string]string{}
	}
	if s.Window != nil {
		c.Window, c.Marks[windowMark] = *s.Window, window(*s.Window)
	}
	return c
}

func window(w time.Duration) string {
	if w == 0 {
		return "none"
	}
	return span(w)
}

// counts reports whether the set may stand for others.
func (c Candidate) counts() bool {
	return c.State == holdfast.Proven && c.Restores != holdfast.Violated
}

// older orders candidates by time, then by ID, then by when they were stored.
func older(a, b Candidate) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Set, b.Set), a.Stored.Compare(b.Stored))
}

func isoWeek(t time.Time) string {
	year, week := t.ISOWeek()
	return fmt.Sprintf("%d-W%02d", year, week)
}

// span prints a duration for people: 36h, 14d, 14d6h.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == Forever:
		return "forever"
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 2*day:
		return strings.TrimSuffix(strings.TrimSuffix(d.Round(time.Minute).String(), "0s"), "0m")
	case d%day < time.Hour:
		return fmt.Sprintf("%dd", d/day)
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}
