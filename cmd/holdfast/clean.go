package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"holdfast/databases"
	"holdfast/setup"
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
			p, err := a.open()
			if err != nil {
				return err
			}
			if len(names) > 0 {
				return a.clean(cmd.Context(), p, to, names)
			}
			list, err := a.leftovers(cmd.Context(), p, to)
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

// leftovers are what restores have left; databases that cannot be looked at are
// said.
func (a *app) leftovers(ctx context.Context, p *setup.Parts, to []string) ([]databases.Leftover, error) {
	list, unseen, err := p.Leftovers(ctx, to)
	if unseen != nil {
		_, _ = fmt.Fprintf(a.err, "The databases cannot be asked what restores have left among them: %s\n", lines(unseen.Error()))
	}
	return list, err
}

func (a *app) clean(ctx context.Context, p *setup.Parts, to, names []string) error {
	if err := p.Clean(ctx, to, names); err != nil {
		return err
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
