package imitation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// Main is one program: its name and arguments come first, the environment says
// the rest. It returns when the program has been asked to stop, or has failed.
func Main(args, environ []string, log io.Writer) error {
	if len(args) == 0 {
		return errors.New("usage: splice participant|validator|canton|splice|nginx|page|healthy|chown")
	}
	given := environmentOf(environ)
	env := given.get
	ctx := untilStopped(args[0], env, log)
	var err error
	switch name := args[0]; name {
	case "participant":
		var p *Participant
		if p, err = participantOf(given, log); err == nil {
			err = p.Run(ctx)
		}
	case "validator":
		var a *ValidatorApp
		if a, err = validatorAppOf(given, log); err == nil {
			err = a.Run(ctx)
		}
	case "canton", "splice":
		err = localNet(ctx, name, env, log)
	case "nginx":
		err = proxy(ctx)
	case "page":
		err = page(ctx)
	case "healthy":
		for _, target := range args[1:] {
			err = errors.Join(err, healthy(target))
		}
		if err == nil {
			rest()
		}
	case "chown":
		err = chown(args[1:])
	default:
		err = fmt.Errorf("no program %q", name)
	}
	if ctx.Err() != nil {
		return nil // it was stopped
	}
	return err
}

// untilStopped is a context that ends with a request to stop; a stubborn
// program ignores it.
func untilStopped(name string, env func(string) string, log io.Writer) context.Context {
	if slices.Contains(strings.Fields(env("IMITATION_STUBBORN")), name) {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		fmt.Fprintf(log, "%s: stubborn: asking it to stop will not help\n", name)
		return context.Background()
	}
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	return ctx
}

// localNet plays several nodes in one process, as LocalNet's containers canton
// and splice do. IMITATION_NODES lists them as name=prefix, the prefix being
// the digit that begins their ports.
func localNet(ctx context.Context, name string, env func(string) string, log io.Writer) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, entry := range strings.Fields(env("IMITATION_NODES")) {
		node, digit, _ := strings.Cut(entry, "=")
		prefix, err := strconv.Atoi(digit)
		if err != nil {
			return fmt.Errorf("IMITATION_NODES: %q: %w", entry, err)
		}
		ports := Ports{
			Ledger:  1000*prefix + 901,
			Admin:   1000*prefix + 902,
			Health:  1000*prefix + 961,
			Metrics: 1000*prefix + 913,
		}
		storage := func(program string) Storage {
			return Storage{
				Server:   env("DB_SERVER"),
				Port:     "5432",
				Database: program + "-" + node,
				Schema:   program,
				User:     env("DB_USER"),
				Password: env("DB_PASSWORD"),
			}
		}
		if name == "canton" {
			group.Go(func() error {
				return (&Participant{
					Storage: storage("participant"),
					Ports:   ports,
					Log:     log,
				}).Run(ctx)
			})
			continue
		}
		of := func(what string) string {
			return env("AUTH_" + strings.ToUpper(strings.ReplaceAll(node, "-", "_")) + "_" + what)
		}
		hint := node + "-localnet-1"
		a := &ValidatorApp{
			Storage:     storage("validator"),
			Participant: "canton",
			Ports:       ports,
			API:         1000*prefix + 903,
			Metrics:     1000*prefix + 914,
			PartyHint:   hint,
			Identifier:  hint,
			User:        of("VALIDATOR_USER_NAME"),
			Audience:    of("AUDIENCE"),
			Grace:       time.Second,
			Log:         log,
		}
		group.Go(func() error { return a.Run(ctx) })
	}
	return group.Wait()
}
