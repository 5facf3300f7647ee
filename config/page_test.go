package config_test

import (
	"strings"
	"testing"

	"holdfast/config"
)

func TestPage(t *testing.T) {
	const base = "node: n\ndatabases: {participant: 'host=x dbname=y'}\nrepository: {path: /r, password: 'file:p'}\n"
	const listen = "http: {listen: '127.0.0.1:7433'}\n"
	for page, want := range map[string]string{
		"":                             "",
		listen + "page: {open: true}":  "",
		"page: {open: true}":           "http.listen",
		"page: {url: 'https://h.org'}": "page.users or page.oidc",
		"http: {listen: '0.0.0.0:1', allow_remote: true}\npage: {open: true}":                                                    "for this machine alone",
		listen + "page: {users: [{name: ada, password: 'file:ada', role: operator}]}":                                            "",
		listen + "page: {users: [{name: ada, password: 'secret', role: operator}]}":                                              "never the secret itself",
		listen + "page: {users: [{name: ada, password: 'file:ada', role: admin}]}":                                               "want viewer or operator",
		listen + "page: {users: [{name: ada, role: viewer}]}":                                                                    "holdfast page password",
		listen + "page: {open: true, users: [{name: ada, password: 'file:ada', role: viewer}]}":                                  "leaves no room",
		listen + "page: {oidc: {issuer: 'https://id', client_id: x, client_secret: 'file:s', viewers: ['*']}}":                   "page.url",
		listen + "page: {url: 'https://h', oidc: {issuer: 'https://id', client_id: x, client_secret: 'file:s', viewers: ['*']}}": "",
		listen + "page: {url: 'https://h', oidc: {issuer: 'https://id', client_id: x, client_secret: 'file:s'}}":                 "who may see the page",
		listen + "page: {url: 'h', users: [{name: ada, password: 'file:ada', role: viewer}]}":                                    "page.url",
		listen + "page: {users: [{name: a, password: 'file:a', role: viewer}, {name: a, password: 'file:b', role: viewer}]}":     "listed twice",
	} {
		_, err := config.Parse("holdfast.yaml", []byte(base+page), nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", page, err, want)
		}
	}
}

func TestStoragePrice(t *testing.T) {
	for text, want := range map[string]float64{"": 0, "0.023 USD": 0.023, "1 EUR": 1, "USD": -1, "0.02": -1, "-1 USD": -1, "0 USD": -1} {
		got, _, err := config.Repository{Price: text}.StoragePrice()
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
