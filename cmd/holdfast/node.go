package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/node/compose"
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
			conf, err := a.load()
			if err != nil {
				return err
			}
			w := wiring{conf, newProgress(a)}
			view, n, err := w.view(cmd.Context())
			if err != nil {
				return err
			}
			return a.result("node", view, func() { a.printNode(view, n) })
		},
	})
	return c
}

// nodeView is what Holdfast believes about a node.
type nodeView struct {
	Name       holdfast.NodeName    `json:"name"`
	Databases  []databaseView       `json:"databases"`
	Deployment *holdfast.Deployment `json:"deployment,omitempty"` // of a compose node
	App        string               `json:"validator_app,omitempty"`
}

// databaseView is one of the node's databases.
type databaseView struct {
	Component holdfast.ComponentName `json:"component"`
	Kind      holdfast.Kind          `json:"kind"`
	Where     string                 `json:"where"`
	Found     string                 `json:"found,omitempty"`
	Problem   string                 `json:"problem,omitempty"` // why it cannot be looked at
	Postgres  string                 `json:"postgres,omitempty"`
	Bytes     int64                  `json:"bytes"`
	By        string                 `json:"by,omitempty"` // how it is reached
}

// view looks at everything; what cannot be reached is part of the picture.
func (w wiring) view(ctx context.Context) (nodeView, *compose.Node, error) {
	view := nodeView{Name: holdfast.NodeName(w.Config.Node), Databases: []databaseView{}}
	n, err := w.databases()
	if err != nil {
		return view, nil, err
	}
	var of *compose.Node
	if w.Compose != nil {
		if of, err = w.compose(ctx); err != nil {
			return view, nil, err
		}
		targets(n, of)
		d, err := of.Deployment(ctx)
		if err != nil {
			return view, nil, err
		}
		view.Deployment = &d
	}
	if w.Identities != nil {
		view.App = w.Identities.URL
	}
	for _, c := range n.Components {
		t := n.Addresses[c.Name]
		v := databaseView{Component: c.Name, Kind: c.Kind, Where: t.Where()}
		outlook, err := w.dumper(t).Look(ctx, c)
		if err != nil {
			v.Problem = err.Error()
		} else {
			v.Found, v.Postgres, v.Bytes = outlook.Found, strings.Fields(outlook.Postgres)[0], outlook.Bytes
		}
		if of != nil && t.Dial != nil {
			v.By = string(of.PostgresWay())
		}
		view.Databases = append(view.Databases, v)
	}
	return view, of, nil
}

func (a *app) printNode(v nodeView, n *compose.Node) {
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
