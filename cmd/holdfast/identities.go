package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/identities"
	"holdfast/setup"
)

func newIdentities(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "identities",
		Short: "The node's identities: fetch, check, show, open",
		Long: `The identities dump holds the node's private keys: the second way back when no
set is usable. It is fetched with every backup, and kept sealed.`,
		Args: subcommand, RunE: help,
	}
	c.AddCommand(newIdentitiesFetch(a), newIdentitiesCheck(a), newIdentitiesShow(a), newIdentitiesOpen(a),
		newIdentitiesPlaces(a), newIdentitiesTestKey(a), newIdentitiesNewKey(a))
	return c
}

func newIdentitiesFetch(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "fetch",
		Short: "Fetch the dump, check it, and keep it sealed in the configured places",
		Example: `  # into every place of identities.keep
  holdfast identities fetch

  # for a program
  holdfast identities fetch --output json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(p *setup.Parts) error {
				facts, report, err := p.KeepIdentities(cmd.Context())
				if err != nil {
					return err
				}
				if err := a.result("identities", facts, func() {
					a.printIdentities(facts)
					if len(facts.Kept) == 0 {
						a.printf("Kept nowhere: identities.keep names no place. `holdfast backup` keeps it in the set.\n")
					}
				}); err != nil {
					return err
				}
				return report.Err()
			})
		},
	}
}

func (a *app) printIdentities(f holdfast.IdentityFacts) {
	a.printf("Identities of %s", f.ID)
	if f.Version != "" {
		a.printf(", exported by Splice %s", f.Version)
	}
	a.printf("\n")
	if f.KMS {
		a.printf("The keys are in a KMS: the dump restores the node only together with it.\n")
	}
	a.printf("\n")
	rows := [][]string{{"KEY", "PURPOSE", "FINGERPRINT"}}
	for _, k := range f.Keys {
		id := k.Fingerprint
		if id == "" {
			id = k.KMSKey
		}
		rows = append(rows, []string{k.Name, k.Purpose, id})
	}
	a.table(rows)
	a.printf("\n")
	rows = [][]string{{"CHECK", "VERDICT", "EVIDENCE"}}
	for _, c := range f.Checks {
		rows = append(rows, []string{c.Title, string(c.Verdict), c.Evidence})
	}
	a.table(rows)
	if len(f.Recipients) > 0 {
		a.printf("\nSealed to:\n  %s\n", strings.Join(f.Recipients, "\n  "))
	}
	for _, path := range f.Kept {
		a.printf("Kept in %s\n", path)
	}
}

func newIdentitiesCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a dump that you already have, offline",
		Long: `Check any identities dump, such as one fetched with curl years ago. Nothing is
sent anywhere. With a configuration at hand it is also compared with the
participant's database. FILE may be - for standard input. Exit code 4 means
that the dump is not what it should be.`,
		Example: `  holdfast identities check identities.json

  # one that is sealed, without a clear copy on disk
  holdfast identities open backup.json.age --key-file key.txt | holdfast identities check -`,
		Args: exactly(1, "one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := a.readFile(args[0])
			if err != nil {
				return err
			}
			data, wrappers := identities.Unwrap(data)
			dump, err := identities.Parse(data)
			if err != nil {
				return err
			}
			if len(wrappers) > 0 {
				_, _ = fmt.Fprintf(a.err, "The dump is in %s. An import takes only the JSON itself.\n", strings.Join(wrappers, ", in "))
			}
			var against *identities.Participant
			if p, err := a.open(); err == nil {
				n, _ := p.Databases(cmd.Context())
				against = setup.LiveParticipant(cmd.Context(), n)
			}
			report := dump.Check(against)
			facts := dump.Facts(report)
			if err := a.result("identities", facts, func() { a.printIdentities(facts) }); err != nil {
				return err
			}
			return report.Err()
		},
	}
}

func (a *app) readFile(name string) ([]byte, error) {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, &holdfast.Problem{Class: holdfast.Usage, What: "read the file", Err: err}
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, identities.MaxSize+1))
}

func newIdentitiesShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show [SET]",
		Short: "Show what a set records about the identities",
		Example: `  # of the newest proven set
  holdfast identities show

  holdfast identities show 20261122T154500Z --output json`,
		Args: atMost(1, "one set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withIdentities(cmd.Context(), args, func(_ *setup.Parts, set holdfast.Set, _ holdfast.Files) error {
				return a.result("identities", set.Identities, func() {
					a.printf("In set %s:\n", set.ID)
					a.printIdentities(*set.Identities)
				})
			})
		},
	}
}

func (a *app) withIdentities(ctx context.Context, args []string, fn func(*setup.Parts, holdfast.Set, holdfast.Files) error) error {
	id := "latest"
	if len(args) > 0 {
		id = args[0]
	}
	return a.withSource(ctx, id, func(p *setup.Parts, from setup.Source) error {
		set, files := from.Set, from.Files
		if set.Identities == nil {
			return &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("set %s has no identities", set.ID), Do: "Choose another set, or `holdfast identities fetch`."}
		}
		return fn(p, set, files)
	})
}

func newIdentitiesOpen(a *app) *cobra.Command {
	var keyFiles []string
	c := &cobra.Command{
		Use:   "open [SET | FILE.age]",
		Short: "Open sealed identities with the recovery key",
		Long: `Write the dump in clear to standard output, opened with a recovery key or an SSH
private key. It holds the node's private keys: pipe it to where it is needed,
and do not leave it on a disk. That a key opened a set's identities is
remembered in the repository, for the condition recovery_key_tested.`,
		Example: `  # of the newest proven set, the key from a file
  holdfast identities open --key-file recovery-key.txt

  # from a kept copy, the key from standard input
  holdfast identities open /mnt/usb/identities-x.json.age --key-file - <recovery-key.txt`,
		Args: atMost(1, "one set or file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := a.readKeys(keyFiles)
			if err != nil {
				return err
			}
			open := func(in io.Reader, to []string) error {
				clear, err := identities.Open(in, keys, to)
				if err != nil {
					return err
				}
				_, err = a.whole.out.Write(clear)
				return err
			}
			if len(args) == 1 && strings.HasSuffix(args[0], ".age") {
				f, err := os.Open(args[0])
				if err != nil {
					return &holdfast.Problem{Class: holdfast.Usage, What: "open the file", Err: err}
				}
				defer func() { _ = f.Close() }()
				return open(f, nil)
			}
			return a.withIdentities(cmd.Context(), args, func(p *setup.Parts, set holdfast.Set, files holdfast.Files) error {
				in, err := files.Open(cmd.Context(), set.Identities.SealedFile)
				if err != nil {
					return err
				}
				defer func() { _ = in.Close() }()
				if err := open(in, set.Identities.Recipients); err != nil {
					return err
				}
				a.keyTestForgotten(p.RememberKeyTest(cmd.Context(), set))
				return nil
			})
		},
	}
	keyFilesFlag(c, &keyFiles)
	return c
}

// keyTestForgotten says that a key opened the identities, and that nothing
// remembers it. They are open by then, so it is no failure.
func (a *app) keyTestForgotten(err error) {
	if err != nil {
		a.say("holdfast: the identities were opened; that a key opened them is not remembered: %v\n", err)
	}
}
