package web

import (
	"cmp"
	"context"
	"slices"
	"time"

	"holdfast"
	"holdfast/check"
	"holdfast/history"
	"holdfast/loss"
	"holdfast/record"
)

// Node is a node as the pages know it. What it cannot do is a nil field.
type Node struct {
	Name holdfast.NodeName
	// Reports are the newest, at once: whoever makes them keeps them.
	Reports func() Reports
	// Set reads one set.
	Set func(ctx context.Context, id holdfast.SetID) (SetReport, error)
	// Live is what is being done now.
	Live *Live
	Actions
}

// Actions are what an operator may start from a page; who did is noted.
// They return when it is accepted, not when it is done.
type Actions struct {
	BackUp     func(ctx context.Context, by string) error
	Verify     func(ctx context.Context, by string) error
	Drill      func(ctx context.Context, by string) error
	Pin        func(ctx context.Context, pin record.Pin) error
	Unpin      func(ctx context.Context, id holdfast.SetID, by string) error
	TestNotice func(ctx context.Context, by string) error
}

// Reports are what the pages of a node are made of.
type Reports struct {
	// At is when the repository was read; zero before the first time.
	At time.Time
	// Problem is why it could not be read again since, nil when it could.
	Problem error
	// Check is the newest judgement, nil before the first one.
	Check *check.Report
	// CheckProblem is why there is no newer one.
	CheckProblem error
	Sets         []record.Set // oldest first
	History      history.Report
	Drills       []record.Drill
	Pins         []record.Pin
	Verification *record.Verification
	Next         []Due
	Activity     []Activity // newest first
}

// Due is when a task is due next.
type Due struct {
	Task string    `json:"task"`
	At   time.Time `json:"at"`
	Why  string    `json:"why"`
}

// Activity is one thing that happened, from the log of this daemon or from the
// audit trail of the repository.
type Activity struct {
	At     time.Time      `json:"at"`
	Who    string         `json:"who,omitempty"`
	What   string         `json:"what"`
	Set    holdfast.SetID `json:"set,omitempty"`
	Failed bool           `json:"failed,omitempty"`
	Audit  bool           `json:"audit,omitempty"` // it is in the audit trail
}

// SetReport is one set with what is known around it.
type SetReport struct {
	Set      holdfast.Set       `json:"set"`
	Stored   record.Set         `json:"stored"`
	Offsets  []holdfast.Offsets `json:"offsets"`
	Problems []string           `json:"problems"`
	Tables   []Table            `json:"tables"` // the largest first
	Previous holdfast.SetID     `json:"previous,omitempty"`
	New      []loss.Loss        `json:"new"` // that the previous set did not have
	Drills   []record.Drill     `json:"drills"`
	Pin      *record.Pin        `json:"pin,omitempty"`
}

// Table is a table of a component.
type Table struct {
	Component holdfast.ComponentName `json:"component"`
	holdfast.StoredTable
}

// NewSetReport puts together what is known of a set: previous is the one before
// it, nil without one.
func NewSetReport(set holdfast.Set, previous *holdfast.Set) SetReport {
	r := SetReport{
		Set: set, Offsets: set.Offsets(), Problems: []string{}, Tables: []Table{}, New: []loss.Loss{},
		Drills: []record.Drill{},
	}
	for _, p := range set.Problems() {
		r.Problems = append(r.Problems, p.What)
	}
	for _, part := range set.Parts() {
		for _, t := range part.Tables() {
			r.Tables = append(r.Tables, Table{part.Component, t})
		}
		if previous == nil {
			continue
		}
		if before, ok := previous.Part(part.Component); ok {
			r.New = append(r.New, loss.Compare(before.Facts, part.Facts)...)
		}
	}
	slices.SortStableFunc(r.Tables, func(a, b Table) int { return cmp.Compare(b.Bytes, a.Bytes) })
	if previous != nil {
		r.Previous = previous.ID
	}
	return r
}
