package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/cycle"
	"holdfast/internal/printable"
	"holdfast/setup"
)

func newCloudRehearse(a *app) *cobra.Command {
	var o setup.CycleOptions
	var yes, clean bool
	c := &cobra.Command{
		Use:   "rehearse",
		Short: "Try the whole cycle in your account, with an instance that is made for it",
		Long: `Make a small instance of RDS in your account, with two databases that look like a
node's; take a set of snapshots of it, lift the set out, restore it, compare
every row; look at what RDS says of all this, next to what its documentation
says; and delete everything. The configured instance is not touched.

By its project, nothing of Holdfast was ever run against Amazon RDS: its tests
run against a stand-in that was made from the documentation. This command shows
whether that is how your account behaves, and what a cycle takes there.

It costs money: two instances for an hour or two. The plan says how much, at the
prices in rds.prices of holdfast.yaml, and nothing is done without --yes. Network,
version and certificate authority are those of the configured instance, unless
flags name others.

Everything is deleted, whatever happens. What is still being made when the
command is interrupted or killed cannot be deleted yet: the next rehearsal deletes
it, --clean does so alone, and so does retention after 24 hours.

Exit code 0 means that every row came back and RDS does what it says, 4 that it
does not, 5 that something could not be judged.`,
		Example: `  # what it would make, and what that costs
  holdfast cloud rehearse

  # do it, and keep the report
  holdfast cloud rehearse --yes -o json >rehearsal.json

  # delete what an interrupted one has left
  holdfast cloud rehearse --clean`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.ifInterrupted = "What could not be deleted at once is left, and costs. To delete it: " +
				"`holdfast cloud rehearse --clean`."
			if clean {
				return a.cleanCycles(cmd.Context())
			}
			return a.cloudRehearse(cmd.Context(), o, yes)
		},
	}
	const leastGB = 20
	f := c.Flags()
	f.StringVar(&o.Class, "class", "db.t4g.micro", "of the instance")
	f.IntVar(&o.GB, "storage", leastGB, "GB of it, of type gp3")
	f.StringVar(&o.Version, "postgres", "", "version (default: that of the configured instance)")
	f.StringVar(&o.Subnets, "subnet-group", "", "name (default: that of the configured instance)")
	f.StringArrayVar(&o.SecurityGroups, "security-group", nil,
		"ID; repeatable (default: those of the configured instance)")
	f.BoolVar(&clean, "clean", false, "only delete what earlier rehearsals have left")
	f.BoolVar(&yes, "yes", false, "do it; without this only the plan is printed")
	return c
}

func (a *app) cleanCycles(ctx context.Context) error {
	return a.with(ctx, func(p *setup.Parts) error {
		removed, err := p.CleanCycles(ctx)
		if printErr := a.result("dropped", atLeast(removed), func() {
			for _, what := range removed {
				a.printf("Deleted: %s\n", what)
			}
			if len(removed) == 0 && err == nil {
				a.printf("Nothing is left.\n")
			}
		}); printErr != nil {
			return printErr
		}
		return err
	})
}

func (a *app) cloudRehearse(ctx context.Context, o setup.CycleOptions, yes bool) error {
	return a.with(ctx, func(p *setup.Parts) error {
		job, err := p.Cycle(ctx, o)
		if err != nil {
			return err
		}
		switch {
		case !yes && !a.asks():
			return a.result("cloud-rehearsal", cycle.Report{Plan: job.Plan, Holdfast: version}, func() {
				a.printCyclePlan(job.Plan)
				a.printf("\nNothing was made. Add --yes to do it.\n")
			})
		case !yes:
			a.printCyclePlan(job.Plan)
			if !a.confirm("Make and delete all this") {
				a.printf("Nothing was made.\n")
				return nil
			}
		case a.output == "text":
			a.printCyclePlan(job.Plan)
			a.printf("\n")
		}
		report, err := job.Run(ctx)
		report.Holdfast = version
		if printErr := a.result("cloud-rehearsal", report, func() { a.printCycle(report) }); printErr != nil {
			return printErr
		}
		return err
	})
}

func (a *app) printCyclePlan(p cycle.Plan) {
	a.printf("By its project, nothing of Holdfast was run against Amazon RDS. This does, in %s:\n", p.Region)
	for i, s := range p.Steps {
		a.printf("  %d. %s\n", i+1, s)
	}
	a.printf("\nInstance %s: %s, %d GB, Postgres %s", p.Instance, p.Class, p.GB, p.Version)
	if p.Subnets != "" {
		a.printf(", subnet group %s", p.Subnets)
	}
	if len(p.SecurityGroups) > 0 {
		a.printf(", security groups %s", strings.Join(p.SecurityGroups, " "))
	}
	a.printf(". It is not public.\n")
	if p.Like != "" {
		a.printf("Version and network are those of %s, which is not touched, unless flags name others.\n", p.Like)
	}
	for _, what := range p.Left {
		a.printf("An earlier rehearsal has left %s. If one is running now, it fails.\n", what)
	}
	a.printf("\nExpected: %s. That was not measured. It is %s: %s.\n", span(p.Takes), p.Expected, p.ExpectedSum)
	a.printf("At most, if it is killed and retention deletes the rest after a day: %s: %s.\n", p.Most, p.MostSum)
	if len(p.ExpectedSum.Unknown) > 0 {
		a.printf("To have it in money, write rds.prices in holdfast.yaml (docs/cloud.md).\n")
	}
}

func (a *app) printCycle(r cycle.Report) {
	rows := [][]string{{"STEP", "TOOK", "RESULT"}}
	for _, s := range r.Steps {
		result := "done"
		if s.Error != "" {
			result = "failed"
		}
		rows = append(rows, []string{s.What, span(s.Took), result})
	}
	a.table(rows)
	a.printf("\nEach claim of RDS's documentation, or of ours where it is silent, and what was seen:\n")
	for _, c := range r.Claims {
		a.printf("%-8s %s\n         %s\n", holdsOrNot(c.Verdict), printable.Cell(c.Claim), printable.Cell(c.Seen))
	}
	a.printf("\nIt took %s and used at most %s: %s.\n", span(r.Took.Round(time.Second)), r.Used, r.Sum)
	for _, what := range r.Removed {
		a.printf("Deleted at the end: %s\n", what)
	}
	if r.Left != "" {
		a.printf("Left: %s\n", r.Left)
	}
	a.printf("The rehearsal: %s\n", r.Verdict)
}

// holdsOrNot says of a claim whether what was seen is what is claimed.
func holdsOrNot(v holdfast.Verdict) string {
	switch v {
	case holdfast.Holds:
		return "yes"
	case holdfast.Violated:
		return "NO"
	}
	return "unknown"
}
