package snapshot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast"
)

// Fate is what becomes of a snapshot in an account, and why.
type Fate struct {
	Snapshot Snapshot
	Set      holdfast.SetID // "" for one that is not ours
	Delete   bool
	Why      string
}

// Grace is how old a snapshot without a set has to be before it is swept: longer
// than any run that may still be going to seal its set.
const Grace = 24 * time.Hour

// Decide says which snapshots of a node belong to no set. Sets are those that the
// repository has, all of them: a snapshot of a set that was left out of the list
// would be deleted.
func Decide(all []Snapshot, node holdfast.NodeName, sets map[holdfast.SetID]bool, now time.Time) []Fate {
	var out []Fate
	for _, s := range all {
		of, set, ours := s.Owner()
		f := Fate{Snapshot: s, Set: set}
		switch age := now.Sub(set.Began()); {
		case !ours:
			f.Why = "Holdfast did not make it"
		case of != node:
			f.Why = "it is of node " + string(of)
		case sets[set]:
			f.Why = "set " + string(set) + " refers to it"
		case age < Grace:
			f.Why = fmt.Sprintf("it belongs to no set yet, and is younger than %v", Grace)
		default:
			f.Delete, f.Why = true, "no set refers to it"
		}
		out = append(out, f)
	}
	return out
}

// Sweep deletes what was decided to be deleted, and goes on where one cannot be.
func Sweep(ctx context.Context, shelf Shelf, fates []Fate) error {
	var failures []error
	for _, f := range fates {
		if !f.Delete {
			continue
		}
		if err := shelf.Delete(ctx, f.Snapshot.Name); err != nil {
			failures = append(failures, fmt.Errorf("delete snapshot %s: %w", f.Snapshot.Name, err))
		}
	}
	return errors.Join(failures...)
}
