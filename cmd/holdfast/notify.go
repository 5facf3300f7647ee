package main

import (
	"github.com/spf13/cobra"

	"holdfast/setup"
)

func newNotify(a *app) *cobra.Command {
	c := &cobra.Command{
		Use: "notify", Short: "Notices about problems", Args: subcommand, RunE: help,
	}
	c.AddCommand(&cobra.Command{
		Use:   "test [TARGET]",
		Short: "Send a test to every target of notices, or to one",
		Long: `Send a notice that says that it is a test to every target of notices: in the
configuration, or to the one that is named, and a ping to the heartbeat.
Exit code 0 means that all of them took it.`,
		Example: `  # does somebody hear of problems
  holdfast notify test

  # one of them
  holdfast notify test ops`,
		Args: atMost(1, "one target"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(p *setup.Parts) error {
				only := ""
				if len(args) > 0 {
					only = args[0]
				}
				found, err := p.TestNotices(cmd.Context(), only)
				if err != nil {
					return err
				}
				if err := a.result("findings", found, func() { a.printFindings(found) }); err != nil {
					return err
				}
				return judge(found)
			})
		},
	})
	return c
}
