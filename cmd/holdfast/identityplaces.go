package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/setup"
)

func newIdentitiesPlaces(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "places",
		Short: "Look at each place that keeps the identities",
		Long: `Look at each place of identities.keep: what is newest there, when it was written,
whether it is the running node's, and whether it can be read back now. Nothing is
written. Exit code 4 means that a place does not have the current identities.`,
		Example: `  # are they everywhere
  holdfast identities places

  # for monitoring: an exit code, and JSON
  holdfast identities places --output json

  # write what is missing
  holdfast identities fetch`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(p *setup.Parts) error {
				places, err := p.IdentityPlaces(cmd.Context(), time.Now().UTC())
				if err != nil {
					return err
				}
				if err := a.result("identity-places", places, func() { a.printPlaces(places) }); err != nil {
					return err
				}
				return judge(findingsOf(places))
			})
		},
	}
}

func (a *app) printPlaces(places []setup.IdentityPlace) {
	if len(places) == 0 {
		a.printf("identities.keep names no place. `holdfast backup` keeps the identities in each set.\n")
		return
	}
	rows := [][]string{{"PLACE", "SEALED", "WRITTEN", "VERSIONS", "READ BACK", "LIVE", "FOUND"}}
	for _, p := range places {
		sealed := "yes"
		if p.InClear {
			sealed = "no, in clear"
		}
		rows = append(rows, []string{
			p.Place, sealed, whenever(p.Written), strconv.Itoa(p.Versions), whenever(p.ReadBack), string(p.Live), lines(p.Found),
		})
	}
	a.table(rows)
}

// whenever is a time that may be unknown.
func whenever(t *time.Time) string {
	if t == nil {
		return "unknown"
	}
	return when(*t)
}

// findingsOf are places as findings, to judge them.
func findingsOf(places []setup.IdentityPlace) []setup.Finding {
	var out []setup.Finding
	for _, p := range places {
		out = append(out, setup.Finding{
			Subject: p.Place, Verdict: p.Live, Found: p.Found, Do: p.Do,
			Why: "A place without the current identities does not bring the node back.",
		})
	}
	return out
}

func newIdentitiesTestKey(a *app) *cobra.Command {
	var keyFiles []string
	c := &cobra.Command{
		Use:   "test-recovery-key",
		Short: "Prove that a recovery key opens the identities, everywhere",
		Long: `Open the identities of the newest proven set, and the newest of every place of
identities.keep, with a recovery key or an SSH private key. Nothing secret is
printed or written. That the key opened the set is remembered in the repository,
for the condition recovery_key_tested.`,
		Example: `  # from a file
  holdfast identities test-recovery-key --key-file recovery.key

  # from a password manager, without a file
  pass show holdfast-recovery | holdfast identities test-recovery-key --key-file -`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, err := a.readKeys(keyFiles)
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(p *setup.Parts) error {
				found := p.TestRecoveryKey(cmd.Context(), keys)
				if err := a.result("findings", found, func() { a.printFindings(found) }); err != nil {
					return err
				}
				if err := judge(found); err != nil {
					return &holdfast.Problem{Class: holdfast.WrongKey, What: "the recovery key does not open everything", Err: err}
				}
				return nil
			})
		},
	}
	keyFilesFlag(c, &keyFiles)
	return c
}
