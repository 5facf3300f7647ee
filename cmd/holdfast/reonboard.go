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

For a node in Kubernetes, with kube.namespace in the configuration, the identities
are put into a Secret of the namespace, and what is printed are the values of the
releases. It is refused as long as the old node's workloads have pods, or anybody
is connected to its databases. New databases get new names, and the old ones are
left as they are. Run again, it goes on with what was begun; "holdfast reonboard
clean" gives that up.

It brings back less than a restore: "holdfast restore" is the first way back,
and docs/restore.md says what this one loses. When the node is ready,
"holdfast reonboard clean" removes the identities in clear; in Kubernetes
"holdfast reonboard watch" waits for that, and does so.

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
	c.AddCommand(newReonboardWatch(a), newReonboardClean(a))
	return c
}

func newReonboardWatch(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "watch",
		Short: "Wait until a node in Kubernetes serves again, then remove the identities in clear",
		Long: `Watch a node in Kubernetes that "holdfast reonboard" has prepared, from the first
start to the end: until the new participant's database shows the identity that it
is to have, until both programs serve, and until no pod takes the identities in
clear any more. Then the Secret is removed. What to type next is printed when it
is time for it.

It ends with an error where the old node lives after all, or where the participant
got another identity. It changes nothing but the Secret, and may be interrupted
and begun again.`,
		Example: `  # after the releases were upgraded
  holdfast reonboard watch

  # for a program
  holdfast reonboard watch --output json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.ifInterrupted = "The identities are in clear still. Run the same command again to go on watching."
			return a.with(cmd.Context(), func(p *setup.Parts) error {
				s, place, err := p.WatchReonboarding(cmd.Context(), func(later string) {
					if a.output == "text" {
						a.printf("\nThe node serves. Take away what was for the first start alone:\n\n%s\n", later)
					}
				})
				if err != nil {
					return err
				}
				return a.result("dropped", []string{place}, func() {
					a.printf("removed %s\n\nIn holdfast.yaml: give the node a new name (node:), since it is another "+
						"participant now.\n", place)
					for _, d := range s.Databases {
						if d.Name != d.Was {
							a.printf("Its %s has database %s instead of %s.\n", d.Kind, d.Name, d.Was)
						}
					}
				})
			})
		},
	}
}

func newReonboardClean(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Remove the identities in clear",
		Long: `Remove the file in which "holdfast reonboard" has put the node's identities in
clear. Its bytes are overwritten first, which reaches them only where the disk
writes in place: an SSD, or a file system that copies on write, may keep the old
ones. Names that were given stay known as used.

Of a node in Kubernetes the Secret is removed, unless a workload takes it: take
the values for the first start away before. That is also how a re-onboarding is
given up. Databases that the new programs have made stay, and so do the old ones:
with their old values the old programs start on them again.`,
		Example: `  # when the node is ready
  holdfast reonboard clean

  # for a program
  holdfast reonboard clean --output json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.open()
			if err != nil {
				return err
			}
			j := p.Reonboard(cmd.Context(), nil)
			if err := j.Clean(cmd.Context()); err != nil {
				return err
			}
			place := j.Clear.Place()
			return a.result("dropped", []string{place}, func() { a.printf("removed %s\n", place) })
		},
	}
}

func (a *app) reonboard(ctx context.Context, p *setup.Parts, keys []age.Identity, id, identifier string) error {
	from, err := p.Source(ctx, id)
	if err != nil {
		return err
	}
	out, err := p.Reonboard(ctx, keys).Run(ctx, from.Set, from.Files, identifier)
	if err != nil {
		return err
	}
	a.keyTestForgotten(out.Forgotten)
	return a.result("reonboarding", out, func() { a.printInstructions(out) })
}

func (a *app) printInstructions(r reonboard.Instructions) {
	if r.Begun {
		a.printf("An earlier run has prepared this; it goes on.\n")
	}
	a.printf("The identities of set %s are in clear in %s: the node's private keys.\n", r.Set, r.Dump)
	a.printf("The new participant is called %s; that name is noted as used.\n", r.Identifier)
	if r.Databases != nil {
		a.printRollout(r)
		return
	}
	a.printf("\n")
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

// printRollout says what is to be typed for a node in Kubernetes.
func (a *app) printRollout(r reonboard.Instructions) {
	for _, d := range r.Databases {
		if d.Name == d.Was {
			a.printf("Its %s begins with database %s, in which nothing is.\n", d.Kind, d.Name)
		} else {
			a.printf("Its %s begins with database %s; %s stays as it is.\n", d.Kind, d.Name, d.Was)
		}
	}
	a.printf("\n1. Make sure that the old node is gone for good, and start the new one:\n\n%s\n", r.First)
	a.printf("2. Watch it to the end, which removes the identities in clear and says what else to type:\n\n" +
		"  holdfast reonboard watch\n\n")
	a.printf("To give it up before the new node was started: holdfast reonboard clean\n")
}
