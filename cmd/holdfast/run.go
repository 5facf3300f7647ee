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
	"holdfast/eventlog"
	"holdfast/setup"
)

func newRun(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Back up, check, verify, rehearse and drop sets on a schedule",
		Long: `Run until a signal ends it: take a set every four hours, send it to the copies,
check every hour, verify a sample daily, rehearse a restore weekly, drop what no
rule keeps daily. "schedule:" in the configuration says otherwise. What was
missed while the machine slept is caught up on once, and what fails is tried
again, ever less often, within its interval.

Each event is a line of the log: text, or JSON with --output json. SIGHUP reads
the configuration again; a wrong one is refused, and the old one stays. Other
commands work next to it.

With http.listen in the configuration it answers requests: /healthz, /readyz and
/metrics, for Prometheus.`,
		Example: `  # on a terminal
  holdfast run

  # for a log collector
  holdfast run --output json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.ifInterrupted = "What was under way is done again when it is started again."
			return a.run(cmd.Context())
		},
	}
}

// run serves the configured node until the context ends.
func (a *app) run(ctx context.Context) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	log := slog.New(a.logHandler())
	events := eventlog.To(ctx, log, a.known.Hide)
	s := setup.Serve(conf, setup.Options{Version: version, Events: events, Shell: a.shell, Secrets: a.known})
	if err := s.Try(); err != nil {
		return err
	}
	defer a.reload(ctx, s, log)()
	ctx, end := context.WithCancel(ctx)
	answered, err := setup.Listen(ctx, []*setup.Service{s}, version)
	if err != nil {
		end()
		return err
	}
	defer func() { end(); _ = answered() }()
	err = daemon.Daemon{Nodes: []daemon.Node{s.Node()}, Clock: daemon.SystemClock{}, Events: events}.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil // it was asked to end, and has
	}
	return err
}

func (a *app) load() (*config.Config, error) { return config.Load(a.configPath, os.Environ()) }

// logHandler writes to standard error, without secrets or control characters.
func (a *app) logHandler() slog.Handler {
	if a.output == "json" {
		return slog.NewJSONHandler(a.err, nil)
	}
	return slog.NewTextHandler(a.err, nil)
}

// reload reads the configuration again on SIGHUP.
func (a *app) reload(ctx context.Context, s *setup.Service, log *slog.Logger) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			conf, err := a.load()
			if err == nil {
				err = s.Replace(conf)
			}
			if err != nil {
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
