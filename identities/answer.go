package identities

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"holdfast"
)

// explain turns an answer other than 200 into what to do about it.
func explain(what string, response *http.Response, body []byte, token holdfast.Secret) error {
	c := claimsOf(token)
	p := &holdfast.Problem{
		Class: holdfast.Failed,
		What:  fmt.Sprintf("%s: status %d%s", what, response.StatusCode, said(body)),
		Why:   whyDump,
	}
	switch status := response.StatusCode; {
	case status == http.StatusUnauthorized:
		p.Class = holdfast.WrongKey
		p.What += "; " + c.String()
		p.Do = "aud has to contain the validator app's audience (compose VALIDATOR_AUTH_AUDIENCE, Helm auth.audience), which may differ from the ledger API's; " +
			"iss has to be the issuer whose keys the app was given, and exp not past. In Keycloak the audience comes from a mapper of the client."
	case status == http.StatusForbidden:
		p.Class = holdfast.WrongKey
		p.What += "; the user is " + c.userOrUnknown()
		p.Do = "The token's sub has to be the ledger API user (compose LEDGER_API_ADMIN_USER; Kubernetes secret splice-app-validator-ledger-api-auth, " +
			"key ledger-api-user), with ParticipantAdmin and the operator's primary party. For Auth0 that is <client id>@clients, " +
			"for Keycloak the UUID of the client's service account."
	case status == http.StatusNotFound && isHTML(body):
		p.Class = holdfast.Unreachable
		p.Do = doAddress
	case status == http.StatusNotFound:
		p.Class = holdfast.Unreachable
		p.What += "; the validator app has not finished starting, or is stuck in it"
		p.Do = "Look at the validator app's log and at /api/validator/readyz, and try again when it is ready. If it is ready, check the address."
	case status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout || status == http.StatusTooManyRequests:
		p.Class = holdfast.Unreachable
		p.What += "; the validator app is not available"
		p.Do = "Check that the validator app runs and is ready, and try again."
	case status >= http.StatusMultipleChoices && status < http.StatusBadRequest:
		p.What += "; it sends on to " + quoted(response.Header.Get("Location")) + ", where the token does not go"
		p.Do = "Set the address to where it leads, if that is the validator app; often http:// only has to become https://."
	default:
		p.Do = "Look for the failure in the validator app's log."
	}
	return p
}

func (c claims) userOrUnknown() string {
	if c.opaque {
		return "not known, for the token is not a JWT"
	}
	return quoted(c.user)
}

// said is the error text of a JSON answer, or what kind of body it is.
func said(body []byte) string {
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
