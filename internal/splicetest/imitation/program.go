package imitation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// Main is one program: its name and arguments come first, the environment says
// the rest. It returns when the program has been asked to stop, or has failed.
func Main(args []string, env func(string) string, log io.Writer) error {
	if len(args) == 0 {
		return errors.New("usage: splice participant|validator|canton|splice|nginx|page|healthy|chown")
	}
	ctx := asked(args[0], env, log)
	var err error
	switch name := args[0]; name {
	case "participant":
		err = participantOf(env, log).Run(ctx)
	case "validator":
		var a *ValidatorApp
		if a, err = validatorAppOf(env, log); err == nil {
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
	case "chown":
		err = chown(args[1:])
	default:
		err = fmt.Errorf("no program %q", name)
	}
	if ctx.Err() != nil {
		return nil // as we were asked
	}
	return err
}

// asked is a context that ends when the program is asked to stop; a stubborn
// one does not listen.
func asked(name string, env func(string) string, log io.Writer) context.Context {
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
	base := participantStorage(env)
	for _, entry := range strings.Fields(env("IMITATION_NODES")) {
		node, prefix, _ := strings.Cut(entry, "=")
		number := 0
		if _, err := fmt.Sscanf(prefix, "%d", &number); err != nil {
			return fmt.Errorf("IMITATION_NODES: %q: %w", entry, err)
		}
		ports := Ports{Ledger: 1000*number + 901, Admin: 1000*number + 902, Health: 1000*number + 961, Metrics: 1000*number + 913}
		if name == "canton" {
			storage := base
			storage.Database, storage.Schema = "participant-"+node, "participant"
			p := &Participant{Storage: storage, Ports: ports, Log: log}
			group.Go(func() error { return p.Run(ctx) })
			continue
		}
		a, err := validatorAppOf(env, log)
		if err != nil {
			return err
		}
		a.Storage = base
		a.Storage.Database, a.Storage.Schema = "validator-"+node, "validator"
		a.Ports, a.API, a.Metrics = ports, 1000*number+903, 1000*number+914
		a.PartyHint, a.Identifier = node+"-localnet-1", node+"-localnet-1"
		group.Go(func() error { return a.Run(ctx) })
	}
	return group.Wait()
}
