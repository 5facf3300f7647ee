package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/record"
	"holdfast/restore"
	"holdfast/setup"
)

type restoreFlags struct {
	setup.RestoreOptions
	restore.Options

	components      []string
	yes             bool
	originalStopped bool
}

func newRestore(a *app) *cobra.Command {
	var f restoreFlags
	c := &cobra.Command{
		Use:   "restore [SET]",
		Short: "Bring the node's databases back from a set",
		Long: `Print every step of a restore and what would be lost; with --yes, do exactly
those steps. Every database is built under a new name next to the old one and
proven row by row; only then do they change places, by rename. The old ones
stay, under names that say which set replaced them, until "holdfast restore
clean" drops them by name. If a step fails, those before it are taken back.

SET is an ID, the beginning of one, its last eight digits, or "latest", the
newest proven set that is not in doubt, which is also the default. Stop the
validator app and the participant first: a database that anybody is connected
to is not touched.

A node of Docker Compose is stopped and started by the restore itself: validator
app and participant stop, Postgres runs alone, and after the exchange the
participant starts, shows that it is the one of the set, and only then the
validator app. Containers that are missing, or were started with other flags,
are made again as the set recorded them. If the set is of another machine,
nothing starts until you say that the original is stopped: --original-stopped.
Where nothing of the node exists, it is made from the set: files of the bundle,
networks, volumes, containers. A volume that Postgres cannot start on is kept
under another name, and an empty one takes its place.

A node in Kubernetes, with kube.namespace in the configuration, is stopped and
started in the same way: the validator app and the participant are scaled to
zero and back. Their databases are closed until it is their turn, so that whoever
scales them up meanwhile does no harm. Where nothing of the node is in the
namespace, as in a new cluster, the databases are made, and what you type to make
the rest is printed: "holdfast restore watch" looks on until the node serves. Where
the cluster had Postgres too, that is typed first, and the restore waits for it.

A set of a provider's snapshots comes back as new instances next to the live
ones, set up as those are and proven by what their databases say about
themselves. Then it says what to change so that the node uses them. With
--rename they take the names of the old ones instead, which are kept under
other names: every address stays.`,
		Example: `  # what would happen
  holdfast restore latest

  # for real, then take it back
  holdfast restore latest --yes
  holdfast restore undo --yes

  # one database, to another server
  holdfast restore latest --component participant --to participant=postgres://standby/participant --yes`,
		Args: atMost(1, "one set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.ifInterrupted = "Run the same command again to resume, or `holdfast restore undo` to roll back."
			return a.restore(cmd.Context(), latestOr(args), f)
		},
	}
	f.common(c)
	c.Flags().BoolVar(&f.originalStopped, "original-stopped", false, "the node that the set was taken of is stopped and cannot start again")
	c.Flags().BoolVar(&f.FreshVolume, "fresh-volume", false, "for compose: keep the volume of Postgres, whatever is on it, and restore to an empty one")
	c.Flags().BoolVar(&f.Rename, "rename", false, "for a provider's snapshots: the new instances take the names of the old ones")
	c.AddCommand(newRestoreUndo(a), newRestoreRehearse(a), newRestoreClean(a), newRestoreWatch(a))
	return a.readsThePast(c)
}

func newRestoreWatch(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "watch [SET]",
		Short: "Wait until a node in Kubernetes serves that was lost with its namespace",
		Long: `Wait until a node in Kubernetes serves whose databases were restored into a new
namespace or cluster, and whose programs you install: until the participant's
database has the identity of the set, both programs use the restored databases,
and both have a pod that is ready. It ends with an error where the database has
another identity, or none. It changes nothing, and may be interrupted and begun
again.

SET is the one that was restored: an ID, the beginning of one, its last eight
digits, or "latest", which is also the default.`,
		Example: `  # after the lines that the restore has printed
  holdfast restore watch

  # for a program
  holdfast restore watch --output json`,
		Args: atMost(1, "one set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.ifInterrupted = "Nothing was changed. Run the same command again to go on watching."
			return a.withSource(cmd.Context(), latestOr(args), func(p *setup.Parts, from setup.Source) error {
				participant, files, err := p.WatchRestored(cmd.Context(), from.Set)
				if err != nil {
					return err
				}
				serves := "the node serves as " + participant
				return a.result("findings", []setup.Finding{setup.Found("restore", serves, nil)}, func() {
					a.printf("Restored: %s.\n", serves)
					if files != "" {
						a.printf("\nRemove %s, which may hold passwords: rm -r %s\n", files, files)
					}
					a.printf("\nNext: holdfast backup\n")
				})
			})
		},
	}
}

