package main

import (
	"context"

	"github.com/spf13/cobra"

	"holdfast/drill"
	"holdfast/setup"
)

func newCloud(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "cloud",
		Short: "Read the snapshots that a provider keeps, and try out the provider",
		Args:  subcommand,
		RunE:  help,
	}
	c.AddCommand(newCloudLift(a), newCloudRehearse(a))
	return c
}

func newCloudLift(a *app) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "lift [SET]",
		Short: "Read the rows of a provider's snapshots into the repository",
		Long: `Print which instances are made of the snapshots of a set, and what they cost;
with --yes, make them, prove that they have what the set recorded, dump their
databases into the repository, and delete them. The live instances are not
read.

What is stored is a set of rows like any other, of the moment of the snapshots.
It is not lost with the provider's account. The proof is remembered as a drill of
the set of snapshots.

SET is an ID, the beginning of one, its last eight digits, or "latest", the
newest proven set of snapshots, which is also the default.

The instances have labels and a time after which retention deletes them. They are
deleted whatever happens; after a kill, the next lift or drill does it.

Exit code 0 means that the rows are stored, proven, and nothing is left. 4 means
that the snapshots do not have what the set recorded.`,
		Example: `  # which instances would be made
  holdfast cloud lift

  # from cron, weekly
  holdfast cloud lift --yes`,
		Args: atMost(1, "one set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.ifInterrupted = "No set was published. What was made is deleted; if that failed, by the next lift or drill."
			return a.cloudLift(cmd.Context(), latestOr(args), yes)
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it; without this only the plan is printed")
	return c
}

func (a *app) cloudLift(ctx context.Context, id string, yes bool) error {
	return a.with(ctx, func(p *setup.Parts) error {
		l, err := p.Lift(ctx, id)
		if err != nil {
			return err
		}
		if may, err := a.mayMake(l.Plan, yes); !may {
			return err
		}
		set, _, err := l.Run(ctx)
		if set.ID == "" {
			return err
		}
		if printErr := a.result("set", set, func() { a.printSet(set) }); printErr != nil {
			return printErr
		}
		if err == nil && len(p.Config.Copies) > 0 {
			return a.copySet(ctx, p)
		}
		return err
	})
}

// mayMake prints which instances a drill makes of snapshots, and reports whether it
// may: they cost money.
func (a *app) mayMake(plan drill.Plan, yes bool) (bool, error) {
	switch {
	case yes && a.output == "text":
		a.printDrillPlan(plan)
		a.printf("\n")
	case yes:
	case !a.asks():
		return false, a.result("drill-plan", plan, func() {
			a.printDrillPlan(plan)
			a.printf("\nNothing was done. Add --yes to do it.\n")
		})
	default:
		a.printDrillPlan(plan)
		if !a.confirm("Make and delete them") {
			a.printf("Nothing was done.\n")
			return false, nil
		}
	}
	return true, nil
}
