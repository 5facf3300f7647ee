package setup

import (
	"context"
	"time"
)

// RowsDue reports whether the next set of a service is to be a dump.
func RowsDue(ctx context.Context, p *Parts) (bool, error) { return p.rowsDue(ctx) }

// TakeSet takes a set as a service does.
func TakeSet(ctx context.Context, p *Parts) error { return takeSet(ctx, p) }

// SweepTemporary deletes the temporary instances whose time is over by then.
func SweepTemporary(ctx context.Context, p *Parts, now time.Time) error {
	return p.sweepTemporary(ctx, now)
}
