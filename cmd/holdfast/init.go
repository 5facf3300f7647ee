package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"holdfast"
	"holdfast/event"
	"holdfast/setup"
	"holdfast/setup/firstrun"
	"holdfast/size"
)

func newInit(a *app) *cobra.Command {
	var f firstrun.Answers
	var answers answers
	var stopped bool
	c := &cobra.Command{
		Use:   "init",
		Short: "Write the configuration, try every connection, create the repository",
		Long: `Set Holdfast up for a node: try every connection and say what each database
holds, fetch the identities once, make the keys, create the repository, and
write a commented configuration. It prompts for what the flags do not give.
Nothing is created before everything has been tried.

On a machine that runs the Splice validator's compose bundle, nothing has to be
given: the node is found through the Docker Engine, and after one confirmation
Holdfast is set up and takes the first set.

With --kube the node is found in Kubernetes, by what its pods are started with,
from a pod of the cluster or from a machine with a kubeconfig. Passwords stay in
their Secrets: the configuration refers to them.

On a machine that has nothing of the node yet, name the repository that is there
and its password: everything else is read from the newest set, and the next
command is "holdfast restore". With --restore it follows at once.

The recovery key, which opens the sealed identities, is shown once and stored
nowhere; only its public part goes into the configuration.`,
		Example: `  # asks for what it needs
  holdfast init

  # a compose validator on this machine, from a script
  holdfast init --yes --recovery-key-file /root/holdfast.key

  # a recovery key that nobody has whole: three of five people open together
  holdfast init --yes --recovery-shares 5 --recovery-threshold 3

  # a validator in Kubernetes, from a machine with a kubeconfig
  holdfast init --kube --context production --namespace validator

  # a new machine, on which the node comes back from a bucket
  holdfast init --repository 's3://example-holdfast/validator-1?region=eu-central-1' \
    --repository-password file:/root/password --restore

  # a compose validator without authentication
  holdfast init --node my-validator --repository /var/backups/holdfast \
    --database validator=postgres://cnadmin@db/validator --database participant=postgres://cnadmin@db/participant-4 \
    --identities-url http://wallet.localhost --auth unsafe --audience https://validator.example.com`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if stopped && !f.Back {
				return usageError(nil, errors.New("--original-stopped: it is for a restore: add --restore"))
			}
			err := a.init(cmd.Context(), f, answers)
			if err != nil || !f.Back {
				return err
			}
			a.ifInterrupted = "`holdfast restore latest` resumes, `holdfast restore undo` rolls back."
			return a.restore(cmd.Context(), "latest", restoreFlags{yes: f.Certain, originalStopped: stopped})
		},
	}
	initFlags(c.Flags(), &f, &answers)
	c.Flags().BoolVar(&f.Back, "restore", false, "then restore the newest proven set of the repository that is there")
	c.Flags().BoolVar(&stopped, "original-stopped", false, "with --restore: the node that the set was taken of is stopped and cannot start again")
	return c
}

