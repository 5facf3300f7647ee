package main

import (
	"context"

	"github.com/spf13/cobra"

	"holdfast/place"
	"holdfast/repository"
	"holdfast/setup"
)

func newRepository(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "repository",
		Short: "Send the repository to other places",
		Args:  subcommand,
		RunE:  help,
	}
	c.AddCommand(newRepositoryCopy(a))
	return c
}

func newRepositoryCopy(a *app) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "copy",
		Short: "Bring second copies of the repository up to date",
		Long: `Send what is missing to the places in "copies:", or to one place. Every blob
that is sent is read back and compared. A copy is a repository: the same
password opens it, and every command takes it as repository.path.

What was broken off goes on with the next run. Nothing is deleted in a copy.`,
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
		if s.Blobs == 0 {
			a.printf("%s has everything already.\n", s.To)
			continue
		}
		a.printf("%s has everything: %d blobs of %s were sent and read back.\n", s.To, s.Blobs, size(s.Bytes))
	}
}
