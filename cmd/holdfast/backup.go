package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/backup"
	"holdfast/observed"
	"holdfast/place"
	"holdfast/setup"
	"holdfast/size"
)

func newBackup(a *app) *cobra.Command {
	var dryRun, full, rows bool
	var wait time.Duration
	c := &cobra.Command{
		Use:   "backup",
		Short: "Take one proven set of the node",
		Long: `Take one set: the identities first, then every database, the validator app's
before the participant's. The set is stored encrypted, proven to be in order
from the clock and from its contents, and read back.

Rows that did not change since the last set are not read again: they are taken
over from it, by a rule that is exact. Each is read at least every dump.reread.

A provider's snapshots stay in its account. With --dump the rows of such
databases are read into the repository; "holdfast run" does it once a week.

Exit code 0 means a proven set. 3 means that the set is stored but something
the proof needs is missing. 4 means that rows changed without a transaction:
the set is read in full and stored, and earlier ones are in doubt.`,
		Example: `  # what would be read, in which order, how long it may take
  holdfast backup --dry-run

  # from cron: wait for a run that is still going, print nothing unless it fails
  holdfast backup --wait 30m --quiet`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.ifInterrupted = "No set was published. What was stored is found again by the next run."
			return a.with(cmd.Context(), func(p *setup.Parts) error {
				take := p.Backup
				if rows {
					take = p.BackupOfRows
				}
				return take(cmd.Context(), wait, func(ctx context.Context, job backup.Job) error {
					job.Full = full
					if dryRun {
						return a.planBackup(ctx, job)
					}
					return a.backup(ctx, p, job)
				})
			})
		},
	}
	c.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "look at everything, capture nothing")
	c.Flags().BoolVar(&full, "full", false, "read every row, take nothing over from the last set")
	c.Flags().BoolVar(&rows, "dump", false, "dump every database, those too whose snapshots a provider takes")
	c.Flags().BoolVarP(&a.quiet, "quiet", "q", false, "print nothing of a set that is proven, other than what --output json asks for")
	c.Flags().DurationVar(&wait, "wait", 0, "how long to wait for another run of this node to end")
	return c
}

func (a *app) planBackup(ctx context.Context, job backup.Job) error {
	plan, err := job.Plan(ctx)
	if err != nil {
		return err
	}
	return a.result("backup-plan", plan, func() { a.printPlan(plan) })
}

func (a *app) backup(ctx context.Context, p *setup.Parts, job backup.Job) error {
	set, err := job.Run(ctx)
	if set.ID == "" {
		return err
	}
	printErr := a.result("set", set, func() {
		switch {
		case !a.quiet || err != nil:
			a.printSet(set)
		case set.LacksIdentities():
			a.say("holdfast: set %s has no identities: %s\n", set.ID, backup.NoIdentities{})
		}
	})
	if err == nil && printErr == nil && len(p.Config.Copies) > 0 {
		return a.copySet(ctx, p)
	}
	if printErr != nil {
		return printErr
	}
	return err
}

// copySet sends a set that is proven to the second copies.
func (a *app) copySet(ctx context.Context, p *setup.Parts) error {
	list, err := p.SendCopies(ctx, place.Place{})
	if !a.quiet && a.output == "text" {
		a.printSent(list)
	}
	return err
}

func (a *app) printPlan(p backup.Plan) {
	a.printf("Node %s would be captured in this order:\n\n", p.Node)
	rows := [][]string{{"STAGE", "COMPONENT", "POSTGRES", "TABLES", "SIZE", "FOUND"}}
	for i, stage := range p.Stages {
		for _, o := range stage {
			rows = append(rows, []string{fmt.Sprint(i + 1), string(o.Component), strings.Fields(o.Postgres)[0], fmt.Sprint(len(o.Tables)), size.Of(o.Bytes), o.Found})
		}
	}
	a.table(rows)
	for _, stage := range p.Stages {
		for _, o := range stage {
			a.printLargest(o)
			a.printLeftOut(o.Component, o.LeftOut)
		}
	}
	if p.Last == nil {
		a.printf("\nThere is no set of this node yet, so there is no pace to estimate the time by.\n")
		return
	}
	a.printf("\nThe last proven set is %s, of %s. At its pace this would take about %s.\n", p.Last.ID, when(p.Last.Ended), span(p.Estimate))
}

// printLeftOut lists what a capture does not carry; a database may have very
// much of one sort.
func (a *app) printLeftOut(name holdfast.ComponentName, list []holdfast.LeftOut) {
	const most = 10
	for i, l := range list {
		if i == most {
			a.printf("Left out of %s: %d more; --output json lists them\n", name, len(list)-most)
			return
		}
		a.printf("Left out of %s: %s: %s\n", name, l.Name, l.Reason)
	}
}

// printLargest lists the tables that make up most of a database.
func (a *app) printLargest(o observed.Outlook) {
	const most = 5
	tables := largest(o.Tables, most)
	if len(tables) == 0 {
		return
	}
	a.printf("\nLargest tables of %s:\n", o.Component)
	rows := [][]string{}
	for _, t := range tables {
		rows = append(rows, []string{"  " + t.Name, size.Of(t.Bytes), t.Format})
	}
	a.table(rows)
}
