// Demonode runs a validator node for demonstrations: its databases on a real
// Postgres, its programs imitated. It says on standard output how to reach it
// and runs until it is interrupted; nothing of it stays behind.
//
//	go run ./internal/splicetest/cmd/demonode -mb 200 -rate 20 -output env
//
// SIGUSR1 stops the node's programs, its databases stay; another starts them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"holdfast/internal/splicetest"
)

// options are what the command line says.
type options struct {
	node     splicetest.NodeOptions
	app      splicetest.AppOptions
	load     splicetest.Load
	oidc     bool
	output   string
	untilEOF bool
}

func main() {
	o := parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdin, os.Stdout); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demonode:", err)
		stop()
		os.Exit(1)
	}
}

func parse() options {
	var o options
	mb := flag.Int64("mb", 50, "size of the participant's database, in megabytes")
	flag.StringVar(&o.node.Version, "postgres", "",
		"major version of Postgres (default: the newest that has pg_dump)")
	flag.StringVar(&o.node.Hint, "hint", "", "the node's party hint")
	flag.BoolVar(&o.node.TwoInstances, "two", false, "a Postgres server for each of the two databases")
	flag.BoolVar(&o.node.App, "app", false, "an application's database as well")
	flag.BoolVar(&o.node.KMS, "kms", false, "keys in a key management service")
	flag.BoolVar(&o.node.TCP, "tcp", false, "let Postgres listen on 127.0.0.1 too")
	flag.Float64Var(&o.load.Rate, "rate", 10, "ledger updates a second")
	flag.Int64Var(&o.load.PruneKeep, "keep", 0, "offsets that pruning leaves (0: no pruning)")
	flag.DurationVar(&o.load.PruneEvery, "prune-every", 10*time.Second, "time between prunings")
	flag.StringVar(&o.app.Addr, "addr", "", "address of the validator app (default: a free port of 127.0.0.1)")
	flag.StringVar(&o.app.Host, "host", "",
		"the only Host that the validator app answers, for example "+splicetest.ComposeHost)
	flag.StringVar(&o.app.Audience, "audience", splicetest.DefaultAudience, "audience of the validator app's tokens")
	flag.BoolVar(&o.oidc, "oidc", false,
		"authenticate by an OAuth2 server; otherwise by the unsafe tokens of a node without authentication")
	flag.StringVar(&o.output, "output", "json", "json or env: how to say where everything is")
	flag.BoolVar(&o.untilEOF, "until-eof", false, "end when standard input ends, too")
	flag.Parse()
	o.node.Bytes = *mb << 20
	o.load.Reconnect = true
	return o
}

// run starts everything, says where it is and keeps it going until the context
// ends.
func run(ctx context.Context, o options, stdin io.Reader, stdout io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.output != "json" && o.output != "env" {
		return fmt.Errorf("-output %s: json or env", o.output)
	}
	var issuer *splicetest.OIDC
	if o.oidc {
		if issuer, err = splicetest.StartOIDC(ctx, splicetest.OIDCOptions{}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, issuer.Close()) }()
		o.node.User, o.app.JWKS = issuer.ClientID, issuer.JWKS
	}
	node, err := splicetest.StartNode(ctx, o.node)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	app, err := node.StartValidatorApp(o.app)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Close()) }()
	if err := describe(stdout, o, node, app, issuer); err != nil {
		return err
	}
	if o.untilEOF {
		go func() {
			_, _ = io.Copy(io.Discard, stdin)
			cancel()
		}()
	}
	return programs(ctx, stdout, func(ctx context.Context) error { return node.Run(ctx, o.load) })
}

// programs runs the node's programs. SIGUSR1 stops them and starts them again,
// as an operator does around a restore; a comment on standard output says when
// they have stopped and started.
func programs(ctx context.Context, stdout io.Writer, run func(context.Context) error) error {
	toggle := make(chan os.Signal, 1)
	signal.Notify(toggle, syscall.SIGUSR1)
	defer signal.Stop(toggle)
	for {
		running, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- run(running) }()
		select {
		case err := <-ended:
			stop()
			return err
		case <-toggle:
			stop()
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			fmt.Fprintln(stdout, "# stopped")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-toggle:
			fmt.Fprintln(stdout, "# started")
		}
	}
}

// fact is one thing to know about the node.
type fact struct{ name, value string }

// describe says how to reach the node.
func describe(
	w io.Writer, o options, node *splicetest.Node, app *splicetest.ValidatorApp, issuer *splicetest.OIDC,
) error {
	facts := []fact{
		{"participant_dsn", node.ParticipantDSN()},
		{"validator_dsn", node.ValidatorDSN()},
		{"validator_url", app.URL()},
		{"validator_host", o.app.Host},
		{"audience", o.app.Audience},
		{"user", node.User},
		{"party", node.Party},
		{"participant_id", "PAR::" + node.Identities.ParticipantID},
		{"postgres_bin", node.Participant.Version.Bin},
	}
	if o.node.App {
		facts = append(facts, fact{"app_dsn", node.AppDSN()})
	}
	if o.node.TCP {
		facts = append(facts, fact{"participant_tcp_dsn", node.Participant.TCPDSN(splicetest.ParticipantDatabase)},
			fact{"validator_tcp_dsn", node.Validator.TCPDSN(splicetest.ValidatorDatabase)})
	}
	if issuer != nil {
		facts = append(facts, fact{"well_known_url", issuer.WellKnown}, fact{"client_id", issuer.ClientID},
			fact{"client_secret", issuer.ClientSecret})
	} else {
		facts = append(facts, fact{"token", splicetest.UnsafeToken(node.User, o.app.Audience)})
	}
	return printFacts(w, o.output, facts)
}

// printFacts writes facts as one JSON object, or as lines that a shell can
// evaluate.
func printFacts(w io.Writer, output string, facts []fact) error {
	if output == "env" {
		for _, f := range facts {
			if _, err := fmt.Fprintf(w, "DEMO_%s='%s'\n", strings.ToUpper(f.name),
				strings.ReplaceAll(f.value, "'", `'\''`)); err != nil {
				return err
			}
		}
		return nil
	}
	object := map[string]string{}
	for _, f := range facts {
		object[f.name] = f.value
	}
	return json.NewEncoder(w).Encode(object)
}
