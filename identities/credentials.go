package identities

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"holdfast"
	"holdfast/grace"
)

// ClientCredentials obtains tokens by OAuth2 client credentials from any
// OpenID provider. The client is the validator app's own, or another whose
// token names a user with ParticipantAdmin and the operator's primary party:
// its secret gives full control of the node.
type ClientCredentials struct {
	// Issuer is the issuer's URL, or the full URL of its discovery document
	// (AUTH_WELLKNOWN_URL in Splice). For an issuer's URL the document must name
	// the same issuer. A full URL is used unchecked, as the validator app does,
	// because inside a cluster the two differ.
	Issuer       string
	ClientID     string
	ClientSecret holdfast.SecretFunc

	Audience string // the validator app's; Auth0 selects the API by it, Keycloak ignores it
	Resource string // the same by RFC 8707, for providers that need it
	Scope    string // separated by spaces
	Basic    bool   // send id and secret as HTTP basic authentication, not in the form

	CA      []byte        // PEM certificates, trusted in addition to the system's
	Timeout time.Duration // of each of the two requests; 30 s if 0
}

const whyToken = "Without a token the validator app does not export the identities."

// Tokens requests one token from the provider.
func (c ClientCredentials) Tokens(ctx context.Context) ([]holdfast.Secret, error) {
	client, err := connection{ca: c.CA, timeout: c.Timeout}.client()
	if err != nil {
		return nil, err
	}
	endpoint, err := c.discover(ctx, client)
	if err != nil {
		return nil, err
	}
	secret, err := c.ClientSecret(ctx)
	if err != nil {
		return nil, err
	}
	config := clientcredentials.Config{
		ClientID:       c.ClientID,
		ClientSecret:   strings.TrimSpace(secret.Reveal()),
		TokenURL:       endpoint,
		Scopes:         strings.Fields(c.Scope),
		EndpointParams: url.Values{},
		AuthStyle:      oauth2.AuthStyleInParams,
	}
	if c.Basic {
		config.AuthStyle = oauth2.AuthStyleInHeader
	}
	if c.Audience != "" {
		config.EndpointParams.Set("audience", c.Audience)
	}
	if c.Resource != "" {
		config.EndpointParams.Set("resource", c.Resource)
	}
	requesting, done := grace.Within(ctx, client.Timeout)
	defer done()
	token, err := config.Token(context.WithValue(requesting, oauth2.HTTPClient, client))
	switch {
	case err != nil && requesting.Err() != nil: // the library forgets why it could not read an answer
		return nil, unreachable(c.token(endpoint), context.Cause(requesting))
	case err != nil:
		return nil, c.refused(endpoint, err, config.ClientSecret)
	}
	return []holdfast.Secret{holdfast.NewSecret(token.AccessToken)}, nil
}

const wellKnown = "/.well-known/"

// discover finds the token endpoint in the discovery document.
func (c ClientCredentials) discover(ctx context.Context, client *http.Client) (string, error) {
	u, err := baseURL("the issuer", c.Issuer)
	if err != nil {
		return "", err
	}
	full := strings.Contains(u.Path, wellKnown)
	if !full {
		u = u.JoinPath(wellKnown, "openid-configuration")
	}
	what := "OpenID discovery at " + u.Redacted()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", unreachable(what, err)
	}
	defer func() { _ = response.Body.Close() }()
	const limit = 1 << 20
	data, err := read(what, response.Body, limit)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", discoveryProblem(what, response)
	}
	var document struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
	}
	if err := json.Unmarshal(data, &document); err != nil || document.TokenEndpoint == "" {
		return "", &holdfast.Problem{
			Class: holdfast.Failed,
			What:  what + ": the answer is not a discovery document with a token_endpoint",
			Why:   whyToken,
			Do:    "Open the address in a browser and correct the issuer. Keycloak's contains /realms/<realm>.",
		}
	}
	if !full && strings.TrimSuffix(document.Issuer, "/") != strings.TrimSuffix(c.Issuer, "/") {
		return "", &holdfast.Problem{
			Class: holdfast.Failed,
			What:  fmt.Sprintf("%s: the document is of issuer %s, not of %s", what, quoted(document.Issuer), quoted(c.Issuer)),
			Why:   "The secret would go to a provider that may be the wrong one.",
			Do:    "Set the issuer to that name. If both are right, give the full address of the document: " + u.Redacted(),
		}
	}
	return document.TokenEndpoint, nil
}

func discoveryProblem(what string, response *http.Response) error {
	p := &holdfast.Problem{
		Class: holdfast.Unreachable,
		What:  fmt.Sprintf("%s: status %d", what, response.StatusCode),
		Why:   whyToken,
		Do:    "Correct the issuer: its discovery document must be at this address.",
	}
	switch {
	case response.StatusCode < http.StatusBadRequest:
		p.Class = holdfast.Failed
		p.What = fmt.Sprintf("%s: it redirects to %s", what, quoted(response.Header.Get("Location")))
		p.Do = "If that is the right place, set the issuer to it."
	case response.StatusCode < http.StatusInternalServerError:
		p.Class = holdfast.Failed
	}
	return p
}

// token names a token of an endpoint.
func (c ClientCredentials) token(endpoint string) string {
	return "token for client " + c.ClientID + " from " + endpoint
}

// refused explains the answer of the token endpoint.
func (c ClientCredentials) refused(endpoint string, err error, secret string) error {
	what := c.token(endpoint)
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		var request *url.Error
		if errors.As(err, &request) {
			return unreachable(what, err)
		}
		return &holdfast.Problem{
			Class: holdfast.Failed,
			What:  what + ": the answer has no access_token",
			Why:   whyToken,
			Do:    "Check in the discovery document that token_endpoint is the provider's.",
		}
	}
	status := 0
	if answer.Response != nil {
		status = answer.Response.StatusCode
	}
	// No provider should repeat it, but a log must not depend on that.
	text := without(answer.ErrorCode+" "+answer.ErrorDescription, holdfast.NewSecret(secret))
	if secret != "" {
		// As the header of HTTP basic authentication has it.
		pair := url.QueryEscape(c.ClientID) + ":" + url.QueryEscape(secret)
		text = without(text, holdfast.NewSecret(base64.StdEncoding.EncodeToString([]byte(pair))))
	}
	p := &holdfast.Problem{
		Class: holdfast.Failed,
		What:  strings.TrimSpace(fmt.Sprintf("%s: status %d %s", what, status, brief(text))),
		Why:   whyToken,
	}
	switch {
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		p.Class = holdfast.Unreachable
		p.Do = "Try again. If it fails again, check the provider's log."
	case slices.Contains([]string{"invalid_scope", "invalid_target", "invalid_request"}, answer.ErrorCode):
		p.Do = "Check scope, audience and resource: the provider must authorize the client for them."
	case status >= http.StatusBadRequest:
		p.Class = holdfast.WrongKey
		p.Do = "Check the client's id and secret, and that it may use client credentials. " +
			"Some providers require HTTP basic authentication."
	default:
		p.Do = "Check in the discovery document that token_endpoint is the provider's."
	}
	return p
}
