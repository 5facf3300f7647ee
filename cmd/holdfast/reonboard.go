package main

import (
	"context"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"holdfast/reonboard"
	"holdfast/setup"
)

func newReonboard(a *app) *cobra.Command {
	var identifier string
	var keyFiles []string
	c := &cobra.Command{
		Use:   "reonboard [SET]",
		Short: "Bring the node back from its identities alone, when no set can be used",
		Long: `Prepare the second way back: a new participant gets the old one's keys under a
name that was never used. Write the set's identities in clear for the node's
first start, choose the name, remember it as used, and print the lines to type.
Nothing is stopped or started.

It brings back less than a restore: "holdfast restore" is the first way back,
and docs/restore.md says what this one loses. When the node is ready,
"holdfast reonboard clean" removes the identities in clear.

SET is an ID, the beginning of one, its last eight digits, or "latest", the
newest proven set that is not in doubt, which is also the default.`,
		Example: `  # the recovery key from a file
  holdfast reonboard --key-file recovery.key

  # a name of your own, the key from standard input
  holdfast reonboard --identifier my-validator-2 --key-file - <recovery.key

  # when the node is ready
  holdfast reonboard clean`,
		Args: atMost(1, "one set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := a.readKeys(keyFiles)
			if err != nil {
				return err
			}
			id := "latest"
			if len(args) == 1 {
				id = args[0]
			}
			return a.with(cmd.Context(), func(p *setup.Parts) error {
				return a.reonboard(cmd.Context(), p, keys, id, identifier)
			})
		},
	}
	c.Flags().StringVar(&identifier, "identifier", "",
		"the new participant's identifier, never used before; without it one is made")
	keyFilesFlag(c, &keyFiles)
	c.AddCommand(newReonboardClean(a))
	return c
}

func newReonboardClean(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Remove the identities in clear",
		Long: `Remove the file in which "holdfast reonboard" has put the node's identities in
clear. Its bytes are overwritten first, which reaches them only where the disk
writes in place: an SSD, or a file system that copies on write, may keep the old
ones. Names that were given stay known as used.`,
		Example: `  # when the node is ready
  holdfast reonboard clean

  # for a program
  holdfast reonboard clean --output json`,
		Args: exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			p, err := a.open()
			if err != nil {
				return err
			}
			file := p.ClearFile()
			if err := file.Remove(); err != nil {
				return err
			}
			return a.result("dropped", []string{file.Path}, func() { a.printf("removed %s\n", file.Path) })
		},
	}
}

func (a *app) reonboard(ctx context.Context, p *setup.Parts, keys []age.Identity, id, identifier string) error {
	from, err := p.Source(ctx, id)
	if err != nil {
		return err
	}
	out, err := p.Reonboard(keys).Run(ctx, from.Set, from.Files, identifier)
	if err != nil {
		return err
	}
	a.keyTestForgotten(out.Forgotten)
	return a.result("reonboarding", out, func() { a.printInstructions(out) })
}

func (a *app) printInstructions(r reonboard.Instructions) {
	a.printf("The identities of set %s are in clear in %s: the node's private keys.\n", r.Set, r.Dump)
	a.printf("The new participant is called %s; that name is noted as used.\n\n", r.Identifier)
	a.printf("1. Make sure that the old node is gone for good, and that the bundle's database volume is empty.\n")
	if r.Directory != "" {
		a.printf("2. In the bundle's directory (it was %s):\n\n  %s\n\n", r.Directory, r.First)
	} else {
		a.printf("2. In the bundle's directory, with -m and -a as the old node had them:\n\n  %s\n\n", r.First)
	}
	a.printf("3. When it is ready: holdfast reonboard clean\n")
	a.printf("4. Every later start:\n\n  %s\n\n", r.Later)
	a.printf("5. Give the node a new name in holdfast.yaml (node:): it is another participant now.\n")
}
