package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"holdfast"
	"holdfast/config"
	"holdfast/node/compose"
	"holdfast/repository"
)

// recall sets Holdfast up for a node that is to come back on a machine that has
// nothing of it yet: what its containers would tell is read from the newest set
// of a repository that is there. It reports false where there is none.
func (a *app) recall(ctx context.Context, s *draft, engine *compose.Engine) (done bool, err error) {
	if s.repository == "" || s.password == "" || len(s.databases) > 0 {
		return false, nil
	}
	password, err := config.Reference(s.password).Secret(mustGetwd())(ctx)
	if err != nil {
		return false, err
	}
	at, err := placeOf("--repository", s.repository)
	if err != nil {
		return false, err
	}
	r, err := repository.Open(ctx, at, password)
	if err != nil {
		return false, err
	}
	defer func() { _ = r.Close(ctx) }()
	set, err := newestOfCompose(ctx, r, holdfast.NodeName(s.node))
	if err != nil || set.ID == "" {
		return false, err
	}
	_, files, err := r.Find(ctx, set.Node.Name, string(set.ID))
	if err != nil {
		return false, err
	}
	if s.bundle != "" {
		if s.bundle, err = filepath.Abs(s.bundle); err != nil {
			return false, err
		}
	}
	n, _, err := compose.Recorded(ctx, engine, set, files, compose.Site{Project: s.project, Directory: s.bundle})
	if err != nil {
		return false, err
	}
	s.recalled = set
	s.node, s.project = string(set.Node.Name), n.Project
	if set.Identities == nil {
		s.url = "-"
	} else if len(s.recipients) == 0 {
		s.recipients = set.Identities.Recipients
	}
	s.fill(n)
	_, _ = fmt.Fprintf(a.err, "In the repository: set %s of node %s, %s, taken %s on %s. It would come back as:\n\n", set.ID, set.Node.Name, set.State, when(set.Ended.Wall), set.Host)
	a.printBundle(a.err, n)
	_, _ = fmt.Fprintf(a.err, "\nHoldfast would write the configuration for that, and nothing else.\n")
	return true, nil
}

// newestOfCompose is the newest set of a node of Docker Compose, a proven one if
// there is one. Where several nodes have sets, one has to be chosen.
func newestOfCompose(ctx context.Context, r *repository.Repository, node holdfast.NodeName) (holdfast.Set, error) {
	list, err := r.Manifests(ctx, node)
	if err != nil {
		return holdfast.Set{}, err
	}
	var newest holdfast.Set
	var nodes []string
	for _, m := range list {
		if m.Err != nil || m.Set.Deployment == nil || m.Set.Deployment.Kind != "compose" {
			continue
		}
		if name := string(m.Set.Node.Name); !slices.Contains(nodes, name) {
			nodes = append(nodes, name)
		}
		better := m.State == holdfast.Proven && newest.State != holdfast.Proven
		same := (m.State == holdfast.Proven) == (newest.State == holdfast.Proven)
		if newest.ID == "" || better || same && m.Set.ID > newest.ID {
			newest = m.Set
		}
	}
	if len(nodes) > 1 {
		return holdfast.Set{}, &holdfast.Problem{Class: holdfast.Usage, What: "the repository has sets of several nodes: " + strings.Join(nodes, ", "),
			Why: "Each comes back by itself.", Do: "Choose one: --node " + nodes[0]}
	}
	return newest, nil
}

// another refuses to back a node up under the name of another one, of which the
// repository has sets: the newest set would be of the wrong node.
func (a *app) another(ctx context.Context, s *draft, conf *config.Config, participant string) error {
	password, err := conf.Repository.Password.Secret(s.Dir)(ctx)
	if err != nil {
		return err
	}
	r, err := repository.Open(ctx, conf.Repository.Place, password)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close(ctx) }()
	last, _, err := r.Latest(ctx, holdfast.NodeName(s.node), holdfast.Proven, holdfast.Unproven)
	if err != nil {
		return err
	}
	for _, c := range last.Captures {
		f := c.Facts.Participant
		if f == nil || f.ParticipantID == "" || f.ParticipantID == participant {
			continue
		}
		return &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("the repository's sets of node %s are of participant %s, and here runs participant %s", s.node, f.ParticipantID, participant),
			Why: "A set of the one that runs here would be taken for the newest of the one that is to come back.",
			Do:  "To bring the old one back: the same with --no-backup, then `holdfast restore latest`. To back up the one that runs here: another --node."}
	}
	return nil
}
