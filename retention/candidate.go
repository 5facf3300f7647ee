package retention

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast"
)

// Candidate is one stored set as the rules see it.
type Candidate struct {
	Set   holdfast.SetID
	State holdfast.State
	// At is the time of the participant's database in the set; for a node
	// without a participant, the begin of the run.
	At time.Time
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

// The names of marks.
const (
	serialMark    = "synchronizer serial"
	migrationMark = "migration id"
	postgresMark  = "Postgres version"
	windowMark    = "pruning window"
	schemaMark    = "schema version"
)

// Look makes a candidate of a set's manifest. It computes the state again: a
// state that the facts do not support does not count.
func Look(set holdfast.Set, restores holdfast.Verdict) Candidate {
	fresh := set
	fresh.Prove()
	c := Candidate{Set: set.ID, State: set.State, At: set.Began.Wall, Marks: map[string]string{}, Restores: restores}
	if set.State == holdfast.Proven {
		c.State = fresh.State
	}
	for _, capture := range set.Parts() {
		if v := capture.Server.Number; v != 0 {
			c.Marks[postgresMark+" of "+string(capture.Component)] = version(v)
		}
		// A set does not record the Splice version itself. An upgrade changes
		// the schema's version, which a restore has to match.
		if v := capture.Facts.Migrations; v != "" {
			c.Marks[schemaMark+" of "+string(capture.Component)] = v
		}
		if v := capture.Facts.Validator; v != nil {
			c.Marks[migrationMark] = strconv.FormatInt(v.MigrationID, 10)
		}
		if p := capture.Facts.Participant; p != nil {
			c.participant(capture, *p)
		}
	}
	return c
}

func (c *Candidate) participant(capture holdfast.Part, p holdfast.ParticipantFacts) {
	if !capture.Consistent.Wall.IsZero() {
		c.At = capture.Consistent.Wall
	}
	c.Pruned = p.PrunedUpTo != nil
	if p.Pruning != nil {
		c.Window = p.Pruning.Retention
	}
	if p.Pruning != nil || p.NoPruning {
		c.Marks[windowMark] = window(c.Window)
	}
	var serials []string
	for _, s := range p.Synchronizers {
		if !s.Active {
			continue
		}
		name := s.PhysicalID
		if n, ok := s.Serial(); ok {
			name = strconv.Itoa(n)
		}
		serials = append(serials, s.Alias+" "+name)
	}
	if len(serials) > 0 {
		slices.Sort(serials)
		c.Marks[serialMark] = strings.Join(serials, ", ")
	}
}

// version formats Postgres' version number: 150018 is 15.18.
func version(number int) string { return fmt.Sprintf("%d.%d", number/10000, number%10000) }

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

// older orders candidates by time, then by ID.
func older(a, b Candidate) int {
	if c := a.At.Compare(b.At); c != 0 {
		return c
	}
	return cmp.Compare(a.Set, b.Set)
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
