package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"holdfast/config"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/setup"
	"holdfast/size"
)

func newRepository(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "repository",
		Short: "Send the repository to other places, lock it, change its password",
		Args:  subcommand,
		RunE:  help,
	}
	c.AddCommand(newRepositoryCheckImmutability(a), newRepositoryCopy(a), newRepositoryLock(a), newRepositoryMove(a),
		newRepositoryPassword(a))
	return c
}

func newRepositoryCopy(a *app) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "copy",
		Short: "Bring second copies of the repository up to date",
		Long: `Send the sets that are missing to the places in "copies:", or to one place.
Everything that is written there is read back and compared. A copy is a
repository of its own: the same password opens it, and every command takes it
as repository.path.

The next run takes up what was broken off. A set that is dropped in the
repository stays in the copy. "keep:" of its place says which sets it keeps:
"holdfast retention --copy PLACE" applies it.`,
		Example: `  # all places in "copies:"
  holdfast repository copy

  # a disk that is attached now
  holdfast repository copy --to /mnt/usb/holdfast`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.ifInterrupted = "The copy opens as before. The next run sends what is missing."
			var at place.Place
			if to != "" {
				var err error
				if at, err = setup.PlaceOf("--to", to); err != nil {
					return err
				}
			}
			return a.with(cmd.Context(), func(p *setup.Parts) error { return a.sendCopies(cmd.Context(), p, at) })
		},
	}
	c.Flags().StringVar(&to, "to", "", "send it to this place only")
	return c
}

func newRepositoryLock(a *app) *cobra.Command {
	var weaken bool
	c := &cobra.Command{
		Use:   "lock MODE:PERIOD",
		Short: "Lock what the repository stores, and what it has stored already",
		Long: `Make an existing repository lock what it stores against deletion, as "holdfast
init --object-lock" does for a new one, and lock everything that is stored
already. The bucket needs object lock. Programs that have the repository open
lock from their next start on. From then on maintenance extends the locks once
a day.

Nobody shortens or takes back a lock of mode compliance, the bucket's owner
neither.`,
		Example: `  # nobody deletes what is stored within 30 days
  holdfast repository lock compliance:30d

  # those with a right of their own may
  holdfast repository lock governance:4w`,
		Args: exactly(1, "MODE:PERIOD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.ifInterrupted = "Some of it is locked. Run it again: it locks the rest."
			return a.with(cmd.Context(), func(p *setup.Parts) error {
				done, err := p.Lock(cmd.Context(), args[0], weaken)
				if err != nil {
					return err
				}
				return a.result("findings", done, func() {
					a.printFindings(done)
					a.printf("\nTo try whether the locks hold: `holdfast repository check-immutability`\n")
				})
			})
		},
	}
	c.Flags().BoolVar(&weaken, "weaken", false, "lock for less than before; what is locked stays locked")
	return c
}

func newRepositoryMove(a *app) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "move --to PLACE",
		Short: "Move the repository to another place",
		Long: `Send every set to a place, read everything there, and name the place in the
configuration file, in repository.path. Comments in the file stay. Where the
file cannot be changed safely, the lines to change are printed.

The old place stays as it is. While the new one lacks a set, nothing changes.
The next run takes up what was broken off.`,
		Example: `  # from a directory to a bucket
  holdfast repository move --to 's3://example-holdfast/validator-1?region=eu-central-1'

  # to another disk
  holdfast repository move --to /mnt/large/holdfast`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return usageError(nil, errors.New("--to: name the place to move to"))
			}
			at, err := setup.PlaceOf("--to", to)
			if err != nil {
				return err
			}
			a.ifInterrupted = "The repository is where it was. The next run sends what is missing."
			return a.with(cmd.Context(), func(p *setup.Parts) error {
				done, err := p.Move(cmd.Context(), at)
				if err != nil {
					return err
				}
				return a.result("moved", done, func() { a.printMoved(done) })
			})
		},
	}
	c.Flags().StringVar(&to, "to", "", "the new place of the repository")
	return c
}

