package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"holdfast"
	"holdfast/node/compose"
	"holdfast/repository"
	"holdfast/setup"
)

// look finds the compose node of this machine, where no database is named by
// hand, shows it, and asks once whether to set it up.
func (a *app) look(ctx context.Context, s *draft) error {
	if len(s.databases) > 0 && s.project == "" {
		return nil
	}
	engine, err := compose.Connect(s.dockerHost)
	if err != nil {
		return a.notFound(s, err)
	}
	defer func() { _ = engine.Close() }()
	n, err := compose.Open(ctx, engine, s.project)
	var none *compose.NotFound
	if errors.As(err, &none) {
		if recalled, failed := a.recall(ctx, s, engine); failed != nil {
			return failed
		} else if recalled {
			return a.agree(s, "Write it")
		}
	}
	if err != nil {
		return a.notFound(s, err)
	}
	s.project = n.Project
	s.fill(n)
	_, _ = fmt.Fprintf(a.err, "Found in Docker:\n\n")
	a.printBundle(a.err, n)
	then := ", and take the first one now"
	if s.noBackup {
		then = ""
	}
	_, _ = fmt.Fprintf(a.err, "\nHoldfast would call it %s, keep sets in %s%s.\n", s.node, s.repository, then)
	return a.agree(s, "Set it up")
}

// agree asks once, unless that was answered by a flag.
func (a *app) agree(s *draft, question string) error {
	switch {
	case s.yes:
	case s.noInput || !a.asks():
		return usageError(nil, errors.New("--yes is missing: nobody can be asked whether to set up this node"))
	case !a.confirm(question):
		return &holdfast.Problem{Class: holdfast.Interrupted, What: "nothing was set up"}
	}
	return nil
}

// notFound passes over a machine without a compose node, unless one was asked
// for, and says why there is none.
func (a *app) notFound(s *draft, err error) error {
	var none *compose.NotFound
	var several *compose.Several
	if s.project != "" || s.yes || errors.As(err, &several) {
		return err
	}
	if errors.As(err, &none) {
		_, _ = fmt.Fprintf(a.err, "Docker: %s.\n", strings.TrimSuffix(none.What, "."))
	}
	return nil
}

// fill takes from the node's containers what was not given.
func (s *draft) fill(n *compose.Node) {
	or := func(value *string, found string) { *value = cmp.Or(*value, found) }
	start := n.Start()
	or(&s.node, cmp.Or(start.PartyHint, n.Project))
	or(&s.repository, filepath.Join(s.Dir, "repository"))
	if s.url != "" {
		return
	}
	url, address, inside := n.App()
	s.url = url
	or(&s.address, address)
	if inside != nil {
		s.address = setup.ThroughContainer
	}
	env := n.Validator.Env
	or(&s.audience, cmp.Or(env.Get("SPLICE_APP_VALIDATOR_AUTH_AUDIENCE"), "https://validator.example.com"))
	if start.Auth == "none" {
		or(&s.mode, "unsafe")
		if user := env.Get("SPLICE_APP_VALIDATOR_LEDGER_API_AUTH_USER_NAME"); user != "" && user != "ledger-api-user" {
			s.users = []string{user}
		}
		return
	}
	const prefix = "SPLICE_APP_VALIDATOR_LEDGER_API_AUTH_"
	or(&s.mode, "oidc")
	or(&s.issuer, env.Get(prefix+"URL"))
	or(&s.clientID, env.Get(prefix+"CLIENT_ID"))
	or(&s.secret, "container:validator/"+prefix+"CLIENT_SECRET")
	or(&s.scope, env.Get(prefix+"SCOPE"))
}

// first takes the first set of a compose node.
func (a *app) first(ctx context.Context, s *draft) (set holdfast.Set, err error) {
	if s.project == "" || s.noBackup || s.recalled.ID != "" {
		return set, nil
	}
	err = a.withRepository(ctx, func(p setup.Parts, r *repository.Repository) error {
		job, _, err := p.Backup(ctx, r, 0)
		if err != nil {
			return err
		}
		set, err = job.Run(ctx)
		return err
	})
	if err != nil {
		return set, fmt.Errorf("everything is set up, but the first set is not proven: %w", err)
	}
	return set, nil
}
