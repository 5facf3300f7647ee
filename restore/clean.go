package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast"
	"holdfast/step"
)

// Leftovers are the databases and volumes that restores have left. Where the
// databases' server does not answer, the volumes are listed all the same, and
// unknown says why.
func Leftovers(ctx context.Context, t Target, history History) (list []step.Leftover, unknown, err error) {
	var volumes []step.Leftover
	if t.Programs != nil {
		if volumes, err = t.Programs.Leftovers(ctx); err != nil {
			return nil, nil, err
		}
	}
	list, err = history.Leftovers(ctx)
	if err != nil && len(volumes) > 0 && ctx.Err() == nil {
		unknown, err = err, nil
	}
	return append(list, volumes...), unknown, err
}

// Clean drops leftovers by their names: the databases first. All of them are
// known to be leftovers before the first is dropped.
func Clean(ctx context.Context, t Target, history History, names []string) error {
	list, unknown, err := Leftovers(ctx, t, history)
	if err != nil {
		return err
	}
	var databases, volumes []step.Leftover
	for _, name := range names {
		i := slices.IndexFunc(list, func(l step.Leftover) bool { return l.Name == name })
		switch {
		case i < 0 && unknown != nil:
			return errors.Join(notLeft(name), unknown)
		case i < 0:
			return notLeft(name)
		case list[i].Volume != "":
			volumes = append(volumes, list[i])
		default:
			databases = append(databases, list[i])
		}
	}
	if err := history.Remove(ctx, databases); err != nil {
		return err
	}
	for _, v := range volumes {
		if err := t.Programs.Remove(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

func notLeft(name string) error {
	return &holdfast.Problem{
		Class: holdfast.Refused, What: fmt.Sprintf("%s is not a database or volume that a restore left", name),
		Why: "Only what a restore made or moved is dropped.", Do: "`holdfast restore clean` lists them.",
	}
}
