package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"holdfast/setup"
	"holdfast/size"
)

func newNode(a *app) *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "Look at the node", Args: subcommand, RunE: help}
	c.AddCommand(&cobra.Command{
		Use:   "show",
		Short: "Print what Holdfast believes about the node",
		Long: `Print how the node runs and where its databases are, as its containers were
really started: not what .env says now. Passwords are never shown.`,
		Example: `  # as a table
  holdfast node show

  # for a program
  holdfast node show --output json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.open()
			if err != nil {
				return err
			}
			view, err := p.View(cmd.Context())
			if err != nil {
				return err
			}
			return a.result("node", view, func() { a.printNode(view) })
		},
	})
	return c
}

func (a *app) printNode(v setup.View) {
	a.printf("Node %s\n\n", v.Name)
	if len(v.Lines) > 0 {
		printBundle(a.out, v.Lines)
		a.printf("\n")
	}
	rows := [][]string{{"COMPONENT", "DATABASE", "POSTGRES", "SIZE", "REACHED BY", "FOUND"}}
	for _, d := range v.Databases {
		rows = append(rows, []string{string(d.Component), d.Where, cmp.Or(d.Postgres, "-"), size.Of(d.Bytes), cmp.Or(d.By, "the network"), cmp.Or(d.Found, "cannot tell: "+d.Problem)})
	}
	a.table(rows)
}

// printBundle prints how a node runs and was started.
func printBundle(out io.Writer, lines [][]string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, columns := range lines {
		_, _ = fmt.Fprintln(w, short(strings.Join(columns, "\t")))
	}
	_ = w.Flush()
}
