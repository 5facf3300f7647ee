package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/config"
	"holdfast/daemon"
	"holdfast/event"
	"holdfast/eventlog"
	"holdfast/setup"
)

// clock is what a service goes by. Tests replace it by one that wakes early.
var clock daemon.Clock = daemon.SystemClock{}

func newRun(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "run [FILE]...",
		Short: "Back up, check, verify, rehearse and drop sets on a schedule",
		Long: `Run until a signal ends it: take a set every four hours, send it to the copies,
check every hour, verify a sample daily, rehearse a restore weekly, drop what no
rule keeps daily, keep the identities in their places where no set did for a day.
"schedule:" in the configuration says otherwise. What was missed while the
machine slept is caught up on once, and what fails is tried again, ever less
often, within its interval.

Each event is a line of the log: text, or JSON with --output json. SIGHUP reads
the configuration again; a wrong one is refused, and the old one stays. Other
commands work next to it.

With http.listen in the configuration it answers requests: /healthz, /readyz and
/metrics, for Prometheus. With notices: it says when something is wrong.

One process serves several nodes: name their configurations, or a directory of
them.`,
		Example: `  # on a terminal
  holdfast run

  # several nodes, each with a configuration of its own
  holdfast run /etc/holdfast/nodes

  # for a log collector
  holdfast run --output json`,
		RunE: func(cmd *cobra.Command, files []string) error {
			a.ifInterrupted = "What was under way is done again when it is started again."
			if len(files) == 0 {
				files = []string{a.configPath}
			}
			return a.run(cmd.Context(), files)
		},
	}
}

// run serves the configured nodes until the context ends.
func (a *app) run(ctx context.Context, files []string) error {
	log := slog.New(a.logHandler())
	s, err := setup.ServeAll(files,
		func(path string) (*config.Config, error) { return config.Load(path, os.Environ()) },
		setup.Options{
			Version: version, Events: eventlog.To(ctx, log, a.known.Hide), Shell: a.shell, Secrets: a.known,
		},
		func(node string) event.Listener {
			return eventlog.To(ctx, log, a.known.Hide, slog.String("node", node))
		})
	if err == nil {
		err = s.Try()
	}
	if err != nil {
		return err
	}
	s.Clock = clock
	defer a.reload(ctx, s, log)()
	if err = s.Run(ctx); errors.Is(err, context.Canceled) {
		return nil // a signal ended it
	}
	return err
}

// logHandler writes to standard error, without secrets or control characters.
func (a *app) logHandler() slog.Handler {
	if a.output == "json" {
		return slog.NewJSONHandler(a.err, nil)
	}
	return slog.NewTextHandler(a.err, nil)
}

// reload reads the configuration again on SIGHUP.
func (a *app) reload(ctx context.Context, s *setup.Services, log *slog.Logger) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			if err := s.Reload(); err != nil {
				_, do := holdfast.Advice(err)
				log.ErrorContext(ctx, "config.Refused", "cause", a.known.Hide(err.Error()), "next", do,
					"text", "the configuration was not read again: the former one stays")
				continue
			}
			log.InfoContext(ctx, "config.Read", "text", "the configuration was read again")
		}
	}()
	return func() { signal.Stop(signals) }
}
