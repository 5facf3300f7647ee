package instances

import (
	"context"
	"fmt"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/content"
	"holdfast/observed"
)

// Lift reads the rows of a component on an instance that was made of a snapshot.
// It implements backup.Source.
type Lift struct {
	Dumper postgres.Dumper // leads to the instance
	From   holdfast.Set    // refers to the snapshot
}

// Look implements backup.Source.
func (l Lift) Look(ctx context.Context, c holdfast.Component) (observed.Outlook, error) {
	return l.Dumper.Look(ctx, c)
}

// Capture dumps the component. Its moments are those at which the snapshot was
// taken, and by them the order is proven. The instance went ways of its own since,
// so nothing is taken over from another set, and no later capture of the live
// database goes on from where the instance was.
func (l Lift) Capture(
	ctx context.Context, c holdfast.Component, clock holdfast.Clock, out holdfast.Sink, _ holdfast.Earlier,
) (holdfast.Capture, error) {
	from, ok := l.From.Part(c.Name)
	if !ok {
		return holdfast.Capture{}, fmt.Errorf("set %s has no %s", l.From.ID, c.Name)
	}
	ref, ok := from.Content.(content.Reference)
	if !ok {
		return holdfast.Capture{}, fmt.Errorf("set %s has no snapshot of %s", l.From.ID, c.Name)
	}
	read, err := l.Dumper.Capture(ctx, c, clock, out, holdfast.Earlier{})
	if err != nil {
		return holdfast.Capture{}, err
	}
	rows, ok := read.Content.(content.Rows)
	if !ok {
		return holdfast.Capture{}, fmt.Errorf("the capture of %s has no rows", c.Name)
	}
	rows.Readings = "" // which say what a later capture may take over
	read.Content, read.Ground, read.WAL = rows, nil, holdfast.WAL{}
	read.Lifted = &holdfast.Lifted{Set: l.From.ID, Keeper: ref.Keeper, Snapshot: ref.ID, Read: read.Consistent.Wall}
	read.Began, read.Consistent, read.Ended = from.Began, from.Consistent, from.Ended
	return read, nil
}
