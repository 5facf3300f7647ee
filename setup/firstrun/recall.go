package firstrun

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"holdfast"
	"holdfast/node/compose"
	"holdfast/repository"
	"holdfast/setup"
)

// recall sets Holdfast up for a node that is to come back on a machine that has
// nothing of it yet: what its containers would say is read from the newest set
// of a repository that is there. It reports false where there is none.
func (r *run) recall(ctx context.Context, engine *compose.Engine) (done bool, err error) {
	if r.Repository == "" || r.Password == "" || len(r.Databases) > 0 {
		return false, nil
	}
	store, err := r.store(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = store.Close(ctx) }()
	set, err := newestOf(ctx, store, compose.Kind, holdfast.NodeName(r.Node))
	if err != nil || set.ID == "" {
		return false, err
	}
	_, files, err := store.Find(ctx, set.Node.Name, string(set.ID))
	if err != nil {
		return false, err
	}
	if r.Bundle != "" {
		if r.Bundle, err = filepath.Abs(r.Bundle); err != nil {
			return false, err
		}
	}
	n, _, err := compose.Recorded(ctx, engine, set, files, compose.Site{Project: r.Project, Directory: r.Bundle, Services: r.Services})
	if err != nil {
		return false, err
	}
	r.take(set, n)
	r.options.Events.Report(Recalled{Set: set, Lines: n.About()})
	return true, nil
}

// store opens the repository that is there.
func (r *run) store(ctx context.Context) (*repository.Repository, error) {
	here, _ := os.Getwd()
	password, err := setup.Secrets(here, r.options.Secrets).Of(r.Password)(ctx)
	if err != nil {
		return nil, err
	}
	at, err := setup.PlaceOf("--repository", r.Repository)
	if err != nil {
		return nil, err
	}
	by, err := r.by()
	if err != nil {
		return nil, err
	}
	return repository.Open(ctx, at, password, by)
}

// take takes from a set, and from how its node ran, what was not given.
func (r *run) take(set holdfast.Set, n *compose.Node) {
	r.takeSet(set)
	r.Project = n.Project
	r.fill(n)
}

// takeSet takes from a set what was not given.
func (r *run) takeSet(set holdfast.Set) {
	r.recalled, r.made.ToRestore = set, true
	r.Node = string(set.Node.Name)
	if set.Identities == nil {
		r.URL = "-"
	} else if len(r.Recipients) == 0 {
		r.Recipients = set.Identities.Recipients
	}
}

// formerRecipients seals to the recovery keys that the node's sets are sealed to,
// where its repository is there and no other key was named: a node that comes back
// has one already. What is wrong with the repository is said when it is tried.
func (r *run) formerRecipients(ctx context.Context) {
	if len(r.Recipients) > 0 || r.Password == "" || r.URL == "-" {
		return
	}
	store, err := r.store(ctx)
	if err != nil {
		return
	}
	defer func() { _ = store.Close(ctx) }()
	set, _, err := store.Latest(ctx, holdfast.NodeName(r.Node), holdfast.Proven)
	if err == nil && set.Identities != nil {
		r.Recipients = set.Identities.Recipients
	}
}

// newestOf is the newest set of a node of that kind, a proven one if there is one. Where
// several nodes have sets, one has to be chosen.
func newestOf(
	ctx context.Context, store *repository.Repository, kind string, node holdfast.NodeName,
) (newest holdfast.Set, err error) {
	list, err := store.Manifests(ctx, node)
	if err != nil {
		return holdfast.Set{}, err
	}
	var nodes []string
	for _, m := range list {
		if m.Err != nil || m.Set.Deployment == nil || m.Set.Deployment.Kind != kind {
			continue
		}
		if name := string(m.Set.Node.Name); !slices.Contains(nodes, name) {
			nodes = append(nodes, name)
		}
		if newest.ID == "" || better(m.Set, newest) {
			newest = m.Set
		}
	}
	if len(nodes) > 1 {
		return holdfast.Set{}, &holdfast.Problem{
			Class: holdfast.Usage, What: "the repository has sets of several nodes: " + strings.Join(nodes, ", "),
			Why: "Each comes back by itself.", Do: "Choose one: --node " + nodes[0],
		}
	}
	return newest, nil
}

// better is a set that is proven where the other one is not, or is newer.
func better(a, b holdfast.Set) bool {
	if proven := a.State == holdfast.Proven; proven != (b.State == holdfast.Proven) {
		return proven
	}
	return a.ID > b.ID
}

// another refuses to back a node up under the name of another one, of which the
// repository has sets: the newest set would be of the wrong node.
func (r *run) another(ctx context.Context, p *setup.Parts, participant string) error {
	store, err := p.Repository(ctx)
	if err != nil {
		return err
	}
	last, _, err := store.Latest(ctx, p.Node.Name, holdfast.Proven, holdfast.Unproven)
	if err != nil {
		return err
	}
	for _, c := range last.Parts() {
		f := c.Facts.Participant
		if f == nil || f.ParticipantID == "" || f.ParticipantID == participant {
			continue
		}
		return &holdfast.Problem{
			Class: holdfast.Refused,
			What: fmt.Sprintf("the repository's sets of node %s are of participant %s, and here runs participant %s",
				p.Node.Name, f.ParticipantID, participant),
			Why: "A set of the one that runs here would be taken for the newest of the one that is to come back.",
			Do: "To bring the old one back: the same with --no-backup, then `holdfast restore latest`. " +
				"To back up the one that runs here: another --node.",
		}
	}
	return nil
}
