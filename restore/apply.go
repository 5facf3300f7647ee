package restore

import (
	"context"
	"errors"
	"fmt"
	"holdfast/step"
	"holdfast/target"
	"slices"
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
	Serving bool           `json:"serving"` // the node's programs were started and are ready
	// Original is what was known of the original when the restored node was
	// started; nil where Holdfast started nothing.
	Original *step.Original `json:"original,omitempty"`
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
// it may be nil. Where the place is Living, the plan's Guard has been asked.
func Apply(ctx context.Context, place Target, p Plan, set holdfast.Set, files holdfast.Files, tell func(string)) (report Report, err error) {
	if tell == nil {
		tell = func(string) {}
	}
	report.Set = set.ID
	began := time.Now()
	defer func() { report.Took = time.Since(began) }()
	living, alive := place.(Living)
	if alive = alive && !p.OnlyProve; alive {
		if err := p.Guard(p.Standstill.Original.Statement); err != nil {
			return report, err
		}
		report.Original = &p.Standstill.Original
		p.Placements = slices.Clone(p.Placements)
		if err := halt(ctx, living, &p, set, tell); err != nil {
			return report, back(ctx, living, tell, fmt.Errorf("the databases were not touched: %w", err))
		}
	}
	if err := exchange(ctx, place, p, set, files, tell, &report); err != nil {
		if alive && !report.Swapped {
			err = back(ctx, living, tell, err)
		}
		return report, err
	}
	if !alive {
		return report, nil
	}
	if err := wake(ctx, living, p, set, tell); err != nil {
		report.Swapped = false
		return report, err
	}
	report.Serving = true
	return report, nil
}

// exchange builds every database, and puts all of them in place.
func exchange(ctx context.Context, place Target, p Plan, set holdfast.Set, files holdfast.Files, tell func(string), report *Report) (err error) {
	if locker, ok := place.(Locker); ok {
		unlock, err := locker.Lock(ctx)
		if err != nil {
			return err
		}
		defer unlock()
	}
	if !p.OnlyProve {
		if err := idle(p); err != nil {
			return err
		}
	}
	var built []target.Database
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
			return fmt.Errorf("nothing was changed: %w", err)
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
	if p.OnlyProve {
		return nil
	}
	tell("put the restored databases in place")
	if err := place.Swap(ctx, set.ID, p.Placements); err != nil {
		if holdfast.ClassOf(err) == holdfast.Refused {
			err = fmt.Errorf("nothing was changed: %w", err)
		}
		return err
	}
	built, report.Swapped = nil, true
	return nil
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
