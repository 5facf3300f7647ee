package record

import (
	"fmt"
	"time"

	"holdfast"
)

// Disproof is the record of rows that changed although the rule for taking over
// said that they had not. It outlives the set that found them: older sets that are
// kept longer may have them wrong.
type Disproof struct {
	Node      holdfast.NodeName      `json:"node"`
	Component holdfast.ComponentName `json:"component"`
	At        time.Time              `json:"at"` // when the set began that found it and read everything again
	Set       holdfast.SetID         `json:"set"`
	holdfast.Disproof
}

// Doubts reports whether a set may have these rows wrong: it began after they were
// last read, and before the set that found it.
func (d Disproof) Doubts(node holdfast.NodeName, began time.Time) bool {
	return node == d.Node && began.After(d.ReadAt) && began.Before(d.At)
}

// Latest is the set that a restore takes when none is named, of those that it may
// take, oldest first: the newest one that is not in doubt, and those that it passes
// over. Where every one is in doubt it is the newest, and without any it is nil.
func Latest[S any](sets []S, inDoubt func(S) bool) (latest *S, passed []S) {
	for i := len(sets) - 1; i >= 0; i-- {
		if !inDoubt(sets[i]) {
			return &sets[i], sets[i+1:]
		}
	}
	if len(sets) == 0 {
		return nil, nil
	}
	return &sets[len(sets)-1], nil
}

// SettledBy reports whether a later set read all of the component, and found no
// difference.
func (d Disproof) SettledBy(set holdfast.Set) bool {
	part, has := set.Part(d.Component)
	return has && set.Began.Wall.After(d.At) && part.TakenOver == nil && part.Disproof == nil
}

// String says which rows.
func (d Disproof) String() string {
	return fmt.Sprintf("%s: table %s, from block %d on, changed without a transaction between %s and %s", d.Component,
		d.Table, d.From, d.ReadAt.UTC().Format(time.RFC3339), d.At.UTC().Format(time.RFC3339))
}
