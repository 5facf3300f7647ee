package secretmanager

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"holdfast"
)

// The ways to log in to a Vault.
const (
	ByToken       = "token"      // from Token, VAULT_TOKEN or ~/.vault-token
	ByAppRole     = "approle"    // RoleID and SecretID
	ByKubernetes  = "kubernetes" // Role, and the token of the pod's service account
	ByCertificate = "cert"       // Certificate and Key; Role may name the certificate's role
)

// Logins are the ways to log in.
func Logins() []string { return []string{ByToken, ByAppRole, ByKubernetes, ByCertificate} }

// Login is how a token comes about.
type Login struct {
	Method   string // one of Logins; ByToken if empty
	Mount    string // where the method is enabled; its own name if empty
	Role     string
	Token    holdfast.SecretFunc
	RoleID   holdfast.SecretFunc
	SecretID holdfast.SecretFunc
	JWT      holdfast.SecretFunc // of the service account; read from the pod if nil
	// Certificate and Key are files in PEM, which TLS shows to the server whatever
	// the method is.
	Certificate, Key string
	Learn            func(holdfast.Secret) holdfast.Secret // hears of tokens; may be nil
}

// podToken is where Kubernetes puts the token of a pod's service account.
const podToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// token is a token with what is known of its life.
type token struct {
	value   holdfast.Secret
	expires time.Time // zero: unknown, or never
}

// margin is how long before its end a token is replaced.
const margin = 30 * time.Second

// complete checks a login, and loads its certificate.
func (l Login) complete(config *tls.Config) error {
	if l.Method != "" && !slices.Contains(Logins(), l.Method) {
		return fmt.Errorf("want one of %s as the method of auth", strings.Join(Logins(), ", "))
	}
	certificate, key := or(l.Certificate, vaultEnvironment("CLIENT_CERT")), or(l.Key, vaultEnvironment("CLIENT_KEY"))
	switch {
	case l.Method == ByAppRole && (l.RoleID == nil || l.SecretID == nil):
		return errors.New("auth by approle needs role_id and secret_id")
	case l.Method == ByKubernetes && l.Role == "":
		return errors.New("auth by kubernetes needs role")
	case l.Method == ByCertificate && certificate == "":
		return errors.New("auth by cert needs certificate and key")
	case certificate == "":
		return nil
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return errors.New("the certificate and the key of auth do not load: want two files in PEM that belong together")
	}
	config.Certificates = []tls.Certificate{pair}
	return nil
}

// renews reports whether a login makes tokens, so that another can be had.
func (l Login) renews() bool { return l.Method != "" && l.Method != ByToken }

// authenticated is a token that lives for a while.
func (v *Vault) authenticated(ctx context.Context, what string) (holdfast.Secret, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if t := v.token; !t.value.IsEmpty() && (t.expires.IsZero() || time.Until(t.expires) > margin) {
		return t.value, nil
	}
	var err error
	if v.login.renews() {
		v.token, err = v.logIn(ctx, what)
	} else {
		v.token, err = v.given(ctx, what)
	}
	return v.token.value, err
}

// logIn gets a token by a method of auth.
func (v *Vault) logIn(ctx context.Context, what string) (token, error) {
	l := v.login
	body := map[string]string{}
	var err error
	read := func(key string, from holdfast.SecretFunc) {
		if from == nil || err != nil {
			return
		}
		var s holdfast.Secret
		if s, err = from(ctx); err == nil {
			body[key] = s.Reveal()
		}
	}
	switch l.Method {
	case ByAppRole:
		read("role_id", l.RoleID)
		read("secret_id", l.SecretID)
	case ByKubernetes:
		body["role"] = l.Role
		jwt := l.JWT
		if jwt == nil {
			jwt = fromFile(podToken)
		}
		read("jwt", jwt)
	case ByCertificate:
		if l.Role != "" {
			body["name"] = l.Role
		}
	}
	if err != nil {
		return token{}, err
	}
	path := "auth/" + or(l.Mount, l.Method) + "/login"
	got, err := v.raw(ctx, what, http.MethodPost, path, holdfast.Secret{}, body)
	if err != nil {
		return token{}, err
	}
	var answered struct {
		Auth   lease    `json:"auth"`
		Errors []string `json:"errors"`
	}
	if err := v.decode(what, got, &answered); err != nil {
		return token{}, err
	}
	if !got.ok() || answered.Auth.Token == "" {
		message := fmt.Sprintf("%s, status %d: %s", path, got.status, strings.Join(answered.Errors, ", "))
		return token{}, notAccepted(what, message, "Check secret_managers.vault.auth in holdfast.yaml.")
	}
	return v.learned(answered.Auth), nil
}

// lease is what Vault says of a token that it makes or renews.
type lease struct {
	Token   string `json:"client_token"`
	Seconds int    `json:"lease_duration"`
}