// initFlags are the answers that can be given beforehand.
func initFlags(fl *pflag.FlagSet, f *firstrun.Answers, answers *answers) {
	fl.StringVar(&f.Node, "node", "", "the node's name in the repository")
	fl.StringArrayVar(&f.Databases, "database", nil, "COMPONENT=CONNECTION; the components validator and participant are known by name, others are apps'; repeatable")
	fl.StringArrayVar(&f.Passwords, "database-password", nil, "COMPONENT=REFERENCE to the password of a --database (file:, env:, exec:, vault: and others); repeatable")
	fl.StringVar(&f.Repository, "repository", "", "place of the repository: a directory, or a bucket or server such as s3://BUCKET/PREFIX?region=REGION")
	fl.StringVar(&f.Password, "repository-password", "", "reference to an existing password (file:, env:, exec:, vault: and others); without it one is made")
	fl.StringArrayVar(&f.Access, "repository-access", nil, "PART=REFERENCE to what opens the repository's place: id, secret, token, key; ca and known_hosts are files; "+
		"without any, the vendor's own credentials; repeatable")
	fl.StringVar(&f.Tools, "tools", "", "directory of pg_dump and pg_restore")
	fl.StringVar(&f.URL, "identities-url", "", "address of the validator app, such as http://wallet.localhost; - for none")
	fl.StringVar(&f.Address, "identities-address", "", "host:port to connect to instead of the URL's host")
	fl.StringVar(&f.Auth, "auth", "", "how to get a token: oidc, unsafe, token")
	fl.StringVar(&f.Issuer, "issuer", "", "oidc: the issuer, or its discovery document's URL")
	fl.StringVar(&f.ClientID, "client-id", "", "oidc: the validator app's client id")
	fl.StringVar(&f.ClientSecret, "client-secret", "", "oidc: reference to the client secret (file:, env:, exec:, vault: and others)")
	fl.StringVar(&f.Audience, "audience", "", "the validator app's audience")
	fl.StringVar(&f.Token, "token", "", "token: reference to the token (file:, env:, exec:, vault: and others)")
	fl.StringArrayVar(&f.Recipients, "recipient", nil, "age or SSH public key to seal the identities to; without any a recovery key is made; repeatable")
	fl.StringArrayVar(&f.Keep, "keep", nil, "place that gets a sealed copy of the identities: a directory, which also gets a copy of what opens the repository, "+
		"or a manager of secrets such as vault://HOST/MOUNT/PATH; repeatable")
	fl.StringVar(&f.KeyFile, "recovery-key-file", "", "write the new recovery key into this file instead of showing it; it must not exist")
	fl.IntVar(&f.Shares, "recovery-shares", 0, "make a recovery key in so many shares, for one person each, instead of a whole one")
	fl.IntVar(&f.Threshold, "recovery-threshold", 0, "how many of the shares open the identities together")
	fl.StringVar(&f.ShareDir, "recovery-shares-directory", "", "write the shares into files there instead of showing them; none may exist")
	fl.IntVar(&f.ErrorCorrection, "error-correction", 0, "store this much redundancy with the data, in percent (1 to 100), so that flipped bits can be put right")
	fl.StringVar(&f.ObjectLock, "object-lock", "",
		"MODE:PERIOD, such as compliance:30d: lock what is stored in a bucket against deletion; maintenance extends it")
	fl.BoolVar(&f.Kube, "kube", false, "find the node in Kubernetes, in the pod's own cluster or in that of kubectl")
	fl.StringVar(&f.Context, "context", "", "context of the kubeconfig, if not the current one")
	fl.StringVar(&f.Namespace, "namespace", "", "namespace of the node; without it, the only validator of the cluster")
	fl.StringVar(&f.Project, "project", "", "compose project of the node, where several run here")
	fl.StringToStringVar(&f.Services, "service", nil, "ROLE=CONTAINER of participant, validator or postgres, where several containers may be it; in Kubernetes "+
		"validator=WORKLOAD; repeatable")
	fl.StringVar(&f.Bundle, "bundle", "", "where the bundle's files are, if a restore is to find them elsewhere than they were")
	fl.StringVar(&f.DockerHost, "docker-host", "", "the Docker daemon, if not the one that the docker command finds")
	fl.BoolVar(&f.Certain, "yes", false, "set up the node that is found without asking, and with --restore restore it")
	fl.BoolVar(&f.NoBackup, "no-backup", false, "do not take the first set of a node that is found")
	fl.BoolVar(&answers.noInput, "no-input", false, "never ask; fail where something is missing")
}

func (a *app) init(ctx context.Context, f firstrun.Answers, operator answers) error {
	path, err := filepath.Abs(a.configPath)
	if err != nil {
		return err
	}
	a.ifInterrupted = "Nothing was created, or the configuration is there and all that belongs to it."
	f.HideKey = a.output == "json"
	operator.app, operator.in, operator.certain = a, bufio.NewReader(a.in), f.Certain
	made, err := firstrun.Run(ctx, path, f, operator, setup.Options{
		Version: version, Events: a.firstRun(), Shell: a.shell, Secrets: a.known,
	})
	if err != nil {
		return err
	}
	if f.Back && a.output == "json" {
		return nil // the one document is the restore's
	}
	made.Secrets, made.Recipients = atLeast(made.Secrets), atLeast(made.Recipients)
	return a.result("setup", made, func() {
		if made.Set != "" {
			a.printSet(made.First)
		}
		a.printMade(made, f.KeyFile)
		if !f.Back {
			a.printNext(made)
		}
	})
}

// answers is the operator before a terminal.
type answers struct {
	app     *app
	in      *bufio.Reader
	certain bool
	noInput bool
}

// Ask implements firstrun.Operator.
func (o answers) Ask(flag, question, fallback string) (string, error) {
	missing := usageError(nil, fmt.Errorf("%s is missing: %s", flag, question))
	if file, ok := o.app.in.(*os.File); o.noInput || !ok || !term.IsTerminal(int(file.Fd())) {
		return "", missing
	}
	o.app.say("%s", question)
	if fallback != "" {
		o.app.say(" [%s]", fallback)
	}
	o.app.say(": ")
	line, err := o.in.ReadString('\n')
	value := strings.TrimSpace(line)
	if value == "" && err == nil {
		value = fallback
	}
	if value == "" {
		return "", missing
	}
	return value, nil
}

