package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/databases"
	"holdfast/repository"
	"holdfast/restore"
	"holdfast/setup"
	"holdfast/step"
)

type restoreFlags struct {
	components []string
	to         []string
	locale     string
	noOwner    bool
	yes        bool
	onlyProve  bool
	undo       bool
	unproven   bool

	originalStopped bool
	freshVolume     bool
}

func newRestore(a *app) *cobra.Command {
	var f restoreFlags
	c := &cobra.Command{
		Use:   "restore [SET]",
		Short: "Bring the node's databases back from a set",
		Long: `Print what a restore would do and what would be lost; with --yes, do it. Every
database is built under a new name beside the old one and proven row by row;
only then do they change places, by rename. The old ones stay, under names that
say which set replaced them, until "holdfast restore clean" drops them by name.

SET is an ID, the beginning of one, its last eight digits, or "latest", the
newest proven set, which is also the default. Stop the validator app and the
participant first: a database that anybody is connected to is not touched.

A node of Docker Compose is stopped and started by the restore itself: validator
app and participant stop, Postgres runs alone, and after the exchange the
participant starts, shows that it is the one of the set, and only then the
validator app. Containers that are missing, or were started with other flags,
are made again as the set recorded them. On any failure everything runs again
as it did before. If the set is of another machine, nothing starts until you
say that the original is stopped: --original-stopped. Where nothing of the node
is there yet, it is made from the set: files of the bundle that are missing,
networks, volumes, containers. A volume that Postgres cannot start on is kept
under another name, and an empty one takes its place.`,
		Example: `  # what would happen
  holdfast restore latest

  # rehearse beside the running node, then for real, then take it back
  holdfast restore latest --only-prove --yes
  holdfast restore latest --yes
  holdfast restore --undo --yes

  # one database, to another server
  holdfast restore latest --component participant --to participant=postgres://standby/participant --yes`,
		Args: atMost(1, "one set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.undo {
				if len(args) > 0 {
					return usageError(nil, fmt.Errorf("--undo takes no set: it undoes the newest restore"))
				}
				return a.undo(cmd.Context(), f)
			}
			a.ifInterrupted = "The live databases are as they were, or the restored ones are whole in their place: `holdfast restore clean` shows which."
			id := "latest"
			if len(args) == 1 {
				id = args[0]
			}
			return a.restore(cmd.Context(), id, f)
		},
	}
	c.Flags().BoolVar(&f.yes, "yes", false, "do it; without this only the plan is printed")
	c.Flags().StringSliceVar(&f.components, "component", nil, "only these components")
	c.Flags().StringArrayVar(&f.to, "to", nil, "COMPONENT=CONNECTION of another place to restore to; repeatable")
	c.Flags().StringVar(&f.locale, "locale", "", "make the databases with this locale instead of the recorded one")
	c.Flags().BoolVar(&f.noOwner, "no-owner", false, "everything belongs to the connecting user; for a server that lacks the owners' roles")
	c.Flags().BoolVar(&f.onlyProve, "only-prove", false, "build and prove beside the live databases, then drop what was built")
	c.Flags().BoolVar(&f.undo, "undo", false, "put the databases back that the newest restore replaced")
	c.Flags().BoolVar(&f.unproven, "accept-unproven", false, "take a set that nothing contradicts but nothing proves either")
	c.Flags().BoolVar(&f.originalStopped, "original-stopped", false, "the node that the set was taken of is stopped and cannot start again")
	c.Flags().BoolVar(&f.freshVolume, "fresh-volume", false, "for compose: keep the volume of Postgres aside, whatever is on it, and restore to an empty one; with --undo put it back")
	c.AddCommand(newRestoreClean(a))
	return c
}

