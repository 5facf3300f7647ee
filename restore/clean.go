package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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

// CleanOptions say what may be dropped besides.
type CleanOptions struct {
	OnlyCopies bool // a volume that has something which no set has
}

// Clean drops leftovers by their names: the databases first. All of them are
// known to be leftovers before the first is dropped. A volume with something in
// it that no set has is dropped with the operator's word alone.
func Clean(ctx context.Context, t Target, history History, names []string, o CleanOptions) error {
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
		case len(list[i].Beside) > 0 && !o.OnlyCopies:
			return onlyCopy(list[i])
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
		Class: holdfast.Refused, What: cmp.Or(name, "''") + " is not a database or volume that a restore left",
		Why: "Only what a restore made or moved is dropped.", Do: "`holdfast restore clean` lists them.",
	}
}

func onlyCopy(l step.Leftover) error {
	return &holdfast.Problem{
		Class: holdfast.Refused, What: fmt.Sprintf("volume %s also has what no set has: %s", l.Name, strings.Join(l.Beside, "; ")),
		Why: "It may be the only copy. Nothing was dropped.",
		Do: "Copy out what is still needed. Then drop the volume with it: " +
			"`holdfast restore clean --only-copies '" + l.Name + "'`.",
	}
}
