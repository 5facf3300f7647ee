package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"holdfast/capture/postgres"
	"holdfast/databases"
	"holdfast/node/compose"
)

func newRestoreClean(a *app) *cobra.Command {
	var to []string
	c := &cobra.Command{
		Use:   "clean [NAME]...",
		Short: "List, or drop by name, what restores left",
		Long: `Without names, list the databases that restores have left beside the live ones
and, of a node of Docker Compose, the volumes; with names, drop exactly those.
Nothing else can be dropped this way, and none that anybody is connected to.`,
		Example: `  # what is there
  holdfast restore clean

  # drop one
  holdfast restore clean 'participant-4~before~20261122T154500Z-1f0c9a3e'`,
		RunE: func(cmd *cobra.Command, names []string) error {
			conf, err := a.load()
			if err != nil {
				return err
			}
			w := wiring{conf, newProgress(a)}
			if len(names) > 0 {
				return a.clean(cmd.Context(), w, to, names)
			}
			list, err := a.leftovers(cmd.Context(), w, to)
			if err != nil {
				return err
			}
			return a.result("leftovers", atLeast(list), func() {
				a.printLeftovers(list)
				if len(list) > 0 {
					a.printf("\nTo drop one: holdfast restore clean '%s'\n", list[0].Name)
				}
			})
		},
	}
	c.Flags().StringArrayVar(&to, "to", nil, "COMPONENT=CONNECTION of another place that was restored to; repeatable")
	return c
}

// keptVolumes are the volumes that restores of a compose node have put aside.
func (w wiring) keptVolumes(ctx context.Context, to []string) (*compose.Engine, []compose.Kept, error) {
	if w.Compose == nil || len(to) > 0 {
		return nil, nil, nil
	}
	n, err := w.compose(ctx)
	if err != nil {
		return nil, nil, err
	}
	list, err := n.Engine.Kept(ctx, n.Project)
	return n.Engine, list, err
}

// leftovers are the databases and volumes that restores have left. Where the
// databases cannot be asked, the volumes are there all the same.
func (a *app) leftovers(ctx context.Context, w wiring, to []string) ([]databases.Leftover, error) {
	_, volumes, err := w.keptVolumes(ctx, to)
	if err != nil {
		return nil, err
	}
	place, err := w.place(ctx, to, postgres.LoadOptions{})
	if err != nil {
		return nil, err
	}
	list, err := place.Leftovers(ctx)
	if err != nil && len(volumes) > 0 && ctx.Err() == nil {
		_, _ = fmt.Fprintf(a.err, "The databases cannot be asked what restores have left among them: %s\n", lines(err.Error()))
		err = nil
	}
	for _, v := range volumes {
		list = append(list, databases.Leftover{Label: databases.Label{Role: databases.Role(v.Role), Set: v.Set, At: v.At}, Name: v.Name, Bytes: v.Bytes, Volume: v.Of})
	}
	return list, err
}

// clean drops what is named: the volumes among it after the databases, of
// which all are known to be leftovers before the first is dropped.
func (a *app) clean(ctx context.Context, w wiring, to, names []string) error {
	engine, volumes, err := w.keptVolumes(ctx, to)
	if err != nil {
		return err
	}
	var databases []string
	var chosen []compose.Kept
	for _, name := range names {
		if i := slices.IndexFunc(volumes, func(k compose.Kept) bool { return k.Name == name }); i >= 0 {
			chosen = append(chosen, volumes[i])
		} else {
			databases = append(databases, name)
		}
	}
	if len(databases) > 0 {
		place, err := w.place(ctx, to, postgres.LoadOptions{})
		if err != nil {
			return err
		}
		if err := place.Drop(ctx, databases); err != nil {
			return err
		}
	}
	for _, k := range chosen {
		if err := engine.Forget(ctx, k); err != nil {
			return err
		}
	}
	return a.result("dropped", names, func() {
		for _, n := range names {
			a.printf("dropped %s\n", n)
		}
	})
}

func (a *app) printLeftovers(list []databases.Leftover) {
	if len(list) == 0 {
		a.printf("Restores have left nothing.\n")
		return
	}
	is := map[databases.Role]string{databases.New: "built, never in place", databases.Before: "live until the set replaced it", databases.Undone: "restored, and taken back"}
	rows := [][]string{{"DATABASE", "COMPONENT", "SIZE", "WHAT IT IS"}}
	for _, l := range list {
		bytes := "-"
		if l.Bytes >= 0 {
			bytes = size(l.Bytes)
		}
		what := is[l.Role]
		if l.Volume != "" {
			what = "the volume " + l.Volume + ", " + what
		}
		rows = append(rows, []string{l.Name, cmp.Or(string(l.Component), "all"), bytes, what})
	}
	a.table(rows)
}
