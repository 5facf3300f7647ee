package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/observed"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/setup"
	"holdfast/size"
)

func newList(a *app) *cobra.Command {
	var state string
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the stored sets",
		Long: `List the sets of the configured node, oldest first, with what each is worth, and
why retention keeps or drops it.`,
		Example: `  # only those that a restore takes
  holdfast list --state proven

  # of every node in the repository, for a program
  holdfast list --all-nodes --output json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(p *setup.Parts) error {
				if state != "" && !slices.Contains(states, state) {
					return usageError(nil, fmt.Errorf("--state: want one of %s", strings.Join(states, ", ")))
				}
				node := p.Node.Name
				if all {
					node = ""
				}
				if interrupted := p.Interrupted(); interrupted != nil {
					a.warn(interrupted)
				}
				entries, err := p.Sets(cmd.Context(), node)
				if err != nil {
					return err
				}
				copies := tally(entries)
				entries = slices.DeleteFunc(entries, func(e repository.Entry) bool { return state != "" && string(e.State) != state })
				if entries == nil {
					entries = []repository.Entry{}
				}
				return a.result("sets", entries, func() {
					a.printSets(entries, time.Now())
					for _, c := range copies {
						a.printf("Copy: %s\n", c)
					}
					a.printf("%s", withoutIdentities(p))
				})
			})
		},
	}
	c.Flags().StringVar(&state, "state", "", "only sets in this state: "+strings.Join(states, ", "))
	c.Flags().BoolVar(&all, "all-nodes", false, "sets of every node in the repository")
	return a.readsThePast(c)
}

var states = []string{string(holdfast.Proven), string(holdfast.Unproven), string(holdfast.Misordered), string(holdfast.Mismatched)}

// tally counts how the sets stand in the copies.
func tally(entries []repository.Entry) []record.CopyTally {
	sets := make([]record.Set, len(entries))
	for i, e := range entries {
		sets[i] = e.Set
	}
	return record.TallyCopies(sets)
}

func (a *app) printSets(entries []repository.Entry, now time.Time) {
	if len(entries) == 0 {
		a.printf("No such sets. `holdfast backup` takes one.\n")
		return
	}
	copies := len(entries[0].InCopies)
	head := []string{"SET", "NODE", "STATE", "AGE", "TOOK", "SIZE", "FILES"}
	if copies > 0 {
		head = append(head, "COPIES")
	}
	rows := [][]string{append(head, "RETENTION")}
	for _, e := range entries {
		row := []string{
			string(e.ID), string(e.Node), string(e.State), span(now.Sub(e.Ended)), span(e.Ended.Sub(e.Began)),
			size.Of(e.Bytes), fmt.Sprint(e.Files),
		}
		if copies > 0 {
			row = append(row, fmt.Sprintf("%d of %d", len(e.Copies), copies))
		}
		rows = append(rows, append(row, fate(e)))
	}
	a.table(rows)
	for _, e := range entries {
		for _, rows := range e.InDoubt {
			a.printf("In doubt: set %s: %s\n", e.ID, rows)
		}
	}
}

// withoutIdentities is said of a node for which none are configured.
func withoutIdentities(p *setup.Parts) string {
	if p.Config.Identities != nil || !p.Node.HasParticipant() {
		return ""
	}
	return "\nNo identities are configured for this node: its sets have no second way back.\n" +
		"Add identities: to holdfast.yaml; docs/operate.md, Identities, has examples.\n"
}

// fate says in short what retention makes of a set.
func fate(e repository.Entry) string {
	if e.Decision == nil {
		return ""
	}
	text := map[bool]string{true: "keep: ", false: "drop: "}[e.Decision.Keep] + e.Decision.Reasons[0]
	if more := len(e.Decision.Reasons) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

func newShow(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "show SET",
		Short: "Show one set with its evidence",
		Long: `Show what a set holds, what Canton said about itself in it, and the evidence
for its order. SET is an ID, the beginning of one, its last eight digits, or
"latest" for the newest proven set that is not in doubt. Verdicts are computed
again from the recorded facts.`,
		Example: `  # the newest proven set
  holdfast show latest

  # the whole manifest
  holdfast show 20261122T154500Z-1f0c9a3e --output json`,
		Args: exactly(1, "one set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withSource(cmd.Context(), args[0], func(p *setup.Parts, from setup.Source) error {
				copies, err := p.InCopies(cmd.Context(), from)
				if err != nil {
					return err
				}
				doubts, err := from.Doubts(cmd.Context())
				if err != nil {
					return err
				}
				return a.result("set", shownSet{from.Set, copies}, func() {
					a.printSet(from.Set)
					for _, rows := range doubts {
						a.printf("In doubt: %s. `holdfast restore latest` takes another set, if there is one.\n", rows)
					}
					for _, c := range copies {
						a.printf("Copy: %s\n", c)
					}
				})
			})
		},
	}
	return a.readsThePast(c)
}

// shownSet is what --output json prints of a set: the manifest, and the copies.
type shownSet struct {
	holdfast.Set
	InCopies []record.SetInCopy `json:"in_copies,omitempty"`
}

func (a *app) printSet(set holdfast.Set) {
	a.printf("Set        %s\nNode       %s\nState      %s\nTaken      %s, in %s, by Holdfast %s on %s\n",
		set.ID, set.Node.Name, set.State, when(set.Began.Wall), span(set.Ended.Since-set.Began.Since), set.Holdfast, set.Host)
	if from := set.LiftedFrom(); from != "" {
		a.printf("Lifted     from the snapshots of set %s, read on %s\n", from, when(set.Captures[0].Lifted.Read))
	}
	for _, c := range set.Parts() {
		if p := c.Facts.Participant; p != nil {
			a.printf("Participant %s\n", p.ParticipantID)
			for _, r := range p.RecordTimes {
				a.printf("Reaches    %s on %s\n", when(r.At), r.Synchronizer)
			}
		}
	}
	a.printf("\n")
	rows := [][]string{{"COMPONENT", "DATABASE", "POSTGRES", "BEGAN", "ENDED", "TABLES", "ROWS", "SIZE"}}
	for _, c := range set.Parts() {
		tables, n := c.Counts()
		rows = append(rows, []string{string(c.Component), c.Database.Name, fmt.Sprint(c.Server.Major()), offset(c.Began), offset(c.Ended), fmt.Sprint(tables), fmt.Sprint(n), size.Of(c.Bytes)})
	}
	a.table(rows)
	a.printElsewhere(set)
	a.printTakenOver(set)
	nothing := map[bool]string{true: ": there was no order to prove"}[set.Order.Verdict == holdfast.NoneApplies]
	a.printf("\nOrder: %s%s\n", set.Order.Verdict, nothing)
	for _, e := range set.Order.Edges {
		wish := map[bool]string{true: ", if possible"}[e.Soft]
		a.printf("  %s before %s%s\n", e.First, e.Then, wish)
		a.printf("    clock: %s: %s\n    content: %s: %s\n", e.Clock.Verdict, e.Clock.Evidence, e.Content.Verdict, e.Content.Evidence)
	}
	a.printf("One node: %s\n", set.Members.Verdict)
	for _, f := range set.Members.Findings {
		a.printf("  %s: %s\n", f.Verdict, short(f.Evidence))
	}
	if i := set.Identities; i != nil {
		a.printf("Identities: %s, %s%s, sealed to %s\n", short(i.ID), count(len(i.Keys), "key"), map[bool]string{true: " in a KMS"}[i.KMS], count(len(i.Recipients), "recipient"))
		for _, c := range i.Checks {
			if c.Verdict != holdfast.Holds {
				a.printf("  %s: %s: %s\n", c.Verdict, c.Title, c.Evidence)
			}
		}
	}
	if set.LacksIdentities() {
		a.printf("Identities: none, so this set has no second way back: docs/operate.md, Identities\n")
	}
	a.printRehearsals(set)
	for _, c := range set.Parts() {
		a.printLeftOut(c.Component, c.LeftOut)
		for _, w := range c.Waits {
			a.printf("Waited for %s: session %d, %s for %s on %s\n", c.Component, w.PID, span(w.Waited), w.Mode, w.Relation)
		}
	}
	if ran := setup.RanAs(set); len(ran) > 0 {
		a.printf("The node ran as:\n")
		printBundle(a.out, ran)
	}
	if set.Deployment != nil {
		for _, what := range set.Deployment.NotKept {
			a.printf("Not in this set: %s\n", what)
		}
	}
	for _, p := range set.Problems() {
		a.printf("Problem: %s\n", p.What)
	}
}

// printElsewhere says which parts of a set are no more than a reference.
func (a *app) printElsewhere(set holdfast.Set) {
	for _, c := range set.Parts() {
		if where := c.Elsewhere(); where != "" {
			a.printf("Not in this repository: %s is %s. A restore makes an instance of it: docs/cloud.md\n", c.Component, where)
		}
	}
}

// printTakenOver says how much of a set was read, and how much was taken over.
func (a *app) printTakenOver(set holdfast.Set) {
	for _, c := range set.Parts() {
		if t := c.TakenOver; t != nil {
			more := ""
			if t.Schema {
				more = ", and the schema"
			}
			if t.Unwritten > 0 {
				more += fmt.Sprintf("; of it %s unasked, because nobody wrote there", size.Of(t.Unwritten))
			}
			a.printf("Read of %s: %s; taken over from set %s: %s, the oldest reading of %s%s\n", c.Component,
				size.Of(c.Bytes-t.Bytes), t.From, size.Of(t.Bytes), when(t.Oldest), more)
		}
		if d := c.Disproof; d != nil {
			a.printf("Changed unseen: table %s of %s, from block %d on, since %s. Everything was read again.\n", d.Table,
				c.Component, d.From, when(d.ReadAt))
		}
	}
}

// printRehearsals says of each schema whether it comes back.
func (a *app) printRehearsals(set holdfast.Set) {
	for _, c := range set.Parts() {
		if c.Rehearsal == nil {
			continue
		}
		f := c.Rehearsal.Finding()
		a.printf("Schema of %s: %s: %s\n", c.Component, f.Verdict, f.Evidence)
		for _, o := range c.Rehearsal.Obstacles {
			a.printf("  %s: %s\n    made by: %s\n    %s\n", o.Object, o.Refusal, strings.Join(strings.Fields(o.Definition), " "), o.Do)
		}
		if c.Rehearsal.Do != "" {
			a.printf("  %s\n", c.Rehearsal.Do)
		}
	}
}

// count says how many there are of a thing.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// offset is a moment as the time since the run began.
func offset(m holdfast.Moment) string { return fmt.Sprintf("+%.3fs", m.Since.Seconds()) }

func largest(tables []observed.TableSize, most int) []observed.TableSize {
	sorted := slices.Clone(tables)
	slices.SortStableFunc(sorted, func(a, b observed.TableSize) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return sorted[:min(most, len(sorted))]
}
