package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/check"
	"holdfast/loss"
)

func newCheck(a *app) *cobra.Command {
	var list, loss bool
	var only []string
	var explain string
	c := &cobra.Command{
		Use:   "check",
		Short: "Judge whether the node could come back today",
		Long: `Judge every condition that recovery depends on, from what can be seen: the
repository, the live databases, the validator app, Scans of several super
validators, the participant's admin API and its metrics; see check: in the
configuration. Say how long is left with each super validator, and what a
restore would lose.

A condition holds, is violated, or is unknown, and then the missing input
is named. One that does not hold only because another does not names that one,
and is no alarm of its own. Nothing is changed anywhere.

Exit code 0 means that every condition holds. 4 means that one is violated, 5
that none is, but something is unknown.`,
		Example: `  # everything
  holdfast check

  # one condition: what was seen, what it means, what to do
  holdfast check --explain postgres_cadence

  # for monitoring: only these, as JSON
  holdfast check --only recovery_route_available,postgres_cadence --output json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list {
				return a.result("catalogue", check.Catalogue(), a.printCatalogue)
			}
			if explain != "" {
				only = append(only, explain)
			}
			codes, err := codesOf(only)
			if err != nil {
				return err
			}
			report, err := a.check(cmd.Context(), loss)
			if err != nil {
				return err
			}
			if len(codes) > 0 {
				report = report.Only(codes...)
			}
			err = a.result("check", report, func() {
				switch {
				case explain != "":
					a.printExplained(report)
				case loss:
					a.printLoss(report.Loss)
				default:
					a.printCheck(report, len(codes) == 0)
				}
			})
			if err != nil {
				return err
			}
			return report.Err()
		},
	}
	c.Flags().BoolVar(&list, "list", false, "list the conditions and judge none")
	c.Flags().BoolVar(&loss, "loss", false, "what a restore would lose, and what is to be done by hand around one")
	c.Flags().StringSliceVar(&only, "only", nil, "judge only these `CODE`s; the exit code is theirs")
	c.Flags().StringVar(&explain, "explain", "", "say all there is to say about the condition `CODE`")
	return c
}

func codesOf(names []string) ([]check.Code, error) {
	var out []check.Code
	for _, name := range names {
		code := check.Code(strings.TrimSpace(name))
		if !slices.Contains(check.Codes(), code) {
			return nil, usageError(nil, fmt.Errorf("there is no condition %q; `holdfast check --list` has them", code))
		}
		out = append(out, code)
	}
	return out, nil
}

// check looks at everything and judges it.
func (a *app) check(ctx context.Context, rows bool) (check.Report, error) {
	p, err := a.open()
	if err != nil {
		return check.Report{}, err
	}
	defer func() { _ = p.Close(ctx) }()
	o, err := p.Observe(ctx)
	if err != nil {
		return check.Report{}, err
	}
	if rows {
		if o.Since, err = p.Since(ctx, o); err != nil {
			return check.Report{}, err
		}
	}
	return check.Make(o, time.Now().UTC()), nil
}

func (a *app) printCatalogue() {
	rows := [][]string{{"CONDITION", "HOLDS WHEN"}}
	for _, e := range check.Catalogue() {
		rows = append(rows, []string{string(e.Code), e.Title})
	}
	a.table(rows)
}

// printCheck prints a line for each condition, then what to do about those
// that are alarms, then how long is left and what would be lost.
func (a *app) printCheck(r check.Report, whole bool) {
	a.printf("%s\n\n", headline(r))
	rows := [][]string{{"CONDITION", "VERDICT", "EVIDENCE"}}
	for _, c := range r.Conditions {
		rows = append(rows, []string{string(c.Code), string(c.Verdict), seen(c)})
	}
	a.table(rows)
	for _, verdict := range []holdfast.Verdict{holdfast.Violated, holdfast.CannotTell} {
		for _, c := range r.Conditions {
			if c.Verdict == verdict && (c.Alarms() || !whole) {
				a.printCondition(c)
			}
		}
	}
	if !whole {
		return
	}
	a.printRunways(r.Runways)
	if l := r.Loss; l != nil {
		a.printf("\nA restore of %s, %s old, %s. `holdfast check --loss` has the whole.\n", l.Set, span(l.Age), summary(l))
	}
}

func headline(r check.Report) string {
	counts := map[holdfast.Verdict]int{}
	symptoms := 0
	for _, c := range r.Conditions {
		if c.SilencedBy != "" {
			symptoms++
		} else {
			counts[c.Verdict]++
		}
	}
	text := fmt.Sprintf("Node %s, %s: %d hold, %d violated, %d unknown", r.Node, when(r.At), counts[holdfast.Holds], counts[holdfast.Violated], counts[holdfast.CannotTell])
	if symptoms > 0 {
		text += fmt.Sprintf(", %d caused by another condition", symptoms)
	}
	return text
}

// seen is the evidence, as much of it as a line takes.
func seen(c check.Condition) string {
	const most = 110
	text := []rune(short(c.Evidence))
	if c.SilencedBy != "" {
		text = []rune("because of " + string(c.SilencedBy) + ": " + string(text))
	}
	if len(text) > most {
		return string(text[:most-1]) + "…"
	}
	return string(text)
}

func (a *app) printCondition(c check.Condition) {
	state := map[holdfast.Verdict]string{holdfast.Violated: "is violated", holdfast.CannotTell: "is unknown"}[c.Verdict]
	a.printf("\n%s %s\n  wanted: %s\n  seen:   %s\n", c.Code, state, c.Title, short(c.Evidence))
	if c.Consequence != "" {
		a.printf("  means:  %s\n", c.Consequence)
	}
	if c.SilencedBy != "" {
		a.printf("  cause:  %s\n", c.SilencedBy)
	}
	if c.Next != "" {
		a.printf("  next:   %s\n", c.Next)
	}
}

// printExplained prints all there is to say about conditions.
func (a *app) printExplained(r check.Report) {
	entries := check.Catalogue()
	for i, c := range r.Conditions {
		e := entries[slices.IndexFunc(entries, func(e check.Entry) bool { return e.Code == c.Code })]
		if i > 0 {
			a.printf("\n")
		}
		a.printf("%s: %s\n\nVerdict      %s\nSeen         %s\nObserved     %s\nWhy          %s\nIf violated  %s\nThen         %s\n",
			c.Code, e.Title, c.Verdict, short(c.Evidence), e.Observed, e.Why, e.Consequence, e.Next)
		if c.Verdict == holdfast.CannotTell && c.Next != "" {
			a.printf("Missing      %s\nTo get it    %s\n", strings.Join(c.Missing, ", "), c.Next)
		}
		if c.SilencedBy != "" {
			a.printf("Symptom of   %s\n", c.SilencedBy)
		}
	}
}

func (a *app) printRunways(list []check.Runway) {
	if len(list) == 0 {
		return
	}
	a.printf("\nTime left before a super validator disables the node, if it stopped now:\n\n")
	rows := [][]string{{"SUPER VALIDATOR", "KEEPS", "LAST ACKNOWLEDGEMENT", "LEFT", "SOURCE"}}
	for _, r := range list {
		row := []string{r.SV, "unknown", "unknown", "not computed", r.Source}
		if r.Retention != nil {
			row[1] = span(*r.Retention)
		}
		if r.Acked != nil {
			row[2] = when(*r.Acked)
		}
		if r.Left != nil {
			row[3] = span(*r.Left)
		}
		rows = append(rows, row)
	}
	a.table(rows)
}

func summary(l *check.Loss) string {
	kinds := map[loss.Kind]int{}
	for _, loss := range l.Losses {
		kinds[loss.Kind]++
	}
	var parts []string
	if l.Replay != nil {
		parts = append(parts, "replays "+span(*l.Replay)+" of ledger time")
	}
	for _, k := range []struct {
		kind loss.Kind
		one  string
	}{{loss.User, "user"}, {loss.Party, "new host of a party"}, {loss.Key, "key"}, {loss.Package, "package"}, {loss.Configuration, "setting"}} {
		if n := kinds[k.kind]; n > 0 {
			parts = append(parts, "loses "+count(n, k.one))
		}
	}
	if len(l.Unknown) > 0 {
		parts = append(parts, "and "+count(len(l.Unknown), "thing")+" unknown")
	} else if len(parts) < 2 {
		parts = append(parts, "loses nothing that is known")
	}
	return strings.Join(parts, ", ")
}

func (a *app) printLoss(l *check.Loss) {
	if l == nil {
		a.printf("There is no proven set, or no repository: there is nothing to restore, and all would be lost.\n")
		return
	}
	a.printf("Newest proven set %s, taken %s, %s ago\n", l.Set, when(l.Taken), span(l.Age))
	if l.Replay != nil {
		a.printf("Replayed          %s of ledger time, from %s to %s\n", span(*l.Replay), when(*l.From), when(*l.To))
	}
	if l.Estimate > 0 {
		a.printf("Restoring takes   about %s, as the last drill did\n", span(l.Estimate))
	}
	a.printf("\nWould be lost, or has to be replayed:\n")
	for _, loss := range l.Losses {
		a.printf("  - %s\n", short(loss.What))
	}
	if len(l.Losses) == 0 {
		a.printf("  nothing that is known\n")
	}
	for _, text := range l.Unknown {
		a.printf("  ? %s\n", short(text))
	}
	if len(l.New)+len(l.Unseen) > 0 {
		a.printf("\nRows that are new or changed since:\n")
		for _, t := range l.New {
			a.printf("  - %s: %d in table %s\n", t.Component, t.Rows, t.Table)
		}
		for _, text := range l.Unseen {
			a.printf("  ? %s\n", short(text))
		}
	}
	a.printf("\nBy hand, around a restore:\n")
	for i, step := range l.Steps {
		a.printf("  %d. %s\n", i+1, short(step))
	}
}
