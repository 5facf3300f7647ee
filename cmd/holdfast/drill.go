package main

import (
	"context"
	"errors"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"holdfast/drill"
	"holdfast/setup"
	"holdfast/size"
)

type drillFlags struct {
	keyFiles []string
	reports  string
	locale   string
	without  []string
	server   string
	boot     bool
	dryRun   bool
	yes      bool
}

func newDrill(a *app) *cobra.Command {
	var f drillFlags
	c := &cobra.Command{
		Use:   "drill [SET]",
		Short: "Rehearse a restore in a sandbox and report it",
		Long: `Restore a set into a Postgres server that is made for it, without a network, and
removed afterwards. Every row digest, every sequence, the facts and the order
are compared with the manifest, the sealed identities are looked at, and the
questions under "drill.checks" are run.

The server is made from the Postgres server programs of this machine, of the
set's major version or a later one, shut in: it has a network, processes, files
and, for root, an account of its own. Where there are none, or with --server
container, it runs in a Docker container without a network, from the image that
the node's own server ran from, or that "drill.image" names.

With --boot, the participant is then started on the restored database, from the
image that the set recorded or "drill.boot.image" names, in that container's
network, where there is nothing but the loopback. It has to say that it is who
the set says. Nothing else of the node is started.

Of a set of a provider's snapshots, the provider makes an instance of each: what
its databases say about themselves has to lie between the readings around the
snapshot. Then it is deleted. That costs money, so without --yes only the plan is
printed.

The result is remembered in the repository: other commands know which sets are
proven to restore and how long that takes. With --report, it is written as
text, JSON and one HTML page, each signed with the repository's key, whose
public part is printed.

SET is an ID, the beginning of one, its last eight digits, or "latest", the
newest proven set that is not in doubt, which is also the default.

Exit code 0 means that everything holds, 4 that something does not, 5 that
something is unknown, such as whether a network or a socket could be reached.`,
		Example: `  # weekly: rehearse the newest set, file the report
  holdfast drill --report /var/lib/holdfast/drills

  # what it needs
  holdfast drill --dry-run

  # after an upgrade: in containers, and start the participant as well
  holdfast drill --boot

  # open the identities as well
  holdfast drill 20261122T154500Z --identity-key /media/usb/recovery-key.txt`,
		Args: atMost(1, "one set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.ifInterrupted = "Nothing was left behind, and nothing is remembered of the drill."
			id := "latest"
			if len(args) == 1 {
				id = args[0]
			}
			return a.drill(cmd.Context(), id, f)
		},
	}
	c.Flags().StringArrayVar(&f.keyFiles, "identity-key", nil,
		"file with the recovery key, a share of one or an SSH private key, to open the identities; repeatable; "+
			"- for standard input")
	c.Flags().StringVar(&f.reports, "report", "", "directory to write the signed report to")
	c.Flags().StringVar(&f.locale, "locale", "", "make the databases with this locale instead of the recorded one")
	c.Flags().StringArrayVar(&f.without, "without", nil, "leave out an object that the sandbox lacks something for, such as 'extension pg_cron'; repeatable")
	c.Flags().StringVar(&f.server, "server", "", "local or container (default: local where the server programs are there)")
	c.Flags().BoolVar(&f.boot, "boot", false, "start the participant on the restored database, in a container, and ask it who it is")
	c.Flags().BoolVar(&f.yes, "yes", false, "for a provider's snapshots: make the instances, which cost money")
	c.Flags().BoolVarP(&f.dryRun, "dry-run", "n", false, "say what is needed and whether it is there")
	return c
}

func (a *app) drill(ctx context.Context, id string, f drillFlags) error {
	var keys []age.Identity
	if len(f.keyFiles) > 0 {
		var err error
		if keys, err = a.readKeys(f.keyFiles); err != nil {
			return err
		}
	}
	return a.withSource(ctx, id, func(p *setup.Parts, from setup.Source) error {
		set, files := from.Set, from.Files
		job, err := p.DrillJob(ctx, set, files, setup.DrillOptions{
			Keys: keys, Locale: f.locale, Without: f.without, Server: f.server, Boot: f.boot, DryRun: f.dryRun,
		})
		if err != nil {
			return err
		}
		plan, err := job.Plan(ctx, set, p.KnownDrills(ctx, from))
		if f.dryRun && plan.Room.Evidence != "" {
			if printErr := a.result("drill-plan", plan, func() { a.printDrillPlan(plan) }); printErr != nil {
				return printErr
			}
		}
		if err != nil || f.dryRun {
			return err
		}
		if set.KeptElsewhere() {
			if may, err := a.mayMake(plan, f.yes); !may {
				return err
			}
		}
		report, kept, err := p.Drill(ctx, job, plan, from, f.reports)
		if report == nil {
			return err
		}
		if printErr := a.result("drill", report, func() {
			a.printf("%s", short(string(report.Text())))
			if f.reports != "" && kept == nil {
				a.printf("\nWritten to %s, as text, JSON and HTML, each with its signature.\n", f.reports)
			}
		}); printErr != nil {
			return printErr
		}
		return errors.Join(err, kept)
	})
}

func (a *app) printDrillPlan(p drill.Plan) {
	a.printf("Set %s of node %s: %s, %s of databases\nThe server is made from %s\n%s\n", p.Set, p.Node, p.State, size.Of(p.Bytes), p.Place, p.Room.Evidence)
	if p.Estimate > 0 {
		a.printf("At the pace of the last drill the restore takes about %s.\n", span(p.Estimate))
	}
}