func newRestoreRehearse(a *app) *cobra.Command {
	f := restoreFlags{Options: restore.Options{OnlyProve: true}}
	c := &cobra.Command{
		Use:   "rehearse [SET]",
		Short: "Build and prove a set next to the live databases, then drop it",
		Long: `Print every step of a rehearsal; with --yes, do it. Every database is built
under a new name next to the live one, proven row by row, and dropped. The
node's programs run on, and the live databases are not touched. It needs the
room of the databases. Where there is none, "holdfast drill" rehearses on a
server of its own.`,
		Example: `  # what would happen
  holdfast restore rehearse latest

  # do it, next to the running node
  holdfast restore rehearse latest --yes`,
		Args: atMost(1, "one set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.ifInterrupted = "The live databases are as they were; `holdfast restore clean` lists what was built."
			return a.restore(cmd.Context(), latestOr(args), f)
		},
	}
	f.common(c)
	return a.readsThePast(c)
}

// common are the flags of a restore and of its rehearsal.
func (f *restoreFlags) common(c *cobra.Command) {
	c.Flags().BoolVar(&f.yes, "yes", false, "do it; without this only the plan is printed")
	c.Flags().StringSliceVar(&f.components, "component", nil, "only these components")
	c.Flags().StringArrayVar(&f.To, "to", nil, "COMPONENT=CONNECTION of another place to restore to; repeatable")
	c.Flags().StringVar(&f.Locale, "locale", "", "make the databases with this locale instead of the recorded one")
	c.Flags().BoolVar(&f.NoOwner, "no-owner", false, "everything belongs to the connecting user; for a server that lacks the owners' roles")
	c.Flags().StringArrayVar(&f.Without, "without", nil, "leave out an object, by the name that the plan has for it, such as 'event trigger note'; repeatable")
	c.Flags().BoolVar(&f.Unproven, "accept-unproven", false, "take a set that nothing contradicts but nothing proves either")
}

// latestOr is the set that was named, or the newest.
func latestOr(args []string) string {
	if len(args) == 1 {
		return args[0]
	}
	return "latest"
}

func (a *app) restore(ctx context.Context, id string, f restoreFlags) error {
	return a.withSource(ctx, id, func(p *setup.Parts, from setup.Source) error {
		set, files := from.Set, from.Files
		for _, name := range f.components {
			f.Components = append(f.Components, holdfast.ComponentName(name))
		}
		f.Only, f.Rehearse = f.Components, f.OnlyProve
		target, there, err := p.RestoreTarget(ctx, f.RestoreOptions, set, files)
		if err != nil {
			return err
		}
		if err := f.Covers(set, f.components, there); err != nil {
			return err
		}
		if err := f.Leaves(set, f.components); err != nil {
			return err
		}
		f.Drills = p.KnownDrills(ctx, from)
		f.Doubts = from.KnownDoubts(ctx)
		plan, err := restore.Make(ctx, target, set, f.Options, time.Now())
		if err != nil {
			return err
		}
		if ok, err := a.agreed(&plan, f); !ok {
			return err
		}
		report, err := restore.Apply(ctx, target, plan, set, files, a.listener())
		if !f.OnlyProve {
			p.Audit(ctx, record.Restored, restored(set.ID, err))
		}
		if err != nil {
			return a.changed(err)
		}
		repoint, unasked := p.Repoint(ctx, target, report, f.OnlyProve)
		report.Repoint = repoint
		if err := a.result("restore-report", report, func() { a.printReport(report) }); err != nil {
			return err
		}
		return unasked // what was restored is said all the same
	})
}

// restored is what the audit trail says of a restore.
func restored(set holdfast.SetID, err error) string {
	if err != nil {
		return fmt.Sprintf("set %s, which did not end well: %v", set, err)
	}
	return "set " + string(set)
}

