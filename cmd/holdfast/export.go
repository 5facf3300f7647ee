package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/export"
	"holdfast/setup"
	"holdfast/size"
)

type exportFlags struct {
	sql       bool
	component string
	owners    bool
	unproven  bool
}

func newExport(a *app) *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use:   "export SET DIR",
		Short: "Take a set out of the repository, for a restore without Holdfast",
		Long: `Write the files of a set into a new directory, with a script that restores them
by psql and pg_restore alone; or, with --sql, one component as SQL for psql to
standard output. SET is as for "holdfast show".

What is exported is not encrypted, and a participant's database holds private
keys: the files are readable for their owner alone, and should not stay.`,
		Example: `  # files, and a restore without Holdfast
  holdfast export latest /mnt/usb/set
  /mnt/usb/set/restore.sh participant 'host=db dbname=participant-4'

  # one database, without files in between
  holdfast export --sql --component participant latest | psql -X -v ON_ERROR_STOP=1 -d participant-4`,
		Args: func(_ *cobra.Command, args []string) error {
			if f.sql {
				return exactly(1, "one set")(nil, args)
			}
			return exactly(2, "a set and a directory")(nil, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(a); err != nil {
				return err
			}
			ctx := cmd.Context()
			return a.withSource(ctx, args[0], func(p *setup.Parts, from setup.Source) error {
				if f.sql {
					return a.exportSQL(ctx, p, from, f)
				}
				report, err := export.Files(ctx, from.Set, from.Files, args[1], export.Options{Events: p.Events})
				if err != nil {
					return err
				}
				return a.result("export", report, func() { a.printExport(from.Set, report) })
			})
		},
	}
	c.Flags().BoolVar(&f.sql, "sql", false, "write one component as SQL to standard output")
	c.Flags().StringVar(&f.component, "component", "", "with --sql: which component")
	c.Flags().BoolVar(&f.owners, "owners", false, "with --sql: keep owners and grants; the roles have to exist where it is restored")
	c.Flags().BoolVar(&f.unproven, "accept-unproven", false, "with --sql: take a set that is not proven")
	return a.readsThePast(c)
}

func (f exportFlags) check(a *app) error {
	switch out, _ := a.whole.out.(*os.File); {
	case !f.sql && (f.component != "" || f.owners || f.unproven):
		return usageError(nil, errors.New("--component, --owners and --accept-unproven go with --sql; files are always exported whole"))
	case !f.sql:
		return nil
	case f.component == "":
		return usageError(nil, errors.New("--component: say which component's SQL is wanted"))
	case a.output == "json":
		return usageError(nil, errors.New("--sql writes SQL to standard output, which cannot be JSON as well"))
	case out != nil && term.IsTerminal(int(out.Fd())):
		return usageError(nil, errors.New("--sql writes a whole database to standard output: redirect it, or pipe it to psql"))
	}
	return nil
}

func (a *app) exportSQL(ctx context.Context, p *setup.Parts, from setup.Source, f exportFlags) error {
	pg := export.Postgres{Script: postgres.Tools{Dir: p.Config.Tools}.Script, Rows: postgres.TextRows}
	return export.SQL(ctx, from.Set, holdfast.ComponentName(f.component), from.Files, a.whole.out, pg,
		export.SQLOptions{Owners: f.owners, Unproven: f.unproven, Events: p.Events})
}

func (a *app) printExport(set holdfast.Set, r export.Report) {
	a.printf("Exported set %s of node %s into %s: %s, %s.\n", set.ID, set.Node.Name, r.Dir, count(r.Files, "file"), size.Of(r.Bytes))
	a.printf("It is not encrypted, and holds private keys: remove it when it has served.\n")
	if set.State != holdfast.Proven {
		a.printf("The set is %s: restore.sh refuses it without --accept; _problems.txt says why.\n", set.State)
	}
	a.printf("\nEach component goes into an empty database, without Holdfast:\n")
	for _, c := range set.Parts() {
		a.printf("  %s/restore.sh %s 'host=... dbname=...'\n", r.Dir, c.Component)
	}
}
