package setup

import (
	"context"
	"net/http"
	"strings"
	"time"

	"holdfast"
	"holdfast/config"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/web"
)

// page is what is mounted at "/"; nil for none. Its settings are those of the
// first configuration that has some.
func page(ctx context.Context, services []*Service, version string) (http.Handler, error) {
	for _, s := range services {
		if !s.config().Page.Enabled() {
			continue
		}
		access, err := s.access(ctx)
		if err != nil {
			return nil, err
		}
		site := web.Site{
			Access: access, Version: version, Now: time.Now, Events: pageEvents(s, services), Hide: s.Options.hide,
		}
		for _, one := range services {
			site.Nodes = append(site.Nodes, one.pages())
		}
		return site.Handler()
	}
	return nil, nil
}

// access is who may see the pages.
func (s *Service) access(ctx context.Context) (a web.Access, err error) {
	return a, s.with(ctx, func(p *Parts) error {
		conf := p.Config.Page
		a.Open, a.URL = conf.Open, conf.URL
		for _, u := range conf.Users {
			hash, err := p.Secret(u.Password)(ctx)
			if err != nil {
				return err
			}
			a.Users = append(a.Users, web.User{
				Name: u.Name, Hash: holdfast.NewSecret(strings.TrimSpace(hash.Reveal())), Role: web.Role(u.Role),
			})
		}
		if o := conf.OIDC; o != nil {
			a.OIDC = oidcOf(*o, p.Secret(o.ClientSecret))
		}
		return nil
	})
}

func oidcOf(o config.PageOIDC, secret holdfast.SecretFunc) *web.OIDC {
	if secret == nil { // a public client
		secret = holdfast.Fixed(holdfast.Secret{})
	}
	claim := o.Claim
	if claim == "" {
		claim = "email"
	}
	return &web.OIDC{
		Issuer: o.Issuer, ClientID: o.ClientID, Secret: secret, Claim: claim, Scopes: o.Scopes,
		Operators: o.Operators, Viewers: o.Viewers,
	}
}

// pages are the node as its pages know it.
func (s *Service) pages() web.Node {
	request := func(task string) func(context.Context, string) error {
		return func(_ context.Context, by string) error {
			s.Request(task, "requested on the page by "+by)
			return nil
		}
	}
	node := web.Node{
		Name: holdfast.NodeName(s.config().Node), Reports: s.board.reports, Set: s.board.set, Live: s.board.live,
		Actions: web.Actions{
			BackUp: request(backupTask), Verify: request(verifyTask), Drill: request(drillTask),
			Pin: func(ctx context.Context, pin record.Pin) error {
				return s.onRepository(ctx, func(r *repository.Repository) error { return r.Pin(ctx, pin) })
			},
			Unpin: func(ctx context.Context, id holdfast.SetID, _ string) error {
				return s.onRepository(ctx, func(r *repository.Repository) error {
					return r.Unpin(ctx, holdfast.NodeName(s.config().Node), id)
				})
			},
		},
	}
	if n := s.config().Notices; len(n.To) > 0 || n.Heartbeat != "" {
		node.TestNotice = s.testNotices
	}
	return node
}

// testNotices sends a test to every target, and returns what failed.
func (s *Service) testNotices(ctx context.Context, _ string) error {
	return s.with(ctx, func(p *Parts) error {
		found, err := p.TestNotices(ctx, "")
		for _, f := range found {
			if err == nil && f.Verdict != holdfast.Holds {
				err = &holdfast.Problem{Class: holdfast.Unreachable, What: f.Subject + ": " + f.Found, Why: f.Why, Do: f.Do}
			}
		}
		return err
	})
}

// PinPatience is how long pinning waits for somebody who drops sets: that is
// done in moments.
const PinPatience = 30 * time.Second

// onRepository changes something small in the repository, and shows it.
func (s *Service) onRepository(ctx context.Context, fn func(*repository.Repository) error) error {
	return s.with(ctx, func(p *Parts) error {
		r, err := p.Repository(ctx)
		if err != nil {
			return err
		}
		r.Patience = PinPatience
		if err := fn(r); err != nil {
			return err
		}
		return s.board.refresh(ctx)
	})
}
