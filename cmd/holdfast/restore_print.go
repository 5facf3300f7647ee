package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"holdfast"
	"holdfast/restore"
	"holdfast/size"
	"holdfast/step"
)

func (a *app) printRestorePlan(p restore.Plan) {
	a.printRestoreHead(p)
	a.printSteps(p.Steps)
	a.printf("\n")
	for _, t := range p.Databases {
		a.printf("%s, %s: ", t.Component, t.Where)
		if t.Live {
			a.printf("%s now, ", size.Of(t.Bytes))
		}
		a.printf("about %s are built (Postgres %d)\n", size.Of(t.Fit.DatabaseBytes), t.Fit.Server.Major())
		for _, d := range t.Fit.Differences {
			if d.Blocks {
				a.printf("  BLOCKS: %s\n", short(d.What))
			}
		}
		for _, o := range t.Obstacles {
			// A session may be that of a program that the restore stops; whoever stays is named then.
			if !p.OnlyProve && (p.Original == nil || o.PID == 0) {
				a.printf("  IN USE by %s: stop it first: %s\n", o.What, o.Remedy())
			}
		}
	}
	if o := p.Original; o != nil && o.Verdict == holdfast.Holds {
		a.printf("No second copy: %s.\n", strings.Join(o.Evidence, "; "))
	} else if o != nil {
		a.printf("A second copy may run: %s.\n", strings.Join(o.Evidence, "; "))
	}
	if p.Estimate > 0 {
		a.printf("At the pace of the last drill this takes about %s.\n", span(p.Estimate))
	}
	a.printf("\n")
	if !p.OnlyProve {
		a.printLosses(p)
	}
	if len(p.Install) > 0 {
		a.printf("\nNothing of the node is there. Holdfast makes its databases; what makes the rest again, you type:\n")
		a.printInstalls(p.Install)
	}
}

// printInstalls prints what is typed, and when.
func (a *app) printInstalls(list []step.Part) {
	for i, in := range list {
		when := ""
		if in.First {
			when = ", before the databases are made; the restore waits for it"
		} else if i > 0 && list[i-1].First {
			a.printf("\nWhen the databases are there:\n")
		}
		a.printf("\n%s%s:\n\n%s", in.Of, when, in.Lines)
	}
}

func (a *app) printRestoreHead(p restore.Plan) {
	a.printf("Set %s of node %s: %s, taken %s, %s ago\n\n", p.Set, p.Node, p.State, when(p.Taken), span(p.Age))
}

func (a *app) printLosses(p restore.Plan) {
	a.printf("This restore would lose:\n")
	if len(p.Losses) == 0 && len(p.Unknown) == 0 {
		a.printf("  nothing that can be seen\n")
	}
	for _, l := range p.Losses {
		a.printf("  - %s\n", l)
	}
	for _, u := range p.Unknown {
		a.printf("  ? %s\n", u)
	}
	for _, w := range p.Warnings {
		a.printf("Warning: %s\n", short(w))
	}
}

// printSteps prints a list of steps: those of the programs and those of the
// databases in groups.
func (a *app) printSteps(steps []step.Step) {
	rows := [][]string{{"", "STEP", "OBJECT", "DETAIL"}}
	of := func(s step.Step) bool {
		return s.Kind == step.Database || s.Kind == step.Server || s.Kind.Rented()
	}
	for i, s := range steps {
		if i > 0 && of(s) != of(steps[i-1]) {
			rows = append(rows, []string{"", "", "", ""})
		}
		details := []string{s.Detail()}
		name := fmt.Sprintf("%s %s", s.Kind, s.Name)
		if s.Kind == step.Server {
			name, details = "databases", nil
			for _, m := range s.Moves {
				details = append(details, step.Step{Kind: step.Server, Moves: []step.Move{m}}.Detail())
			}
		}
		switch {
		case s.Kind.Rented() && (s.Act == step.Build || s.Act == step.Reuse):
			details[0] += ", and prove what " + s.Of + " says about itself"
		case s.Act == step.Build:
			details[0] += ", and prove it row by row"
		}
		if s.Why != "" {
			details[0] = strings.TrimPrefix(details[0]+": "+s.Why, ": ")
		}
		rows = append(rows, []string{fmt.Sprint(i + 1), string(s.Act), name, details[0]})
		for _, d := range details[1:] {
			rows = append(rows, []string{"", "", "", d})
		}
	}
	a.table(rows)
}