func (v *Vault) learned(l lease) token {
	t := token{value: holdfast.NewSecret(l.Token)}
	if v.login.Learn != nil {
		v.login.Learn(t.value)
	}
	if l.Seconds > 0 {
		t.expires = time.Now().Add(time.Duration(l.Seconds) * time.Second)
	}
	return t
}

// given is the operator's own token. It is renewed when half of its life is over,
// if it can be, so that a node that is backed up keeps its token.
func (v *Vault) given(ctx context.Context, what string) (token, error) {
	value, err := v.own(ctx)
	if err != nil {
		return token{}, &holdfast.Problem{
			Class: holdfast.Usage, What: what + ": no credentials for Vault", Err: err,
			Do: "Write secret_managers.vault.auth in holdfast.yaml, set VAULT_TOKEN, or `vault login`.",
		}
	}
	if v.login.Learn != nil {
		v.login.Learn(value)
	}
	var self struct {
		Data struct {
			TTL       int  `json:"ttl"`
			Whole     int  `json:"creation_ttl"`
			Renewable bool `json:"renewable"`
		} `json:"data"`
	}
	got, err := v.raw(ctx, what, http.MethodGet, "auth/token/lookup-self", value, nil)
	switch {
	case err != nil:
		return token{}, err
	case standingOf(got) == invalid:
		return token{}, v.expired(what)
	case got.into(&self) != nil || self.Data.TTL <= 0:
		return token{value: value}, nil
	}
	t := token{value: value, expires: time.Now().Add(time.Duration(self.Data.TTL) * time.Second)}
	if self.Data.Renewable && self.Data.TTL < self.Data.Whole/2 {
		var renewed struct {
			Auth lease `json:"auth"`
		}
		got, err := v.raw(ctx, what, http.MethodPost, "auth/token/renew-self", value, map[string]string{})
		if err == nil && got.ok() && got.into(&renewed) == nil && renewed.Auth.Seconds > 0 {
			t.expires = time.Now().Add(time.Duration(renewed.Auth.Seconds) * time.Second)
		}
	}
	return t, nil
}

// own finds the operator's token.
func (v *Vault) own(ctx context.Context) (holdfast.Secret, error) {
	if v.login.Token != nil {
		return v.login.Token(ctx)
	}
	if text := vaultEnvironment("TOKEN"); text != "" {
		return holdfast.NewSecret(text), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return holdfast.Secret{}, errNoToken
	}
	s, err := fromFile(filepath.Join(home, ".vault-token"))(ctx)
	if err != nil || s.IsEmpty() {
		return holdfast.Secret{}, errNoToken
	}
	return s, nil
}

// fromFile reads a file with a secret on one line.
func fromFile(path string) holdfast.SecretFunc {
	return func(context.Context) (holdfast.Secret, error) {
		text, err := os.ReadFile(path)
		return holdfast.NewSecret(strings.TrimSpace(string(text))), err
	}
}

// standing is what a server says of a token.
type standing int

const (
	accepted standing = iota
	unclear           // it may not look at itself, or an old server does not accept it
	invalid
)

// standing asks the server about a token. Where no answer is to be had, it is
// accepted.
func (v *Vault) standing(ctx context.Context, token holdfast.Secret) standing {
	got, err := v.raw(ctx, "", http.MethodGet, "auth/token/lookup-self", token, nil)
	if err != nil {
		return accepted
	}
	return standingOf(got)
}

func standingOf(lookup answer) standing {
	switch {
	case lookup.status != http.StatusForbidden:
		return accepted
	case strings.Contains(string(lookup.body), "invalid token") || strings.Contains(string(lookup.body), "bad token"):
		return invalid
	}
	return unclear
}

// forget drops a token that is no longer accepted.
func (v *Vault) forget(t holdfast.Secret) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.token.value.Reveal() == t.Reveal() {
		v.token = token{}
	}
}

// Close implements Manager. It revokes the token of a login, so that none is left behind each time.
func (v *Vault) Close(ctx context.Context) error {
	v.mu.Lock()
	t := v.token.value
	v.token = token{}
	v.mu.Unlock()
	if t.IsEmpty() || !v.login.renews() {
		return nil
	}
	const what = "revoke the token of the login"
	_, err := v.raw(ctx, what, http.MethodPost, "auth/token/revoke-self", t, map[string]string{})
	return err
}

func (v *Vault) expired(what string) error {
	return notAccepted(what, "the token is expired, revoked or of another server",
		"Get another token: `vault login`, or correct secret_managers.vault.auth in holdfast.yaml.")
}

// VaultOfEnvironment is the address of the server that the environment names.
func VaultOfEnvironment() string { return vaultEnvironment("ADDR") }

// vaultEnvironment is a variable of OpenBao's command, or else of Vault's.
func vaultEnvironment(name string) string {
	return or(os.Getenv("BAO_"+name), os.Getenv("VAULT_"+name))
}
