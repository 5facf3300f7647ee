package main

import (
	"github.com/spf13/cobra"
)

func newConfig(a *app) *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Look at the configuration", Args: subcommand, RunE: help}
	var origin bool
	show := &cobra.Command{
		Use:   "show",
		Short: "Print the settings in force",
		Example: `  # what is in force
  holdfast config show

  # and which line, variable or default each value comes from
  holdfast config show --origin`,
		Args: exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			p, err := a.open()
			if err != nil {
				return err
			}
			origins := p.Config.Origins()
			return a.result("config", origins, func() {
				rows := [][]string{{"KEY", "VALUE"}}
				if origin {
					rows[0] = append(rows[0], "FROM")
				}
				for _, o := range origins {
					row := []string{o.Key, o.Value}
					if origin {
						row = append(row, o.From)
					}
					rows = append(rows, row)
				}
				a.table(rows)
			})
		},
	}
	show.Flags().BoolVar(&origin, "origin", false, "say where each value comes from")
	c.AddCommand(show, newConfigCheck(a))
	return c
}

// help is what a command does that only groups others.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }
