package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"holdfast"
)

// Report is what a restore did.
type Report struct {
	Set     holdfast.SetID `json:"set"`
	Swapped bool           `json:"swapped"` // false after OnlyProve
	Done    []Done         `json:"done"`
	Took    time.Duration  `json:"took_ns"`
}

// Done is one restored component.
type Done struct {
	Component holdfast.ComponentName `json:"component"`
	Database  string                 `json:"database"`
	Kept      string                 `json:"kept,omitempty"` // the name of what was live before
	Tables    int                    `json:"tables"`
	Rows      int64                  `json:"rows"`
	Took      time.Duration          `json:"took_ns"`
}

// Apply carries out a plan. Tell is told what is happening, a line at a time;
// it may be nil.
func Apply(ctx context.Context, place Place, p Plan, set holdfast.Set, files holdfast.Files, tell func(string)) (report Report, err error) {
	if tell == nil {
		tell = func(string) {}
	}
	report.Set = set.ID
	if !p.OnlyProve {
		if err := idle(p); err != nil {
			return report, err
		}
	}
	began := time.Now()
	var built []holdfast.Placement
	defer func() {
		// Whatever was built and not swapped in is of no use to anybody.
		if err != nil || p.OnlyProve {
			for _, placement := range built {
				if dropErr := place.Discard(context.WithoutCancel(ctx), placement); dropErr != nil {
					err = errors.Join(err, fmt.Errorf("database %s, built and not used, could not be dropped: %w", placement.New, dropErr))
				}
			}
		}
	}()
	for _, placement := range p.Placements {
		c, _ := set.Capture(placement.Component)
		tell(fmt.Sprintf("restore %s into database %s", c.Component, placement.New))
		start := time.Now()
		if err := place.Build(ctx, set.ID, placement, c, files); err != nil {
			return report, fmt.Errorf("nothing was changed: %w", err)
		}
		built = append(built, placement)
		done := Done{Component: c.Component, Database: placement.Database, Tables: len(c.Tables), Took: time.Since(start)}
		for _, t := range c.Tables {
			done.Rows += t.Rows
		}
		if placement.Live && !p.OnlyProve {
			done.Kept = placement.Keep
		}
		report.Done = append(report.Done, done)
	}
	report.Took = time.Since(began)
	if p.OnlyProve {
		return report, nil
	}
	tell("put the restored databases in place")
	if err := place.Swap(ctx, set.ID, p.Placements); err != nil {
		if holdfast.ClassOf(err) == holdfast.Refused {
			err = fmt.Errorf("nothing was changed: %w", err)
		}
		return report, err
	}
	built = nil
	report.Swapped, report.Took = true, time.Since(began)
	return report, nil
}

// idle refuses before the long work begins what the swap would refuse after it.
func idle(p Plan) error {
	var busy []string
	for _, placement := range p.Placements {
		if len(placement.Sessions) > 0 {
			busy = append(busy, fmt.Sprintf("%s by %s", placement.Where, strings.Join(placement.Sessions, ", ")))
		}
	}
	if len(busy) == 0 {
		return nil
	}
	return &holdfast.Problem{Class: holdfast.Refused, What: "in use: " + strings.Join(busy, "; "),
		Why: "A running participant or validator app would write into the database that is being replaced.",
		Do:  "Stop the validator app and the participant, close other sessions, and try again. To rehearse beside the running node: --only-prove."}
}
