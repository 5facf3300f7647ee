package web

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"holdfast"
)

// OIDC lets people in whom an OpenID provider knows.
type OIDC struct {
	Issuer   string
	ClientID string
	Secret   holdfast.SecretFunc // of the client
	// Claim is what distinguishes people: "email" or "groups" for example. Operators
	// and Viewers are its values; "*" among Viewers is everybody.
	Claim     string
	Scopes    []string // asked for beside openid, profile and email
	Operators []string
	Viewers   []string
}

// roleOf is what a person with those values of the claim may do, "" for nothing.
func (o OIDC) roleOf(values []string) Role {
	among := func(list []string) bool {
		return slices.ContainsFunc(values, func(v string) bool { return v != "" && slices.Contains(list, v) })
	}
	switch {
	case among(o.Operators):
		return Operator
	case among(o.Viewers), slices.Contains(o.Viewers, "*"):
		return Viewer
	}
	return ""
}

// pending is a login that is under way, in a cookie of its own.
type pending struct{ State, Nonce, Verifier, To string }

const (
	pendingCookie = "holdfast-login"
	providerTime  = 10 * time.Second
)

// client is the provider, as it is now: it may have moved or rotated its keys.
func (s *site) client(ctx context.Context) (*oidc.Provider, oauth2.Config, error) {
	o := s.Access.OIDC
	provider, err := oidc.NewProvider(ctx, o.Issuer)
	if err != nil {
		return nil, oauth2.Config{}, &holdfast.Problem{
			Class: holdfast.Unreachable, What: "the OpenID provider does not answer", Err: err,
			Do: "Check `page.oidc.issuer`.",
		}
	}
	secret, err := o.Secret(ctx)
	if err != nil {
		return nil, oauth2.Config{}, err
	}
	return provider, oauth2.Config{
		ClientID: o.ClientID, ClientSecret: secret.Reveal(), Endpoint: provider.Endpoint(),
		RedirectURL: strings.TrimSuffix(s.Access.URL, "/") + "/login/oidc/back",
		Scopes:      append([]string{oidc.ScopeOpenID, "profile", "email"}, o.Scopes...),
	}, nil
}

func (s *site) toProvider(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), providerTime)
	defer cancel()
	_, client, err := s.client(ctx)
	if err != nil {
		s.problem(w, r, http.StatusBadGateway, err)
		return
	}
	p := pending{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), To: target(r)}
	text, _ := json.Marshal(p)
	s.setPending(w, encode(text), 600)
	http.Redirect(w, r, client.AuthCodeURL(p.State, oidc.Nonce(p.Nonce), oauth2.S256ChallengeOption(p.Verifier)),
		http.StatusSeeOther)
}

func (s *site) setPending(w http.ResponseWriter, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: pendingCookie, Value: value, Path: "/login/oidc", MaxAge: age, HttpOnly: true,
		Secure: strings.HasPrefix(s.Access.URL, "https://"), SameSite: http.SameSiteLaxMode,
	})
}

func (s *site) fromProvider(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), providerTime)
	defer cancel()
	who, role, to, err := s.known(ctx, r)
	s.setPending(w, "", -1)
	if err != nil {
		s.Events.Report(LoginFailed{Who: who, From: remote(r), Why: err.Error()})
		s.problem(w, r, http.StatusForbidden, err)
		return
	}
	s.enter(w, r, who, role, to)
}

// known is who the provider says it is, and what that person may do.
func (s *site) known(ctx context.Context, r *http.Request) (who string, role Role, to string, err error) {
	refused := func(what string, err error) (string, Role, string, error) {
		return who, "", "", &holdfast.Problem{
			Class: holdfast.Refused, What: what, Err: err, Do: "Log in again. If it repeats, compare `page.oidc` with the provider.",
		}
	}
	var p pending
	cookie, err := r.Cookie(pendingCookie)
	if err != nil || json.Unmarshal(decode(cookie.Value), &p) != nil || p.State == "" ||
		subtle.ConstantTimeCompare([]byte(p.State), []byte(r.FormValue("state"))) != 1 {
		return refused("this login was not begun in this browser, or too long ago", nil)
	}
	if failure := r.FormValue("error"); failure != "" {
		return refused("the OpenID provider refused the login: "+failure, nil)
	}
	provider, client, err := s.client(ctx)
	if err != nil {
		return who, "", "", err
	}
	token, err := client.Exchange(ctx, r.FormValue("code"), oauth2.VerifierOption(p.Verifier))
	if err != nil {
		return refused("the OpenID provider gave no token", err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: client.ClientID}).Verify(ctx, raw)
	if err != nil || id.Nonce != p.Nonce {
		return refused("the OpenID provider's token does not verify", err)
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return refused("the OpenID provider's token cannot be read", err)
	}
	if err := s.more(ctx, provider, token, id.Subject, claims); err != nil {
		return refused("the OpenID provider does not say who it is", err)
	}
	who = first(texts(claims["email"]), texts(claims["preferred_username"]), []string{id.Subject})
	claim := s.Access.OIDC.Claim
	if verified, said := claims["email_verified"].(bool); claim == "email" && said && !verified {
		return refused("the address of "+who+" is not verified", nil)
	}
	if role = s.Access.OIDC.roleOf(texts(claims[claim])); role == "" {
		return refused(fmt.Sprintf("%s has no role here", who), nil)
	}
	return who, role, p.To, nil
}

// more adds what the provider says of a person elsewhere, where the token lacks the
// claim: a provider has to put no more than the subject into it (OpenID Connect Core,
// section 5.4).
func (s *site) more(
	ctx context.Context, provider *oidc.Provider, token *oauth2.Token, subject string, claims map[string]any,
) error {
	if _, there := claims[s.Access.OIDC.Claim]; there || provider.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return err
	}
	if info.Subject != subject { // of another person: section 5.3.2
		return fmt.Errorf("the token is of %s, and the answer of %s", subject, info.Subject)
	}
	said := map[string]any{}
	if err := info.Claims(&said); err != nil {
		return err
	}
	for name, value := range said {
		if _, there := claims[name]; !there {
			claims[name] = value
		}
	}
	return nil
}

// texts are a claim's values: one text, or a list of them.
func texts(claim any) []string {
	switch c := claim.(type) {
	case string:
		return []string{c}
	case []any:
		var out []string
		for _, v := range c {
			if text, ok := v.(string); ok {
				out = append(out, text)
			}
		}
		return out
	}
	return nil
}

func first(lists ...[]string) string {
	for _, list := range lists {
		if len(list) > 0 && list[0] != "" {
			return list[0]
		}
	}
	return ""
}
