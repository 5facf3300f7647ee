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

// Grace is how old a snapshot of an unknown set has to be before it is swept: far
// longer than any run, and long enough for somebody to notice a repository that
// lost sets.
const Grace = 7 * 24 * time.Hour

// Sets are those of a repository: the ones it has, all of them, and the ones that
// were dropped from it on purpose.
type Sets struct{ There, Dropped map[holdfast.SetID]bool }

// Decide says which snapshots of a node belong to no set. One whose set was dropped
// goes at once. One whose set is unknown, because a run was killed, goes after
// Grace: the repository may have lost the set.
func Decide(all []Snapshot, node holdfast.NodeName, sets Sets, now time.Time) []Fate {
	var out []Fate
	for _, s := range all {
		of, set, ours := s.Owner()
		f := Fate{Snapshot: s, Set: set}
		switch age := now.Sub(set.Began()); {
		case !ours:
			f.Why = "Holdfast did not make it"
		case of != node:
			f.Why = "it is of node " + string(of)
		case sets.There[set]:
			f.Why = "set " + string(set) + " refers to it"
		case sets.Dropped[set]:
			f.Delete, f.Why = true, "set "+string(set)+" was dropped"
		case age < Grace:
			f.Why = fmt.Sprintf("no set refers to it, and it is younger than %v", Grace)
		default:
			f.Delete, f.Why = true, "no set refers to it"
		}
		out = append(out, f)
	}
	return out
}

// Sweep deletes what was decided to be deleted, and goes on where one cannot be. It
// returns what is deleted, also with an error.
func Sweep(ctx context.Context, shelf Shelf, fates []Fate) (deleted []Fate, err error) {
	var failures []error
	for _, f := range fates {
		if !f.Delete {
			continue
		}
		if err := shelf.Delete(ctx, f.Snapshot.Name); err != nil {
			failures = append(failures, fmt.Errorf("delete snapshot %s: %w", f.Snapshot.Name, err))
			continue
		}
		deleted = append(deleted, f)
	}
	return deleted, errors.Join(failures...)
}