func (a *app) restore(ctx context.Context, id string, f restoreFlags) error {
	return a.withRepository(ctx, func(p *setup.Parts, r *repository.Repository) error {
		set, files, err := p.Find(ctx, id)
		if err != nil {
			return err
		}
		place, databases, err := p.Destination(ctx, f.options(), set, files)
		if err != nil {
			return err
		}
		o := restore.Options{OnlyProve: f.onlyProve, Unproven: f.unproven}
		for _, name := range f.components {
			o.Components = append(o.Components, holdfast.ComponentName(name))
		}
		if err := f.covers(set, databases); err != nil {
			return err
		}
		if o.Drills, err = r.Drills(ctx, set.Node.Name); err != nil {
			return err
		}
		plan, err := restore.Make(ctx, place, set, o, time.Now())
		if err != nil {
			return err
		}
		refusal := plan.Guard(f.statement())
		if !f.yes {
			if !a.asks() {
				return a.result("restore-plan", plan, func() {
					a.printRestorePlan(plan)
					a.printf("\nNothing was done. Add --yes to do it.\n")
				})
			}
			a.printRestorePlan(plan)
			if refusal == nil && !a.confirm("Do all of this") {
				a.printf("Nothing was done.\n")
				return nil
			}
		} else if a.output == "text" {
			a.printRestoreHead(plan)
			a.printLosses(plan)
			a.printf("\n")
		}
		if refusal != nil {
			return refusal
		}
		report, err := restore.Apply(ctx, place, plan, set, files, newProgress(a).tell)
		if err != nil {
			return err
		}
		return a.result("restore-report", report, func() { a.printReport(report) })
	})
}

