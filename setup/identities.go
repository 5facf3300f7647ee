package setup

import (
	"cmp"
	"context"
	"net"
	"net/url"
	"os"

	"holdfast"
	"holdfast/databases"
	"holdfast/identities"
	"holdfast/secrets"
)

// ThroughContainer, as the address of the validator app, reaches it in its
// container, where the bundle's nginx publishes no port.
const ThroughContainer = "container"

// Fetcher reaches the validator app as configured.
func (p *Parts) Fetcher(ctx context.Context) (identities.Fetcher, error) {
	i := p.Config.Identities
	if i == nil {
		return identities.Fetcher{}, &holdfast.Problem{
			Class: holdfast.Usage, What: "the configuration has no identities:",
			Why: "The identities hold the node's keys and are the second way back.",
			Do:  "Add identities: to holdfast.yaml; docs/operate.md has examples for each way to a token.",
		}
	}
	f := identities.Fetcher{
		BaseURL: i.URL, Address: i.Address, Events: p.Events, Timeout: p.within(identities.RequestTime),
	}
	var err error
	if i.CA != "" {
		if f.CA, err = os.ReadFile(i.CA); err != nil {
			return f, &holdfast.Problem{
				Class: holdfast.Usage, What: "identities.ca", Err: err,
				Do: "Correct it in holdfast.yaml, or make the file readable.",
			}
		}
	}
	if i.Address == ThroughContainer {
		f.Address = ""
		if f.Dial, err = p.kind.App(ctx); err != nil {
			return f, err
		}
	}
	if f.Dial == nil {
		f.Dial = p.throughTo(cmp.Or(f.Address, i.URL))
	}
	f.Tokens = learning{p.tokens(f.CA), p.Secrets}
	return f, nil
}

// throughTo is how an address that the configuration names is reached, a URL or
// host:port; nil: as usual.
func (p *Parts) throughTo(address string) Dial {
	host, port, err := net.SplitHostPort(address)
	if u, failed := url.Parse(address); failed == nil && u.Host != "" {
		host, port = u.Hostname(), cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		err = nil
	}
	if err != nil {
		return nil
	}
	return p.through(host, port)
}

// learning are tokens that are known as soon as there are any: who refuses one may
// repeat it.
type learning struct {
	from  identities.Tokens
	known *secrets.Known
}

// Tokens implements identities.Tokens.
func (l learning) Tokens(ctx context.Context) ([]holdfast.Secret, error) {
	tokens, err := l.from.Tokens(ctx)
	for _, token := range tokens {
		l.known.Learn(token)
	}
	return tokens, err
}

// tokens is the configured way to a token.
func (p *Parts) tokens(ca []byte) identities.Tokens {
	switch a := p.Config.Identities.Auth; a.Mode {
	case "oidc":
		return identities.ClientCredentials{
			Issuer: a.Issuer, ClientID: a.ClientID, ClientSecret: p.Secret(a.ClientSecret),
			Audience: a.Audience, Resource: a.Resource, Scope: a.Scope, Basic: a.Basic, CA: ca,
			Timeout: p.within(identities.RequestTime),
		}
	case "unsafe":
		return identities.UnsafeTokens{Audience: a.Audience, Users: a.Users}
	default:
		return identities.StaticToken{Read: p.Secret(a.Token)}
	}
}

// ExportIdentities takes the identities dump from the validator app or from a
// file, as configured. It tries the app that often, or as often as is usual for
// 0.
func (p *Parts) ExportIdentities(
	ctx context.Context, attempts int,
) (func(context.Context) ([]byte, error), error) {
	if p.Config.Identities != nil && p.Config.Identities.File != "" {
		return identities.File{Path: p.Config.Identities.File}.Fetch, nil
	}
	f, err := p.Fetcher(ctx)
	f.Attempts = attempts
	return f.Fetch, err
}

// IdentitiesBackup fetches, seals and keeps the identities as configured.
func (p *Parts) IdentitiesBackup(ctx context.Context) (identities.Backup, error) {
	fetch, err := p.ExportIdentities(ctx, 0)
	if err != nil {
		return identities.Backup{}, err
	}
	b := identities.Backup{Fetch: fetch, Events: p.Events}
	if b.Recipients, err = identities.ParseRecipients(p.Config.Identities.Recipients); err != nil {
		return b, err
	}
	for _, k := range p.Config.Identities.Keep {
		if keeper := p.keeper(k); k.InClear() {
			b.InClear = append(b.InClear, keeper)
		} else {
			b.Keepers = append(b.Keepers, keeper)
		}
	}
	return b, nil
}

// Fetched is a dump of the identities that was fetched and judged.
type Fetched struct {
	*identities.Dump
	Data   []byte
	Report identities.Report
}

// FetchIdentities takes the dump out of the validator app and judges it, with
// the node's participant database next to it where that answers.
func (p *Parts) FetchIdentities(ctx context.Context, live databases.Live) (Fetched, error) {
	return p.fetchIdentities(ctx, 0, func() *identities.Participant { return LiveParticipant(ctx, live) })
}

// KeepIdentities fetches the identities, and keeps them sealed in the configured
// places.
func (p *Parts) KeepIdentities(ctx context.Context) (holdfast.IdentityFacts, identities.Report, error) {
	kept, err := p.IdentitiesBackup(ctx)
	if err != nil {
		return holdfast.IdentityFacts{}, nil, err
	}
	live, _ := p.Databases(ctx) // of a node that is not to be had, the checks that compare cannot tell
	fetched, err := p.FetchIdentities(ctx, live)
	if err != nil {
		return holdfast.IdentityFacts{}, nil, err
	}
	facts, err := kept.Keep(ctx, fetched.Dump, fetched.Data, fetched.Report)
	return facts, fetched.Report, err
}

// fetchIdentities fetches a dump; the participant to compare it with is looked
// for when the dump is there.
func (p *Parts) fetchIdentities(
	ctx context.Context, attempts int, participant func() *identities.Participant,
) (Fetched, error) {
	fetch, err := p.ExportIdentities(ctx, attempts)
	if err != nil {
		return Fetched{}, err
	}
	data, err := fetch(ctx)
	if err != nil {
		return Fetched{}, err
	}
	dump, err := identities.Parse(data)
	if err != nil {
		return Fetched{}, err
	}
	return Fetched{Dump: dump, Data: data, Report: dump.Check(participant())}, nil
}

// LiveParticipant is what the participant's database says about itself now; nil
// when it does not answer, and the checks that need it then cannot tell.
func LiveParticipant(ctx context.Context, live databases.Live) *identities.Participant {
	for _, c := range live.Components {
		if c.Kind != holdfast.Participant {
			continue
		}
		facts, err := live.Facts(ctx, c.Name)
		if err != nil {
			return nil
		}
		return identities.ParticipantOf(facts.Participant)
	}
	return nil
}
