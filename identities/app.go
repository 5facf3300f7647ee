package identities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"holdfast"
	"holdfast/observed"
)

// Where the validator app reports its status, its version and its users.
const (
	StatusPath  = "/api/validator/status"
	VersionPath = "/api/validator/version"
	UsersPath   = "/api/validator/v0/admin/users"
)

// App reads the validator app's status and version, which need no token, and its
// users. A failure to list the users is part of the view.
func (f Fetcher) App(ctx context.Context) (observed.App, error) {
	var v observed.App
	var status struct {
		Success *struct {
			Active bool `json:"active"`
		} `json:"success"`
		NotInitialized json.RawMessage `json:"not_initialized"`
		Failed         json.RawMessage `json:"failed"`
	}
	if err := f.get(ctx, StatusPath, holdfast.Secret{}, &status); err != nil {
		return v, err
	}
	v.Active = status.Success != nil && status.Success.Active
	if status.Success == nil && status.NotInitialized == nil && status.Failed == nil {
		return v, &holdfast.Problem{
			Class: holdfast.Undetermined,
			What:  "the validator app's status has an unknown form",
			Do:    doAddress,
		}
	}
	var version struct {
		Version string `json:"version"`
	}
	if err := f.get(ctx, VersionPath, holdfast.Secret{}, &version); err != nil {
		return v, err
	}
	v.Version = version.Version
	v.Users = holdfast.Observe(f.users(ctx))
	return v, nil
}

// users tries each token in turn, as for the dump.
func (f Fetcher) users(ctx context.Context) ([]string, error) {
	tokens, err := f.Tokens.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	err = errors.New("there is no token for the validator app")
	for _, token := range tokens {
		var answer struct {
			Users []string `json:"usernames"`
		}
		if err = f.get(ctx, UsersPath, token, &answer); err == nil || holdfast.ClassOf(err) != holdfast.WrongKey {
			return answer.Users, err
		}
	}
	return nil, err
}

// get makes one request for JSON.
func (f Fetcher) get(ctx context.Context, path string, token holdfast.Secret, into any) error {
	u, client, err := f.reach(path)
	if err != nil {
		return err
	}
	what := strings.TrimPrefix(path, "/api/validator/") + " from " + u.Redacted()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	if !token.IsEmpty() {
		request.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	response, err := client.Do(request)
	if err != nil {
		return unreachable(what, err)
	}
	defer func() { _ = response.Body.Close() }()
	const largest = 4 << 20 // a thousand users
	body, err := read(what, response.Body, largest)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return explain(what, response, body, token)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &holdfast.Problem{
			Class: holdfast.Failed,
			What:  fmt.Sprintf("%s: the answer is not the JSON of a validator app", what),
			Do:    doAddress,
		}
	}
	return nil
}

// reach makes the address of a path, and a client for it.
func (f Fetcher) reach(path string) (*url.URL, *http.Client, error) {
	u, err := baseURL("the validator app's address", f.BaseURL)
	if err != nil {
		return nil, nil, err
	}
	u = u.JoinPath(path)
	address := f.Address
	if address == "" {
		address = localAddress(u)
	}
	client, err := connection{ca: f.CA, address: address, timeout: f.Timeout, dial: f.Dial}.client()
	return u, client, err
}
