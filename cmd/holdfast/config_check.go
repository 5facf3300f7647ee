package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/setup"
)

func newConfigCheck(a *app) *cobra.Command {
	var live, remake bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration; with --live, try everything in it",
		Long: `Read the configuration and say what is wrong with it. With --live, connect to
everything that it names: the Docker daemon, every database with the rights that
a backup and a restore need, the validator app, the repository. Each finding
comes with its fix. Nothing is changed.

With --remake, rehearse without data whether a node of Docker Compose would come
back on an empty machine: its networks, volumes and containers are made a second
time under another name, from what a set would record now, compared with those
that run, and removed. Nothing of them is started.`,
		Example: `  # is it well written
  holdfast config check

  # does everything in it work
  holdfast config check --live

  # would the node come back on an empty machine
  holdfast config check --remake`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.open()
			if err == nil {
				err = p.Valid()
			}
			if err != nil {
				return err
			}
			found := []setup.Finding{{Subject: "configuration", Verdict: holdfast.Holds, Found: fmt.Sprintf("node %s, %s", p.Node.Name, count(len(p.Node.Components), "database"))}}
			found = append(found, p.Exposed()...)
			if interrupted := p.Interrupted(); interrupted != nil && !live {
				found = append(found, setup.Found("restores", "", interrupted))
			}
			if live {
				found = append(found, p.Try(cmd.Context())...)
			}
			if remake {
				found = append(found, p.Remake(cmd.Context())...)
			}
			if err := a.result("findings", found, func() { a.printFindings(found) }); err != nil {
				return err
			}
			return judge(found)
		},
	}
	c.Flags().BoolVar(&live, "live", false, "try every connection and right")
	c.Flags().BoolVar(&remake, "remake", false, "make the node's containers a second time, without data, and compare")
	return c
}

// judge is the exit of a check: violated before cannot tell.
func judge(found []setup.Finding) error {
	var worst error
	for _, f := range found {
		switch f.Verdict {
		case holdfast.Violated:
			return &holdfast.Problem{Class: holdfast.Violation, What: f.Subject + ": " + f.Found, Why: f.Why, Do: f.Do}
		case holdfast.CannotTell:
			worst = &holdfast.Problem{Class: holdfast.Undetermined, What: f.Subject + ": " + f.Found, Why: f.Why, Do: f.Do}
		}
	}
	return worst
}

func (a *app) printFindings(list []setup.Finding) {
	rows := [][]string{{"SUBJECT", "VERDICT", "FOUND"}}
	for _, f := range list {
		rows = append(rows, []string{f.Subject, string(f.Verdict), lines(f.Found)})
	}
	a.table(rows)
	for _, f := range list {
		if f.Do != "" {
			a.printf("\n%s: %s\n  next: %s\n", f.Subject, f.Why, f.Do)
		}
	}
}