// Agree implements firstrun.Operator.
func (o answers) Agree(question string) error {
	switch {
	case o.certain:
	case o.noInput || !o.app.asks():
		return usageError(nil, errors.New("--yes is missing: without a terminal nobody can confirm the setup"))
	case !o.app.confirm(question):
		return &holdfast.Problem{Class: holdfast.Interrupted, What: "nothing was set up"}
	}
	return nil
}

// say prints what is no result.
func (a *app) say(format string, args ...any) { _, _ = fmt.Fprintf(a.err, format, args...) }

// firstRun prints what a first run finds; what else happens shows as everywhere.
func (a *app) firstRun() event.Listener {
	progress := newProgress(a)
	return func(e event.Event) {
		if !a.printFound(e) {
			progress.hear(e)
		}
	}
}

// printFound prints what a first run finds. It reports false for other events.
func (a *app) printFound(e event.Event) bool {
	switch e := e.(type) {
	case firstrun.Found:
		a.say("Found in %s:\n\n", e.In)
		printBundle(a.err, e.Lines)
		then := map[bool]string{true: ", and take the first one now"}[e.Backup]
		a.say("\nHoldfast would call it %s, keep sets in %s%s.\n", e.Node, e.Repository, then)
	case firstrun.Recalled:
		s := e.Set
		a.say("In the repository: set %s of node %s, %s, taken %s on %s. It would come back as:\n\n",
			s.ID, s.Node.Name, s.State, when(s.Ended.Wall), s.Host)
		printBundle(a.err, e.Lines)
		a.say("\nHoldfast would write the configuration for that, and nothing else.\n")
	case firstrun.NothingFound:
		a.say("Docker: %s.\n", e.Why)
	case firstrun.DatabaseWorks:
		a.say("ok  %s: %s, Postgres %s, %d tables, %s\n",
			e.Component, short(e.Found), strings.Fields(e.Postgres)[0], len(e.Tables), size.Of(e.Bytes))
	case firstrun.IdentitiesWork:
		a.say("ok  identities: %s, %s\n", short(e.ID), count(e.Keys, "key"))
	case firstrun.DoesNotWork:
		a.say("??  %s\n", lines(e.Err.Error()))
	default:
		return false
	}
	return true
}

func (a *app) printMade(m firstrun.Made, keyFile string) {
	if m.Existing {
		a.printf("\nWrote %s. It uses the repository that was there: %s.\n", m.Config, m.Repository)
	} else {
		a.printf("\nWrote %s and created the repository %s.\n", m.Config, m.Repository)
	}
	if m.PasswordFile != "" {
		a.printf("\nThe repository's password is in %s.\n"+
			"Without it no set can be read: keep a copy away from this machine.\n", m.PasswordFile)
	}
	switch {
	case len(m.Shared.Shares) > 0:
		a.printf("\n")
		a.printShares(m.ShareFiles, m.Shared.Shares)
		a.printf("Any %d of the %d open the identities together.\n", m.Shared.Threshold, len(m.Shared.Shares))
	case m.Key.IsEmpty():
	case keyFile != "":
		a.printf("\nThe recovery key, which opens the identities, is in %s.\n"+
			"Move it away from this machine: here it protects nothing.\n", keyFile)
	default:
		a.printf("\nThe recovery key opens the identities. It is shown this once and stored nowhere.\n"+
			"Write it down and keep it away from this machine:\n\n  %s\n", m.Key.Reveal())
	}
}

func (a *app) printNext(m firstrun.Made) {
	command := "holdfast backup"
	if m.ToRestore {
		command = "holdfast restore latest"
	}
	here, _ := os.Getwd()
	if filepath.Base(m.Config) != "holdfast.yaml" || filepath.Dir(m.Config) != here {
		command += " --config " + m.Config
	}
	a.printf("\nNext: %s\n", command)
	if m.Chart != nil {
		a.printChart(*m.Chart)
	}
}

// printChart prints how the node is backed up from a pod of its cluster.
func (a *app) printChart(c firstrun.Chart) {
	a.printf("\nTo back up from a pod instead, keep this as values.yaml:\n\n%s\n", c.Values)
	a.printf("Make the Secret, and install the chart from a checkout of Holdfast:\n\n"+
		"  kubectl --namespace %s create secret generic %s", c.Namespace, c.Secret)
	for _, file := range c.Files {
		a.printf(" \\\n    --from-file=%s", file)
	}
	a.printf("\n  helm install holdfast packaging/helm/holdfast --namespace %s --values values.yaml\n", c.Namespace)
}
