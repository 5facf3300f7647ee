package identities

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"holdfast"
)

// noRoute is a 404 of the validator app itself.
type noRoute struct{ *holdfast.Problem }

// Unwrap returns the problem.
func (n *noRoute) Unwrap() error { return n.Problem }

// explain turns an answer other than 200 into an error with advice.
func explain(what string, response *http.Response, body []byte, token holdfast.Secret) error {
	c := claimsOf(token)
	body = []byte(without(string(body), token))
	p := &holdfast.Problem{
		Class: holdfast.Failed,
		What:  fmt.Sprintf("%s: status %d%s", what, response.StatusCode, bodyText(body)),
		Why:   whyDump,
	}
	switch status := response.StatusCode; {
	case status == http.StatusUnauthorized:
		p.Class = holdfast.WrongKey
		p.What += "; " + c.String()
		p.Do = "Correct the token: aud must contain the validator app's audience " +
			"(compose VALIDATOR_AUTH_AUDIENCE, Helm auth.audience), which may differ from the ledger API's; " +
			"iss must be the app's configured issuer, and exp must be in the future. " +
			"In Keycloak a mapper of the client sets the audience."
	case status == http.StatusForbidden:
		p.Class = holdfast.WrongKey
		p.What += "; the user is " + c.userOrUnknown()
		p.Do = "Correct the token: sub must be the ledger API user (compose LEDGER_API_ADMIN_USER; " +
			"Kubernetes secret splice-app-validator-ledger-api-auth, key ledger-api-user), " +
			"with ParticipantAdmin and the operator's primary party. " +
			"Auth0 uses <client id>@clients, Keycloak the UUID of the client's service account."
	case status == http.StatusNotFound && isHTML(body):
		p.Class = holdfast.Unreachable
		p.Do = doAddress
	case status == http.StatusNotFound:
		p.Class = holdfast.Unreachable
		p.What += "; the validator app is still starting, or its start is stuck"
		p.Do = "Check the validator app's log and /api/validator/readyz, and try again when it is ready. " +
			"If it is ready, check the address."
		return &noRoute{p}
	case unavailable(status):
		p.Class = holdfast.Unreachable
		p.What += "; the validator app is not available"
		p.Do = "Check that the validator app runs and is ready, and try again."
	case status >= http.StatusMultipleChoices && status < http.StatusBadRequest:
		p.What += "; it redirects to " + quoted(without(response.Header.Get("Location"), token)) + ", and the token is not sent there"
		p.Do = "If that is the validator app, set the address to it. Often only http:// must become https://."
	default:
		p.Do = "Find the failure in the validator app's log."
	}
	return p
}

// without is what somebody says of a secret, without it.
func without(text string, secret holdfast.Secret) string {
	if secret.IsEmpty() {
		return text
	}
	return strings.ReplaceAll(text, secret.Reveal(), secret.String())
}

func (c claims) userOrUnknown() string {
	if c.opaque {
		return "unknown, because the token is not a JWT"
	}
	return quoted(c.user)
}

// unavailable reports whether the app may answer the same request later.
func unavailable(status int) bool {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return true
	}
	return false
}

// bodyText is the error text of a JSON answer, or the kind of body.
func bodyText(body []byte) string {
	var answer struct {
		Error string `json:"error"`
	}
	switch {
	case json.Unmarshal(body, &answer) == nil && answer.Error != "":
		return " (" + brief(answer.Error) + ")"
	case isHTML(body):
		return " with a web page"
	}
	return ""
}

func isHTML(body []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) }