// agreed prints the plan, and reports whether it may be carried out.
func (a *app) agreed(plan *restore.Plan, f restoreFlags) (bool, error) {
	refusal := plan.Guard(f.statement())
	switch {
	case f.yes && a.output == "text":
		a.printRestoreHead(*plan)
		if !plan.OnlyProve {
			a.printLosses(*plan)
			a.printf("\n")
		}
	case f.yes:
	case !a.asks():
		blocked := plan.Blocked()
		err := a.result("restore-plan", plan, func() {
			a.printRestorePlan(*plan)
			if blocked == nil {
				a.printf("\nNothing was done. Add --yes to do it.\n")
			}
		})
		return false, errors.Join(err, blocked)
	default:
		a.printRestorePlan(*plan)
		if refusal == nil && !a.confirm("Do all of this") {
			a.printf("Nothing was done.\n")
			return false, nil
		}
	}
	return refusal == nil, refusal
}

// changed prints the plan that has taken the place of the one that was
// confirmed.
func (a *app) changed(err error) error {
	var plan *restore.ChangedError
	var undo *restore.UndoChangedError
	switch {
	case errors.As(err, &plan):
		_ = a.result("restore-plan", plan.Plan, func() { a.printRestorePlan(plan.Plan) })
	case errors.As(err, &undo):
		_ = a.result("undo-plan", undo.Plan, func() { a.printSteps(undo.Plan.Steps) })
	}
	return err
}

// statement is the operator's word that the original is stopped, and who gave
// it; "" without one.
func (f restoreFlags) statement() string {
	if !f.originalStopped {
		return ""
	}
	host, _ := os.Hostname()
	return fmt.Sprintf("%s on %s, %s", os.Getenv("USER"), host, time.Now().UTC().Format(time.RFC3339))
}

func newRestoreUndo(a *app) *cobra.Command {
	var o setup.RestoreOptions
	var yes bool
	c := &cobra.Command{
		Use:   "undo",
		Short: "Take the newest restore back",
		Long: `Print every step that takes the newest restore back; with --yes, do exactly
those steps. The databases that the restore replaced get their names back, and
the restored ones are kept as undone. An interrupted restore is taken back from
where it was. An undo that was interrupted goes on with the same command.

A node of Docker Compose or in Kubernetes is stopped and started as far as that
needs; a program that has nothing to undo is not touched. Of other nodes, stop the validator app
and the participant first.`,
		Example: `  # what would happen
  holdfast restore undo

  # do it
  holdfast restore undo --yes`,
		Args: atMost(0, "no set: it undoes the newest restore"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.ifInterrupted = "Run `holdfast restore undo --yes` again to go on."
			return a.undo(cmd.Context(), o, yes)
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it; without this only the plan is printed")
	c.Flags().StringArrayVar(&o.To, "to", nil, "COMPONENT=CONNECTION of another place that was restored to; repeatable")
	c.Flags().BoolVar(&o.FreshVolume, "fresh-volume", false, "for compose: put the volume back that a restore has kept, without asking the databases")
	return c
}

func (a *app) undo(ctx context.Context, o setup.RestoreOptions, yes bool) error {
	p, err := a.open()
	if err != nil {
		return err
	}
	target, history, err := p.UndoTarget(ctx, o)
	if err != nil {
		return err
	}
	plan, err := restore.MakeUndo(ctx, target, history, restore.UndoOptions{Volume: o.FreshVolume}, time.Now())
	if err != nil {
		return err
	}
	if !yes && !a.asks() {
		return a.result("undo-plan", plan, func() {
			a.printUndoPlan(plan)
			a.printf("\nNothing was done. Add --yes to do it.\n")
		})
	}
	if a.output == "text" {
		a.printUndoPlan(plan)
	}
	if !yes && !a.confirm("Do all of this") {
		a.printf("Nothing was done.\n")
		return nil
	}
	moves, err := restore.Undo(ctx, target, history, plan, a.listener())
	if err == nil {
		p.Audit(ctx, record.Undone, "the newest restore")
	}
	if err != nil {
		return a.changed(err)
	}
	return a.result("moves", moves, func() { a.printMoves(moves) })
}