func (a *app) printReport(r restore.Report) {
	rows := [][]string{{"COMPONENT", "DATABASE", "TABLES", "ROWS", "TOOK", "PREVIOUS"}}
	for _, d := range r.Done {
		rows = append(rows, []string{
			string(d.Component), d.Database, fmt.Sprint(d.Tables), fmt.Sprint(d.Rows), span(d.Took), d.Previous,
		})
		if d.Instance != "" { // nobody has counted its rows
			copy(rows[len(rows)-1][1:], []string{d.Instance, "-", "-"})
		}
	}
	a.table(rows)
	if slices.ContainsFunc(r.Done, func(d restore.Done) bool { return d.Instance != "" }) {
		a.printInstances(r)
		return
	}
	for _, d := range r.Done {
		if len(d.Without) > 0 {
			a.printf("\nLeft out of %s, as you said: %s.\n", d.Component, strings.Join(d.Without, ", "))
		}
	}
	if !r.Swapped {
		a.printf("\nProven: every table, sequence and fact of set %s came back equal. The live databases were not touched.\n", r.Set)
		return
	}
	if len(r.Install) > 0 {
		a.printf("\nRestored and proven in %s. Type, in this order:\n", span(r.Took))
		a.printInstalls(r.Install)
		a.printf("\nThen look on until the node serves:\n\n  holdfast restore watch %s\n", r.Set)
		return
	}
	if r.Serving {
		a.printf("\nRestored, proven and serving in %s.\n", span(r.Took))
	} else {
		a.printf("\nRestored and proven in %s. Start the participant first, look at its identity, then the validator app.\n", span(r.Took))
	}
	for _, d := range r.Done {
		if d.Previous != "" {
			a.printf("To go back: holdfast restore undo. When all is well, holdfast restore clean lists what can be dropped.\n")
			return
		}
	}
}

// printInstances says what became of a provider's snapshots, and what is left to do.
func (a *app) printInstances(r restore.Report) {
	a.printf("\nProven: what each database says about itself lies between the readings around the snapshots of set %s.\n", r.Set)
	switch {
	case len(r.Repoint) > 0:
		a.printf("The node still uses the old instances. To have it use the new ones:\n")
		for i, what := range r.Repoint {
			a.printf("  %d. %s\n", i+1, what)
		}
	case !r.Swapped:
		a.printf("The live instances were not touched.\n")
	case r.Serving:
		a.printf("Restored and serving in %s. To go back: holdfast restore undo.\n", span(r.Took))
	default:
		a.printf("Restored in %s. Start the participant first, look at its identity, then the validator app.\n", span(r.Took))
		a.printf("To go back: holdfast restore undo.\n")
	}
}

func (a *app) printUndoPlan(p restore.UndoPlan) {
	what := "the newest restore"
	if p.Interrupted {
		what = "the interrupted restore"
	}
	a.printf("Take back %s, of set %s:\n\n", what, p.Set)
	if len(p.Steps) == 0 {
		a.printf("It has changed nothing.\n")
		return
	}
	a.printSteps(p.Steps)
}

func (a *app) printMoves(moves []step.Move) {
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

func (a *app) printLeftovers(list []step.Leftover) {
	if len(list) == 0 {
		a.printf("Restores have left nothing.\n")
		return
	}
	is := map[step.Role]string{
		step.New: "built, never in place", step.Previous: "live until the set replaced it", step.Undone: "restored, and taken back",
		step.Rehearsal: "left by a backup that was killed while it tried a schema",
		step.Naming:    "left by a restore that was killed before it had any rows",
	}
	rows := [][]string{{"DATABASE", "COMPONENT", "SIZE", "WHAT IT IS"}}
	for _, l := range list {
		bytes := "-"
		if l.Bytes >= 0 {
			bytes = size.Of(l.Bytes)
		}
		what := is[l.Role]
		if l.Proof != nil {
			what = fmt.Sprintf("built and proven: `holdfast restore %s` goes on with it", l.Set)
		}
		if l.Instance && l.Role == step.New {
			what = fmt.Sprintf("made of a snapshot of set %s, not in place of %s", l.Set, l.Database)
		}
		if l.Volume != "" {
			what = "the volume " + l.Volume + ", " + what
		}
		for _, s := range l.Slots {
			what += ", with replication slot " + s
		}
		rows = append(rows, []string{l.Name, cmp.Or(string(l.Component), "all"), bytes, what})
	}
	a.table(rows)
	for _, l := range list {
		for _, what := range l.Beside {
			a.printf("Only in %s, as far as is known, and in no set: %s\n", l.Name, what)
		}
	}
}
