package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"holdfast/history"
	"holdfast/setup"
	"holdfast/size"
)

func newHistory(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "history",
		Short: "Show gaps, changes and growth over thirty days",
		Long: `Show what the node's sets say together over the last thirty days: when a proven
set was overdue, what a restore has to match and has changed, how the databases
grow, and what the storage will cost. "repository.price" declares a price.`,
		Example: `  # for people
  holdfast history

  # for a program
  holdfast history --output json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(p *setup.Parts) error {
				h, err := p.History(cmd.Context())
				if err != nil {
					return err
				}
				return a.result("history", h, func() { a.printHistory(h) })
			})
		},
	}
}

func (a *app) printHistory(h history.Report) {
	a.printf("%s since %s; a proven set is due every %s\n",
		count(len(h.Sets), "set"), h.From.Format(time.DateOnly), span(h.Cadence))
	for _, g := range h.Gaps {
		end := "until " + when(g.To)
		if g.Open {
			end = "until now"
		}
		a.printf("Gap      %s without a proven set, from %s %s\n", span(g.Apart), when(g.From), end)
	}
	for _, c := range h.Changes {
		a.printf("Change   %s: %s from %s to %s\n", when(c.At), c.What, c.From, c.Now)
	}
	a.printGrowth(h.Growth)
}

func (a *app) printGrowth(g history.Growth) {
	a.printf("\nDatabases  %s\nStorage    %s%s\n", size.Of(g.Databases), size.Of(g.Stored), cost(g, g.Cost))
	if g.PerDay == nil {
		a.printf("Growth     unknown before there are two days of sets\n")
		return
	}
	sign := "+"
	if *g.PerDay < 0 {
		sign = "-"
	}
	a.printf("Growth     %s%s a day\n\nIf it goes on like this:\n\n", sign, size.Of(max(*g.PerDay, -*g.PerDay)))
	rows := [][]string{{"ON", "DATABASES", "STORAGE"}}
	for _, f := range g.Forecast {
		rows = append(rows, []string{f.At.Format(time.DateOnly), size.Of(f.Databases), size.Of(f.Stored) + cost(g, f.Cost)})
	}
	a.table(rows)
}

// cost is what storage costs, where a price is declared.
func cost(g history.Growth, amount *float64) string {
	if g.Price == nil || amount == nil {
		return ""
	}
	return fmt.Sprintf(", %.2f %s a month", *amount, g.Price.Currency)
}