func (f restoreFlags) options() setup.RestoreOptions {
	return setup.RestoreOptions{To: f.to, Locale: f.locale, NoOwner: f.noOwner, FreshVolume: f.freshVolume}
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

// covers makes sure that --to and --component name the same components, and
// such as the set has: a restore to another place must not touch this one.
func (f restoreFlags) covers(set holdfast.Set, place databases.Target) error {
	if len(f.to) == 0 {
		return nil
	}
	var names []string
	for _, c := range set.Captures {
		names = append(names, string(c.Component))
	}
	for name := range place.Addresses {
		if !slices.Contains(names, string(name)) {
			return usageError(nil, fmt.Errorf("--to %s: set %s has no such component; it has %s", name, set.ID, strings.Join(names, ", ")))
		}
	}
	if len(f.components) > 0 {
		names = f.components
	}
	for _, name := range names {
		if _, ok := place.Addresses[holdfast.ComponentName(name)]; !ok {
			return usageError(nil, fmt.Errorf("--to names no place for %s: add --to %s=CONNECTION, or choose with --component", name, name))
		}
	}
	return nil
}

func (a *app) printRestorePlan(p restore.Plan) {
	a.printRestoreHead(p)
	if p.Standstill != nil {
		a.printPrograms(*p.Standstill)
	}
	for _, t := range p.Placements {
		a.printf("%s, %s\n", t.Component, t.Where)
		a.printf("  build   %s   (Postgres %d, about %s)\n", cmp.Or(t.New, "beside it"), t.Fit.Server.Major(), size(t.Fit.DatabaseBytes))
		a.printf("  prove   rows, sequences and facts against the manifest\n")
		switch {
		case p.OnlyProve:
			a.printf("  drop    %s\n", t.New)
			continue
		case t.Unseen != "":
			a.printf("  keep    %s, if it is there\n", t.Database)
		case t.Live:
			a.printf("  keep    %s as %s   (%s)\n", t.Database, t.Keep, size(t.Bytes))
		}
		a.printf("  rename  %s to %s\n", cmp.Or(t.New, "what was built"), t.Database)
		for _, s := range t.Sessions {
			if p.Standstill != nil {
				break // they end when the node is halted; whoever stays is named then
			}
			a.printf("  IN USE  by %s: stop it first\n", s)
		}
	}
	a.printf("\n")
	if p.Estimate > 0 {
		a.printf("At the pace of the last drill this takes about %s.\n", span(p.Estimate))
	}
	a.printLosses(p)
}

func (a *app) printRestoreHead(p restore.Plan) {
	a.printf("Set %s of node %s: %s, taken %s, %s ago\n\n", p.Set, p.Node, p.State, when(p.Taken), span(p.Age))
}

func (a *app) printLosses(p restore.Plan) {
	a.printf("What the live node has and the set does not:\n")
	if len(p.Losses) == 0 && len(p.Untold) == 0 {
		a.printf("  nothing that can be seen\n")
	}
	for _, l := range p.Losses {
		a.printf("  - %s\n", l)
	}
	for _, u := range p.Untold {
		a.printf("  ? %s; what it had since the set was taken cannot be told\n", u)
	}
	for _, w := range p.Warnings {
		a.printf("Warning: %s\n", short(w))
	}
}

func (a *app) printReport(r restore.Report) {
	rows := [][]string{{"COMPONENT", "DATABASE", "TABLES", "ROWS", "TOOK", "KEPT AS"}}
	for _, d := range r.Done {
		rows = append(rows, []string{string(d.Component), d.Database, fmt.Sprint(d.Tables), fmt.Sprint(d.Rows), span(d.Took), d.Kept})
	}
	a.table(rows)
	if !r.Swapped {
		a.printf("\nProven: every table, sequence and fact of set %s came back equal. The live databases were not touched.\n", r.Set)
		return
	}
	if r.Serving {
		a.printf("\nRestored, proven and serving in %s.\n", span(r.Took))
	} else {
		a.printf("\nRestored and proven in %s. Start the participant first, look at its identity, then the validator app.\n", span(r.Took))
	}
	for _, d := range r.Done {
		if d.Kept != "" {
			a.printf("To go back: holdfast restore --undo --yes. When all is well, holdfast restore clean lists what can be dropped.\n")
			return
		}
	}
}

// printPrograms says what happens to the node's programs.
func (a *app) printPrograms(s step.Standstill) {
	rows := [][]string{{"PROGRAM", "CONTAINER", "NOW", "WHAT HAPPENS"}}
	for _, p := range s.Programs {
		var acts []string
		for _, act := range p.Acts {
			acts = append(acts, string(act))
		}
		what := strings.Join(acts, ", ")
		if len(acts) == 0 {
			what = "nothing"
		}
		if p.Why != "" {
			what += ": " + p.Why
		}
		rows = append(rows, []string{cmp.Or(p.Role, "-"), p.Name, p.State, what})
	}
	a.table(rows)
	a.printParts(s.Parts)
	if s.Original.Verdict == holdfast.Holds {
		a.printf("No second copy: %s.\n", strings.Join(s.Original.Evidence, "; "))
	} else {
		a.printf("A second copy may run: %s.\n", strings.Join(s.Original.Evidence, "; "))
	}
	a.printf("\n")
}

// printParts says what the programs need that is not there, or not fit.
func (a *app) printParts(parts []step.Part) {
	if len(parts) == 0 {
		return
	}
	a.printf("\n")
	rows := [][]string{{"PART", "NAME", "WHAT HAPPENS"}}
	for _, p := range parts {
		what := string(p.Act)
		if p.As != "" {
			what += " " + map[step.PartAct]string{step.AsidePart: "as " + p.As + "; an empty one takes its place", step.BesidePart: "as " + p.As}[p.Act]
		}
		if p.Why != "" {
			what += ": " + p.Why
		}
		rows = append(rows, []string{string(p.Kind), p.Name, what})
	}
	a.table(rows)
	a.printf("\n")
}

func (a *app) undo(ctx context.Context, f restoreFlags) error {
	p, err := a.open()
	if err != nil {
		return err
	}
	if !f.yes {
		list, err := a.leftovers(ctx, p, f.to)
		if err != nil {
			return err
		}
		return a.result("leftovers", atLeast(list), func() {
			a.printLeftovers(list)
			a.printf("\n--undo puts those back that were live before the newest restore.\nNothing was done. Add --yes to do it.\n")
		})
	}
	moves, err := p.Undo(ctx, f.options())
	if err != nil {
		return err
	}
	return a.result("moves", atLeast(moves), func() { a.printMoves(moves) })
}

func (a *app) printMoves(moves []databases.Move) {
	for _, m := range moves {
		a.printf("%s is now %s\n", m.From, m.To)
	}
}

// atLeast makes JSON of no elements an empty list.
func atLeast[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
