package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"holdfast/node/compose"
	"holdfast/setup"
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
			p, err := a.load()
			if err != nil {
				return err
			}
			view, n, err := p.View(cmd.Context())
			if err != nil {
				return err
			}
			return a.result("node", view, func() { a.printNode(view, n) })
		},
	})
	return c
}

func (a *app) printNode(v setup.View, n *compose.Node) {
	a.printf("Node %s\n\n", v.Name)
	if n != nil {
		a.printBundle(a.out, n)
		a.printf("\n")
	}
	rows := [][]string{{"COMPONENT", "DATABASE", "POSTGRES", "SIZE", "REACHED BY", "FOUND"}}
	for _, d := range v.Databases {
		rows = append(rows, []string{string(d.Component), d.Where, cmp.Or(d.Postgres, "-"), size(d.Bytes), cmp.Or(d.By, "the network"), cmp.Or(d.Found, "cannot tell: "+d.Problem)})
	}
	a.table(rows)
}

// printBundle prints a compose node: its containers, and how it was started.
func (a *app) printBundle(out io.Writer, n *compose.Node) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(columns ...string) { _, _ = fmt.Fprintln(w, short(strings.Join(columns, "\t"))) }
	start := n.Start()
	line("project", n.Project+"   in "+cmp.Or(n.Directory, "an unknown directory"))
	line("Splice", cmp.Or(n.Splice(), "cannot tell: the images' tags do not say"))
	line("started with", fmt.Sprintf("-p %s -P %s -m %s -s %s -c %s", start.PartyHint, start.Identifier, cmp.Or(start.MigrationID, "(none)"), start.Sponsor, start.Scan))
	line("authentication", start.Auth)
	for _, r := range n.Roles() {
		line(r.Role, r.Container.Name+"   "+r.Container.State+"   "+r.Container.Image)
	}
	if n.External() {
		line("postgres", "outside of the project: "+n.ParticipantDatabase().Server)
	}
	line("databases", n.ParticipantDatabase().Name+", "+n.ValidatorDatabase().Name+"   as "+n.ParticipantDatabase().User)
	_ = w.Flush()
}
