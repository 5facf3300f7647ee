package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/repository"
	"holdfast/setup"
)

func newAudit(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Show who restored, opened identities, dropped sets",
		Long: `Print the audit trail of the repository: who restored, took a restore back,
opened identities, dropped, pinned or unpinned sets, or changed the policy or the
password.

Each entry has the digest of the one before it, so an entry that was changed or
removed is found; the exit code is then 4. Whoever knows the password can make a
whole trail again, or remove its end: write the digest down elsewhere and compare.`,
		Example: `  # what was done
  holdfast audit

  # for another system
  holdfast audit --output json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withRepository(cmd.Context(), func(_ *setup.Parts, r *repository.Repository) error {
				return a.audit(cmd.Context(), r)
			})
		},
	}
	return a.readsThePast(c)
}

func (a *app) audit(ctx context.Context, r *repository.Repository) error {
	trail, err := r.Trail(ctx)
	if err != nil {
		return err
	}
	err = a.result("audit", trail, func() {
		rows := [][]string{{"AT", "NODE", "BY", "ACT", "WHAT"}}
		for _, d := range trail.Deeds {
			rows = append(rows, []string{when(d.At), string(d.Node), d.By, string(d.Act), short(d.What)})
		}
		a.table(rows)
		if trail.Head != "" {
			a.printf("\n%s. Digest of the newest: %s\n", count(len(trail.Deeds), "act"), trail.Head)
		}
	})
	if err != nil || len(trail.Broken) == 0 {
		return err
	}
	return &holdfast.Problem{
		Class: holdfast.Violation, What: fmt.Sprintf("the audit trail is broken: %s", strings.Join(trail.Broken, "; ")),
		Why: "Somebody who knows the repository's password changed or removed an entry.",
		Do:  "Compare with a second copy, or with the repository of before: `holdfast audit --as-of TIME`.",
	}
}
