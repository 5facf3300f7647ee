package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/retention"
	"holdfast/setup"
	"holdfast/size"
)

func newRetention(a *app) *cobra.Command {
	var yes bool
	var o upkeepFlags
	c := &cobra.Command{
		Use:   "retention",
		Short: "Drop the sets that no rule keeps",
		Long: `Show which sets of the configured node the rules of "retention:" keep and
which they drop, and why. With --yes, drop them, and maintain the repository:
what no set needs any more is given back.

Space comes back late, on purpose. A backup that is under way may be about to
use what a dropped set has left, so bytes have to be found unneeded twice, hours
apart, by a full maintenance. With one a day they are gone within a week.

With --yes alone it drops at most half of the sets, and nothing while the time is
in doubt: a database server's clock differs, or ten cadences ("check.cadence")
have passed without a set. With --force it does.

A second copy has a retention of its own: "keep:" of its place in "copies:", or
else the rules of "retention:". --copy PLACE shows or applies it there.

Without rules nothing is ever dropped. The newest proven set, the newest that a
drill has restored, and pinned sets stay whatever the rules say.`,
		Example: `  # what would go, and why
  holdfast retention

  # from cron, after the backups of the day
  holdfast retention --yes --wait 30m --output json

  # in the second copy on a disk, by its own rules
  holdfast retention --copy /mnt/usb/holdfast --yes`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withRetention(cmd.Context(), o, func(_ *setup.Parts, job retention.Job) error {
				ctx := cmd.Context()
				if !yes {
					plan, err := job.Plan(ctx)
					if err != nil {
						return err
					}
					return a.result("retention-plan", plan, func() { a.printRetention(plan, "`holdfast retention --yes` drops them.") })
				}
				return a.reported(job.Apply(ctx, o.maintain()))
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it")
	o.add(c)
	c.AddCommand(newPin(a), newUnpin(a), newPins(a), newDrop(a))
	return c
}

// upkeepFlags are the flags of what changes the history.
type upkeepFlags struct {
	wait  time.Duration
	mode  string
	force bool
	copy  string
}

func (o *upkeepFlags) add(c *cobra.Command) {
	c.Flags().DurationVar(&o.wait, "wait", 0, "how long to wait for another process that drops sets or maintains the repository")
	c.Flags().StringVar(&o.mode, "maintenance", "auto", "auto: fully if sets were dropped or once a day, else quickly; full; none")
	c.Flags().StringVar(&o.copy, "copy", "", "of the second copy in this place, by its own rules")
	c.Flags().BoolVar(&o.force, "force", false, "although the time or the number of sets is in doubt")
}

func (o *upkeepFlags) maintain() bool { return o.mode != "none" }

// second is the second copy that is meant; zero for the repository.
func (o *upkeepFlags) second() (place.Place, error) {
	if o.copy == "" {
		return place.Place{}, nil
	}
	return setup.PlaceOf("--copy", o.copy)
}

// withRetention runs fn with what retention of the configured node needs.
func (a *app) withRetention(ctx context.Context, o upkeepFlags, fn func(*setup.Parts, retention.Job) error) error {
	if o.mode != "auto" && o.mode != "full" && o.mode != "none" {
		return usageError(nil, errors.New("--maintenance: want auto, full or none"))
	}
	a.ifInterrupted = "Sets are dropped all together or not at all. What was not given back is given back by the next maintenance."
	second, err := o.second()
	if err != nil {
		return err
	}
	options := setup.RetentionOptions{Wait: o.wait, Full: o.mode == "full", Copy: second}
	return a.with(ctx, func(p *setup.Parts) error {
		job, err := p.Retention(ctx, options)
		if err != nil {
			return err
		}
		job.Force = o.force
		return fn(p, job)
	})
}

// reported prints what was done, also when an error ended it.
func (a *app) reported(report retention.Report, err error) error {
	if err != nil && len(report.Dropped) == 0 {
		return err
	}
	return errors.Join(a.result("retention-report", report, func() { a.printDropped(report) }), err)
}

func (a *app) printRetention(p retention.Plan, next string) {
	if len(p.Sets) == 0 {
		a.printf("Node %s has no sets.\n", p.Node)
		return
	}
	rows := [][]string{{"SET", "STATE", "AGE", "", "WHY"}}
	for _, d := range p.Sets {
		rows = append(rows, []string{string(d.Set), string(d.State), span(p.Now.Sub(d.At)), map[bool]string{true: "keep", false: "drop"}[d.Keep], d.Because()})
	}
	a.table(rows)
	for _, g := range p.Gaps {
		a.printf("Gap: the ledger's history between %s and %s is in no set: they are %s apart, the participant pruned after %s\n", g.From, g.To, span(g.Apart), span(g.Window))
	}
	n := len(p.Dropped())
	switch {
	case !p.Policy.Drops() && n == 0:
		a.printf("\nThe configuration has no retention:, so nothing is dropped.\n")
	case n == 0:
		a.printf("\nAll %s are kept.\n", count(len(p.Sets), "set"))
	case len(p.Doubts) > 0:
		a.printf("\nOf %s, %d would be dropped, but only with --force: %s.\n", count(len(p.Sets), "set"), n, strings.Join(p.Doubts, "; "))
	default:
		a.printf("\nOf %s, %d would be dropped. %s\n", count(len(p.Sets), "set"), n, next)
	}
}

func (a *app) printDropped(r retention.Report) {
	for _, id := range r.Dropped {
		d, _ := r.Plan.Of(id)
		a.printf("Dropped %s: %s\n", id, d.Because())
	}
	a.printf("%s dropped, %d kept.\n", count(len(r.Dropped), "set"), len(r.Plan.Sets)-len(r.Dropped))
	if r.Maintenance != nil {
		a.printMaintenance(*r.Maintenance)
	}
}

func (a *app) printMaintenance(u record.Maintenance) {
	a.printf("Maintenance: %s; %s.\n", u.Mode, u.Why)
	for _, run := range u.Running {
		a.printf("  under way: %s\n", run)
	}
	if u.Mode == "none" {
		return
	}
	a.printf("Stored: %s before, %s now", size.Of(u.Before), size.Of(u.After))
	if u.Freed() > 0 {
		a.printf("; %s given back", size.Of(u.Freed()))
	}
	a.printf(".\n")
	if u.NotBefore != nil {
		a.printf("%s were found to belong to no set. What was found so for the first time is given back by the second full maintenance from now at the earliest, and not before %s; with one a day, within a week.\n",
			size.Of(u.Unneeded), when(*u.NotBefore))
	}
	if u.Young > 0 {
		a.printf("%s belong to no set, but are less than a day old: a backup that is under way may need them.\n", size.Of(u.Young))
	}
}

func newDrop(a *app) *cobra.Command {
	var yes bool
	var o upkeepFlags
	c := &cobra.Command{
		Use:   "drop SET...",
		Short: "Drop sets by name",
		Long: `Drop the named sets whatever the rules say, a damaged one for instance, which
keeps the repository from being maintained. The newest proven set, the newest
that a drill has restored, and pinned sets are refused. Without --yes it shows
what would go.`,
		Example: `  # show what would go
  holdfast retention drop 20261122T154500Z-1f0c9a3e

  # drop two sets; what they needed is given back by later maintenance
  holdfast retention drop 1f0c9a3e 77d0e2b1 --yes`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(nil, errors.New("want at least one set"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRetention(cmd.Context(), o, func(p *setup.Parts, job retention.Job) error {
				ctx := cmd.Context()
				second, err := o.second()
				if err != nil {
					return err
				}
				ids, err := named(ctx, p, second, args)
				if err != nil {
					return err
				}
				if yes {
					return a.reported(job.ApplyTo(ctx, o.maintain(), ids...))
				}
				plan, err := job.Plan(ctx)
				if err == nil {
					plan, err = plan.Naming(ids...)
				}
				if err != nil {
					return err
				}
				return a.result("retention-plan", plan, func() { a.printRetention(plan, "With --yes they are.") })
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it")
	o.add(c)
	return c
}

// named are the IDs of the sets that the arguments name.
func named(ctx context.Context, p *setup.Parts, second place.Place, args []string) ([]holdfast.SetID, error) {
	var ids []holdfast.SetID
	for _, arg := range args {
		id, err := p.Match(ctx, second, arg)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func newPin(a *app) *cobra.Command {
	var reason, until string
	c := &cobra.Command{
		Use:   "pin SET --reason TEXT --until WHEN",
		Short: "Keep a set whatever the rules say, until a day",
		Long: `Keep a set whatever the rules say. A pin has a reason and an end: the end of a
day in UTC (2027-01-31), a time (2027-01-31T12:00:00Z), or a time from now (36h,
90d, 8w). Pinning a set again changes its pin.`,
		Example: `  # for an audit
  holdfast retention pin latest --reason audit-2026 --until 2027-03-31

  # until the upgrade has proven itself
  holdfast retention pin 1f0c9a3e --reason upgrade --until 30d`,
		Args: exactly(1, "one set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRepository(cmd.Context(), func(p *setup.Parts, r *repository.Repository) error {
				now := time.Now()
				end, err := setup.PinEnd(until, now)
				if err == nil && strings.TrimSpace(reason) == "" {
					err = errors.New("--reason: say why, for whoever finds the pin")
				}
				if err != nil {
					return usageError(nil, err)
				}
				node := p.Node.Name
				id, err := p.Match(cmd.Context(), place.Place{}, args[0])
				if err != nil {
					return err
				}
				r.Patience = setup.PinPatience
				if err := r.Pin(cmd.Context(), record.Pin{Set: id, Node: node, Reason: reason, Until: end, Made: now.UTC().Round(time.Second), By: setup.Who()}); err != nil {
					return err
				}
				p.Audit(cmd.Context(), record.PinnedSet, fmt.Sprintf("%s until %s: %s", id, end.Format(time.DateOnly), reason))
				return a.listPins(cmd.Context(), r, node)
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why")
	c.Flags().StringVar(&until, "until", "", "a day, a time, or a time from now")
	return c
}

func newUnpin(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "unpin SET",
		Short: "Take a set's pin away",
		Example: `  # the audit is over
  holdfast retention unpin 1f0c9a3e

  # of the newest proven set
  holdfast retention unpin latest`,
		Args: exactly(1, "one set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRepository(cmd.Context(), func(p *setup.Parts, r *repository.Repository) error {
				node := p.Node.Name
				id, err := p.Match(cmd.Context(), place.Place{}, args[0])
				if err != nil {
					return err
				}
				r.Patience = setup.PinPatience
				if err := r.Unpin(cmd.Context(), node, id); err != nil {
					return err
				}
				p.Audit(cmd.Context(), record.UnpinnedSet, string(id))
				return a.listPins(cmd.Context(), r, node)
			})
		},
	}
}

func newPins(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "pins",
		Short: "List the pins",
		Example: `  # of the configured node
  holdfast retention pins

  # for a program
  holdfast retention pins --output json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withRepository(cmd.Context(), func(p *setup.Parts, r *repository.Repository) error {
				return a.listPins(cmd.Context(), r, p.Node.Name)
			})
		},
	}
}

func (a *app) listPins(ctx context.Context, r *repository.Repository, node holdfast.NodeName) error {
	pins, err := r.Pins(ctx, node)
	if err != nil {
		return err
	}
	if pins == nil {
		pins = []record.Pin{}
	}
	return a.result("pins", pins, func() {
		if len(pins) == 0 {
			a.printf("No set of node %s is pinned.\n", node)
			return
		}
		rows := [][]string{{"SET", "UNTIL", "BY", "REASON"}}
		for _, p := range pins {
			until := when(p.Until)
			if !p.HoldsAt(time.Now()) {
				until += " (over)"
			}
			rows = append(rows, []string{string(p.Set), until, p.By, p.Reason})
		}
		a.table(rows)
	})
}
