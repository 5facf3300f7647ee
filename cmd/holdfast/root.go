package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/config"
	"holdfast/internal/libpq"
	"holdfast/internal/printable"
	"holdfast/repository"
	"holdfast/secrets"
	"holdfast/setup"
)

// streams are where a command reads and prints, so that tests can run it.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
	// shell are libpq's variables of the shell that the program was started from.
	shell libpq.Environment
}

// app is what every command shares: where it prints, and the global flags.
type app struct {
	streams                      // texts for people go here, without the secrets that are known
	whole         streams        // as they were given, for what is no text and for JSON
	known         *secrets.Known // what the command has read of secrets
	configPath    string
	output        string
	asOf          string    // the time as of which the repository is read
	quiet         bool      // say nothing of what goes well; of the commands that cron runs
	ifInterrupted string    // what an interruption of the command means
	shown         *progress // the listener of whatever the command does
	cutoff        cutoff
}

// newApp is an app that prints no secret that it has read.
func newApp(s streams) *app {
	a := &app{streams: s, whole: s, known: new(secrets.Known)}
	a.out, a.err = a.known.Writer(printable.Writer(s.out)), a.known.Writer(printable.Writer(s.err))
	return a
}

func newRoot(a *app) *cobra.Command {
	var codes strings.Builder
	for _, e := range exits {
		fmt.Fprintf(&codes, "  %-4d %s\n", e.code, e.meaning)
	}
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "Backup and recovery for Canton Network validators",
		Long: `Holdfast takes sets of a validator node in proven order, encrypted and
deduplicated, and brings the node back from them.

Exit codes:
` + codes.String(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              subcommand,
		RunE:              help,
		DisableAutoGenTag: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.output != "text" && a.output != "json" {
				a.output = "text"
				return usageError(nil, errors.New("--output (or HOLDFAST_OUTPUT): want text or json"))
			}
			return nil
		},
	}
	path := os.Getenv("HOLDFAST_CONFIG")
	if path == "" {
		path = "holdfast.yaml"
	}
	output := os.Getenv("HOLDFAST_OUTPUT")
	if output == "" {
		output = "text"
	}
	root.PersistentFlags().StringVarP(&a.configPath, "config", "c", path, "configuration file (or HOLDFAST_CONFIG)")
	root.PersistentFlags().StringVarP(&a.output, "output", "o", output, "text or json (or HOLDFAST_OUTPUT)")
	root.SetFlagErrorFunc(usageError)
	root.AddGroup(&cobra.Group{ID: "daily", Title: "Daily:"}, &cobra.Group{ID: "more", Title: "More:"})
	root.SetHelpCommandGroupID("more")
	root.SetCompletionCommandGroupID("more")
	for _, c := range []*cobra.Command{newInit(a), newBackup(a), newList(a), newShow(a), newVerify(a), newDrill(a), newRestore(a), newCheck(a), newRun(a)} {
		c.GroupID = "daily"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{newReonboard(a), newExport(a), newInspect(a), newIdentities(a), newRetention(a), newRepository(a), newHistory(a), newAudit(a), newPage(a), newNode(a), newCloud(a), newNotify(a), newService(a), newConfig(a), newVersion(a)} {
		c.GroupID = "more"
		root.AddCommand(c)
	}
	root.AddCommand(newMan())
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() == "help" {
			c.Args = func(_ *cobra.Command, args []string) error {
				found, rest, _ := root.Find(args)
				return subcommand(found, rest)
			}
		}
	}
	return root
}

// subcommand refuses the arguments of a command that only groups others: what
// is left over is a command that does not exist.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("there is no command %q", cmd.CommandPath()+" "+args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
	}
	return usageError(nil, errors.New(text))
}

// open reads the configuration and turns it into parts.
func (a *app) open() (*setup.Parts, error) {
	c, err := config.Load(a.configPath, os.Environ())
	if err != nil {
		return nil, err
	}
	return a.parts(c)
}

// parts are what a configuration comes to.
func (a *app) parts(c *config.Config) (*setup.Parts, error) {
	asOf, err := setup.AsOf(a.asOf, time.Now())
	if err != nil {
		return nil, setup.Usage(err)
	}
	return setup.Open(c, setup.Options{
		Version: version, Events: a.listener(), Shell: a.shell, Secrets: a.known, AsOf: asOf,
	})
}

// readsThePast gives a command that only reads the repository its flag.
func (a *app) readsThePast(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&a.asOf, "as-of", "",
		"read the repository as it was at this time, or so long ago; for buckets that keep versions")
	return c
}

// with runs fn with what the configuration comes to.
func (a *app) with(ctx context.Context, fn func(*setup.Parts) error) error {
	p, err := a.open()
	if err != nil {
		return err
	}
	defer func() { _ = p.Close(ctx) }()
	if at := p.Config.StandsIn(); !at.IsZero() {
		_, _ = fmt.Fprintf(a.err, "The copy in %s is the repository of this run, with its access and what it keeps.\n", at)
	}
	return fn(p)
}

// withRepository runs fn with the configured repository open.
func (a *app) withRepository(ctx context.Context, fn func(*setup.Parts, *repository.Repository) error) error {
	return a.with(ctx, func(p *setup.Parts) error {
		r, err := p.Repository(ctx)
		if err != nil {
			return err
		}
		return fn(p, r)
	})
}

// withSource runs fn with a set, of the configured repository or of its copies.
func (a *app) withSource(ctx context.Context, id string, fn func(*setup.Parts, setup.Source) error) error {
	return a.with(ctx, func(p *setup.Parts) error {
		from, err := p.Source(ctx, id)
		if err != nil {
			return err
		}
		return fn(p, from)
	})
}

// exactly makes a command take n arguments, with a message of our own.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError(nil, fmt.Errorf("want %s, got %d arguments", what, len(args)))
		}
		return nil
	}
}

// atMost makes a command take up to n arguments, with a message of our own.
func atMost(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > n {
			return usageError(nil, fmt.Errorf("want at most %s, got %d arguments", what, len(args)))
		}
		return nil
	}
}
