package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"holdfast/restore"
	"holdfast/setup"
)

func newRestoreClean(a *app) *cobra.Command {
	var to []string
	var o restore.CleanOptions
	c := &cobra.Command{
		Use:   "clean [NAME]...",
		Short: "List, or drop by name, what restores left",
		Long: `Without names, list the databases that restores have left next to the live ones
and, of a node of Docker Compose, the volumes; with names, drop exactly those.
Nothing else can be dropped this way, and none that anybody is connected to. A
volume may have more in it than a set has: that is named, and such a volume is
dropped with --only-copies alone.`,
		Example: `  # what exists
  holdfast restore clean

  # drop one
  holdfast restore clean 'participant-4~before~20261122T154500Z-1f0c9a3e'`,
		RunE: func(cmd *cobra.Command, names []string) error {
			p, err := a.open()
			if err != nil {
				return err
			}
			return a.clean(cmd.Context(), p, to, names, o)
		},
	}
	c.Flags().StringArrayVar(&to, "to", nil, "COMPONENT=CONNECTION of another place that was restored to; repeatable")
	c.Flags().BoolVar(&o.OnlyCopies, "only-copies", false, "drop a volume although it has databases that are in no set")
	return c
}

func (a *app) clean(ctx context.Context, p *setup.Parts, to, names []string, o restore.CleanOptions) error {
	target, history, err := p.CleanTarget(ctx, to)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		if err := restore.Clean(ctx, target, history, names, o); err != nil {
			return err
		}
		return a.result("dropped", names, func() {
			for _, n := range names {
				a.printf("dropped %s\n", n)
			}
		})
	}
	list, unknown, err := restore.Leftovers(ctx, target, history)
	if err != nil {
		return err
	}
	if unknown != nil {
		_, _ = fmt.Fprintf(a.err, "Databases that restores have left are unknown: %s\n", lines(unknown.Error()))
	}
	return a.result("leftovers", atLeast(list), func() {
		a.printLeftovers(list)
		if len(list) > 0 {
			a.printf("\nTo drop one: holdfast restore clean '%s'\n", list[0].Name)
		}
	})
}
