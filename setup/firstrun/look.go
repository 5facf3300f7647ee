package firstrun

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"strings"

	"holdfast/node/compose"
	"holdfast/setup"
)

// look finds the node of this machine, where no database is named by hand,
// shows it, and asks once whether to set it up.
func (r *run) look(ctx context.Context) error {
	if r.Kube {
		return r.lookInCluster(ctx)
	}
	if len(r.Databases) > 0 && r.Project == "" {
		return nil
	}
	engine, err := compose.Connect(r.DockerHost, 0)
	if err != nil {
		return r.notFound(err)
	}
	defer func() { _ = engine.Close() }()
	n, err := r.find(ctx, engine)
	var none *compose.NotFound
	if errors.As(err, &none) {
		if recalled, failed := r.recall(ctx, engine); failed != nil {
			return failed
		} else if recalled {
			return r.agree("Write it")
		}
	}
	if err != nil {
		return r.notFound(err)
	}
	r.Project = n.Project
	r.fill(n)
	r.options.Events.Report(Found{In: "Docker", Lines: n.Lines(ctx), Node: r.Node, Repository: r.Repository, Backup: !r.NoBackup})
	return r.agree("Set it up")
}

// agree asks for a yes, but not where the restore that follows asks once for all.
func (r *run) agree(question string) error {
	if r.Back {
		return nil
	}
	return r.operator.Agree(question)
}

// find finds the node. Where several containers may have a role, and nothing
// decides between them, the operator does.
func (r *run) find(ctx context.Context, engine *compose.Engine) (*compose.Node, error) {
	for {
		n, err := compose.Open(ctx, engine, compose.Site{Project: r.Project, Services: r.Services})
		var doubt *compose.Doubtful
		if !errors.As(err, &doubt) || r.Services[doubt.Role] != "" {
			return n, err
		}
		question := "Which container is the " + doubt.Role + ": " + strings.Join(doubt.Candidates, ", ")
		name, failed := r.operator.Ask("--service "+doubt.Role+"=...", question, doubt.Candidates[0])
		if failed != nil {
			return nil, err // which says the same, and who the candidates are
		}
		if r.Services == nil {
			r.Services = map[string]string{}
		}
		r.Services[doubt.Role] = name
	}
}

// notFound passes over a machine without a node, unless one was requested, and
// says why there is none.
func (r *run) notFound(err error) error {
	var none *compose.NotFound
	var several *compose.Several
	var doubt *compose.Doubtful
	if r.Project != "" || r.Certain || errors.As(err, &several) || errors.As(err, &doubt) {
		return err
	}
	if errors.As(err, &none) {
		r.options.Events.Report(NothingFound{Why: strings.TrimSuffix(none.What, ".")})
	}
	return nil
}

// or gives a value that is missing.
func or(value *string, found string) { *value = cmp.Or(*value, found) }

// fill takes from the node's containers what was not given.
func (r *run) fill(n *compose.Node) {
	or(&r.Node, cmp.Or(n.Start().PartyHint, n.Project))
	or(&r.Repository, filepath.Join(r.dir, "repository"))
	if r.URL != "" {
		return
	}
	url, address, inside := n.App()
	r.URL = url
	or(&r.Address, address)
	if inside != nil {
		r.Address = setup.ThroughContainer
	}
	r.fillToken(n)
}

// fillToken takes the way to a token from what the validator app was started
// with.
func (r *run) fillToken(n *compose.Node) {
	env := n.Validator.Env
	or(&r.Audience, cmp.Or(env.Get("SPLICE_APP_VALIDATOR_AUTH_AUDIENCE"), "https://validator.example.com"))
	if n.Start().Auth == "none" {
		or(&r.Auth, "unsafe")
		user := env.Get("SPLICE_APP_VALIDATOR_LEDGER_API_AUTH_USER_NAME")
		if user != "" && user != "ledger-api-user" {
			r.Users = []string{user}
		}
		return
	}
	const prefix = "SPLICE_APP_VALIDATOR_LEDGER_API_AUTH_"
	or(&r.Auth, "oidc")
	or(&r.Issuer, env.Get(prefix+"URL"))
	or(&r.ClientID, env.Get(prefix+"CLIENT_ID"))
	or(&r.ClientSecret, "container:validator/"+prefix+"CLIENT_SECRET")
	or(&r.Scope, env.Get(prefix+"SCOPE"))
}