func (a *app) printMoved(m setup.Moved) {
	a.printf("%s has everything: %s. Read there: %s of stored data.\n", m.To, count(m.Sets, "set"), size.Of(m.Read))
	if m.Config != "" {
		a.printf("%s names it in repository.path.\n", m.Config)
	} else {
		a.printf("The configuration was not changed: %s.\nWrite into it, below repository:\n\n  path: '%s'\n\n"+
			"with the access: and limits: of that place. If it stands in copies:, take it out there.\n", m.ByHand, m.To)
	}
	a.printf("\n%s stays as it is. Restart `holdfast run`: until then it stores sets there.\n"+
		"Next: `holdfast config check --live`\n", m.From)
}

func newRepositoryPassword(a *app) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "password --new REFERENCE",
		Short: "Change the password of the repository and of its copies",
		Long: `Make the repository, and every place in "copies:", open with another password.
It is read where REFERENCE says, file:PATH for example, as repository.password
is. No data is written again, and sets are not touched.

Afterwards name the new place in repository.password. Whoever has an old copy
of the repository and the old password can still read that copy: after a theft
make a new repository.`,
		Example: `  # a new password in a file, then the change
  (umask 077; openssl rand -base64 32 >/etc/holdfast/next.password)
  holdfast repository password --new file:next.password

  # one that Vault holds
  holdfast repository password --new vault:team/holdfast#password`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return usageError(nil, errors.New("--new: say where the new password is, such as file:PATH"))
			}
			a.ifInterrupted = "If the repository does not open: `holdfast verify --repair`."
			return a.with(cmd.Context(), func(p *setup.Parts) error { return a.changePassword(cmd.Context(), p, to) })
		},
	}
	c.Flags().StringVar(&to, "new", "", "where the new password is: file:PATH, env:NAME or exec:COMMAND")
	return c
}

func (a *app) changePassword(ctx context.Context, p *setup.Parts, to string) error {
	changed, err := p.ChangePassword(ctx, config.Reference(to))
	if len(changed.Places) == 0 {
		return err
	}
	printErr := a.result("password", changed, func() {
		for _, at := range changed.Places {
			a.printf("%s opens with the password at %s.\n", at, changed.Reference)
		}
		a.printf("\nWrite into holdfast.yaml, below repository:\n\n  password: %s\n\nthen: `holdfast config check`\n", changed.Reference)
		a.printf("Keep a copy of the new password away from this machine.\n")
	})
	if err == nil {
		err = printErr
	}
	return err
}

// sendCopies sends the copies and prints what was sent, also when one failed.
func (a *app) sendCopies(ctx context.Context, p *setup.Parts, to place.Place) error {
	list, err := p.SendCopies(ctx, to)
	if len(list) == 0 {
		return err
	}
	printErr := a.result("copies", copiesReport{list}, func() { a.printSent(list) })
	if err == nil {
		err = printErr
	}
	return err
}

// copiesReport is what --output json prints of a copy.
type copiesReport struct {
	Copies []repository.Sent `json:"copies"`
}

func (a *app) printSent(list []repository.Sent) {
	for _, s := range list {
		if s.Sets == 0 && s.Pieces == 0 {
			a.printf("%s has everything already.\n", s.To)
			continue
		}
		a.printf("%s has everything: sent %s, and read %s of new data back.\n", s.To, count(s.Sets, "set"), size.Of(s.Bytes))
	}
}

func newRepositoryCheckImmutability(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check-immutability",
		Short: "Try to delete what is stored, as an attacker on the node would",
		Long: `Store a small blob in the repository's bucket, locked for a day, and try with the
node's credentials to delete it, to replace it, to shorten its lock, to switch
versions off and to let the bucket expire what it holds. Nothing of the
repository is touched, and a setting that could be changed is changed back. What
succeeds is what an attacker on the node could do to every set. The result is
recorded, and "holdfast check" judges it.`,
		Example: `  # what could somebody do who owns this machine
  holdfast repository check-immutability

  # for a program
  holdfast repository check-immutability --output json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(p *setup.Parts) error {
				list, err := p.Immutability(cmd.Context())
				if len(list) == 0 {
					return err
				}
				printErr := a.result("findings", list, func() { a.printFindings(list) })
				return cmp.Or(err, printErr, judge(list))
			})
		},
	}
}
