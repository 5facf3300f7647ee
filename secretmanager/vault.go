package secretmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"holdfast"
)

// VaultOptions say how a Vault is reached. What is empty comes from the
// environment, as for the vendor's own command: BAO_ADDR and VAULT_ADDR, and so
// on; OpenBao's names come first.
type VaultOptions struct {
	Address   string // https://vault.example.com:8200
	Namespace string
	CA        string // file with certificates to trust, in addition to the system's
	Login     Login
	Within    time.Duration // of one call; CallTime if 0
}

// Vault is a server of HashiCorp Vault or OpenBao. Names are MOUNT/PATH of
// secrets in an engine KV version 2.
type Vault struct {
	address   string
	namespace string
	caller    caller
	login     Login

	mu     sync.Mutex
	token  token
	mounts map[string]string // the mount of each name
}

// How many versions KV keeps of a secret unless its mount or the secret says
// otherwise, and how large a value every storage of Vault takes.
const (
	vaultVersions = 10
	vaultBytes    = 512 << 10
)

// NewVault makes a Vault. It connects to nothing yet.
func NewVault(o VaultOptions) (*Vault, error) {
	address := or(o.Address, vaultEnvironment("ADDR"))
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, &holdfast.Problem{
			Class: holdfast.Usage, What: "the address of Vault is missing or malformed",
			Do: "Write secret_managers.vault.address in holdfast.yaml, or set VAULT_ADDR: https://HOST:8200.",
		}
	}
	config, err := trusting(or(o.CA, vaultEnvironment("CACERT")))
	if err == nil {
		err = o.Login.complete(config)
	}
	if err != nil {
		return nil, &holdfast.Problem{
			Class: holdfast.Usage, What: "Vault at " + u.Host, Err: err,
			Do: "Correct secret_managers.vault in holdfast.yaml, or the variables VAULT_*.",
		}
	}
	return &Vault{
		address:   u.Scheme + "://" + u.Host,
		namespace: or(o.Namespace, vaultEnvironment("NAMESPACE")),
		caller:    newCaller(o.Within, config),
		login:     o.Login,
		mounts:    map[string]string{},
	}, nil
}

// kv is what KV version 2 answers, as far as it is read.
type kv struct {
	Data struct {
		Data     json.RawMessage `json:"data"`
		Metadata kvVersion       `json:"metadata"`
		kvVersion

		Versions    map[string]kvVersion `json:"versions"`
		MaxVersions int                  `json:"max_versions"`
	} `json:"data"`
	Errors []string `json:"errors"`
}

type kvVersion struct {
	Version   int    `json:"version"`
	Created   string `json:"created_time"`
	Deleted   string `json:"deletion_time"`
	Destroyed bool   `json:"destroyed"`
}

func (k kvVersion) of(id string) Version {
	if id == "" {
		id = strconv.Itoa(k.Version)
	}
	created, _ := time.Parse(time.RFC3339Nano, k.Created) // unreadable: unknown
	deleted, err := time.Parse(time.RFC3339Nano, k.Deleted)
	return Version{ID: id, Created: created, Gone: k.Destroyed || err == nil && deleted.Before(time.Now())}
}

// Read implements Manager. The value is a JSON object of the fields.
func (v *Vault) Read(ctx context.Context, name, version string) (Version, holdfast.Secret, error) {
	what := "read " + v.Where(name, version)
	path, err := v.path(ctx, what, name, "data")
	if err != nil {
		return Version{}, holdfast.Secret{}, err
	}
	if version != "" {
		path += "?version=" + url.QueryEscape(version)
	}
	var got kv
	status, err := v.call(ctx, what, http.MethodGet, path, nil, &got)
	switch {
	case err != nil:
		return Version{}, holdfast.Secret{}, err
	case status == http.StatusNotFound && got.Data.Metadata.Version > 0:
		return got.Data.Metadata.of(""), holdfast.Secret{}, none(what + ": this version was deleted")
	case status == http.StatusNotFound:
		return Version{}, holdfast.Secret{}, none(what)
	case status != http.StatusOK:
		return Version{}, holdfast.Secret{}, v.explain(ctx, what, status, got.Errors, path, "read")
	}
	return got.Data.Metadata.of(""), holdfast.NewSecret(string(got.Data.Data)), nil
}

// Write implements Manager: check-and-set by the version.
func (v *Vault) Write(ctx context.Context, name string, value Value, after string) (Version, error) {
	what := "write " + v.Where(name, "")
	path, err := v.path(ctx, what, name, "data")
	if err != nil {
		return Version{}, err
	}
	known := 0
	if after != "" {
		if known, err = strconv.Atoi(after); err != nil {
			return Version{}, err
		}
	}
	body := map[string]any{
		"options": map[string]int{"cas": known},
		"data":    json.RawMessage(value.Text.Reveal()),
	}
	var got kv
	status, err := v.call(ctx, what, http.MethodPost, path, body, &got)
	switch {
	case err != nil:
		return Version{}, err
	case status == http.StatusBadRequest && strings.Contains(strings.Join(got.Errors, " "), "check-and-set"):
		return Version{}, ErrChanged
	case status == http.StatusRequestEntityTooLarge:
		return Version{}, tooLarge(what, len(value.Text.Reveal()), vaultBytes)
	case status != http.StatusOK:
		return Version{}, v.explain(ctx, what, status, got.Errors, path, "create", "update", "read")
	}
	return got.Data.of(""), nil
}

// Versions implements Manager.
func (v *Vault) Versions(ctx context.Context, name string) ([]Version, error) {
	got, err := v.metadata(ctx, "list the versions of "+v.Where(name, ""), name)
	if err != nil {
		return nil, err
	}
	var out []Version
	for id, version := range got.Data.Versions {
		out = append(out, version.of(id))
	}
	number := func(v Version) int { n, _ := strconv.Atoi(v.ID); return n }
	slices.SortFunc(out, func(a, b Version) int { return number(b) - number(a) })
	return out, nil
}

// Limits implements Manager. The secret's own limit comes before that of the
// mount. Credentials that may not read it do with the default.
func (v *Vault) Limits(ctx context.Context, name string) (Limits, error) {
	out := Limits{Bytes: vaultBytes, Versions: vaultVersions, Compares: true}
	mount, err := v.mount(ctx, "look at "+v.Where(name, ""), name)
	if err != nil {
		return Limits{}, err
	}
	out.More = fmt.Sprintf("`vault kv metadata put -mount=%s -max-versions=100 %s` keeps more", mount, below(name, mount))
	if got, err := v.metadata(ctx, "", name); err == nil && got.Data.MaxVersions > 0 {
		out.Versions = got.Data.MaxVersions
		return out, nil
	}
	var got kv
	status, err := v.call(ctx, "", http.MethodGet, mount+"/config", nil, &got)
	if err == nil && status == http.StatusOK && got.Data.MaxVersions > 0 {
		out.Versions = got.Data.MaxVersions
	}
	return out, nil
}

func (v *Vault) metadata(ctx context.Context, what, name string) (kv, error) {
	path, err := v.path(ctx, what, name, "metadata")
	if err != nil {
		return kv{}, err
	}
	var got kv
	status, err := v.call(ctx, what, http.MethodGet, path, nil, &got)
	if err == nil && status != http.StatusOK && status != http.StatusNotFound {
		err = v.explain(ctx, what, status, got.Errors, path, "read")
	}
	return got, err
}

// Join implements Manager.
func (v *Vault) Join(name, own string) string { return name + "/" + own }

// Where implements Manager.
func (v *Vault) Where(name, version string) string {
	_, host, _ := strings.Cut(v.address, "://")
	return where("vault://"+host+"/"+name, version)
}

// path is the path of a secret's data or metadata in the API.
func (v *Vault) path(ctx context.Context, what, name, of string) (string, error) {
	mount, err := v.mount(ctx, what, name)
	if err != nil {
		return "", err
	}
	return mount + "/" + of + "/" + below(name, mount), nil
}

// below is a name without its mount.
func below(name, mount string) string { return strings.TrimPrefix(name, mount+"/") }

// mount finds the mount that a name is in, which may have slashes, and refuses
// KV version 1. Where the server does not say, it is the first part.
func (v *Vault) mount(ctx context.Context, what, name string) (string, error) {
	first, _, whole := strings.Cut(name, "/")
	if !whole {
		return "", &holdfast.Problem{
			Class: holdfast.Usage, What: what + ": it names no secret", Do: "Write MOUNT/PATH, such as secret/holdfast.",
		}
	}
	v.mu.Lock()
	found := v.mounts[name]
	v.mu.Unlock()
	if found != "" {
		return found, nil
	}
	var got struct {
		Data struct {
			Path    string            `json:"path"`
			Type    string            `json:"type"`
			Options map[string]string `json:"options"`
		} `json:"data"`
	}
	status, err := v.call(ctx, what, http.MethodGet, "sys/internal/ui/mounts/"+name, nil, &got)
	switch mount := got.Data; {
	case err != nil:
		return "", err
	case status != http.StatusOK || mount.Path == "":
		return first, nil // not known yet: it is looked up again
	case mount.Type != "kv" && mount.Type != "generic" || mount.Options["version"] != "2":
		return "", &holdfast.Problem{
			Class: holdfast.Usage,
			What: fmt.Sprintf("%s: %s is an engine %s, and not KV version 2",
				what, mount.Path, engine(mount.Type, mount.Options)),
			Why: "It keeps no versions: what is written replaces what was there.",
			Do:  "`vault kv enable-versioning " + mount.Path + "`, or name another mount.",
		}
	}
	found = strings.TrimSuffix(got.Data.Path, "/")
	v.mu.Lock()
	v.mounts[name] = found
	v.mu.Unlock()
	return found, nil
}

func engine(kind string, options map[string]string) string {
	if kind == "kv" || kind == "generic" {
		return "KV version " + or(options["version"], "1")
	}
	return kind
}

// call makes a call with a token. A token of a login that is no longer accepted
// is replaced once.
func (v *Vault) call(ctx context.Context, what, method, path string, body, into any) (int, error) {
	for again := false; ; again = true {
		token, err := v.authenticated(ctx, what)
		if err != nil {
			return 0, err
		}
		got, err := v.raw(ctx, what, method, path, token, body)
		if err != nil {
			return 0, err
		}
		if got.status == http.StatusForbidden && !again && v.login.renews() && v.standing(ctx, token) != accepted {
			v.forget(token)
			continue
		}
		return got.status, v.decode(what, got, into)
	}
}

func (v *Vault) decode(what string, got answer, into any) error {
	if got.status == http.StatusNoContent || len(got.body) == 0 {
		return nil
	}
	if err := got.into(into); err != nil {
		return unreachable(what, err)
	}
	return nil
}

// raw makes a call. A server that is sealed or not ready is a problem.
func (v *Vault) raw(ctx context.Context, what, method, path string, token holdfast.Secret, body any) (answer, error) {
	header := http.Header{"X-Vault-Request": {"true"}}
	if !token.IsEmpty() {
		header.Set("X-Vault-Token", token.Reveal())
	}
	if v.namespace != "" {
		header.Set("X-Vault-Namespace", v.namespace)
	}
	got, err := v.caller.do(ctx, request{
		method: method, url: v.address + "/v1/" + escaped(path), header: header, body: body,
	})
	if err != nil {
		return answer{}, unreachable(what, err)
	}
	if got.status == http.StatusServiceUnavailable {
		return answer{}, v.sealed(ctx, what)
	}
	return got, nil
}

// escaped is a path of the API with what a URL does not take written out.
func escaped(path string) string {
	path, query, asks := strings.Cut(path, "?")
	u := url.URL{Path: path}
	if asks {
		return u.EscapedPath() + "?" + query
	}
	return u.EscapedPath()
}

// sealed says why a Vault does not serve.
func (v *Vault) sealed(ctx context.Context, what string) error {
	p := &holdfast.Problem{
		Class: holdfast.Unreachable, What: what + ": Vault is not ready",
		Why: "Until it is, its secrets can be neither read nor written.",
		Do:  "Look at `vault status`." + retry,
	}
	var health struct {
		Sealed      bool `json:"sealed"`
		Initialized bool `json:"initialized"`
	}
	got, err := v.caller.do(ctx, request{method: http.MethodGet, url: v.address + "/v1/sys/health"})
	if err == nil && got.into(&health) == nil && health.Initialized && health.Sealed {
		p.What = what + ": Vault is sealed"
		p.Do = "Unseal it: `vault operator unseal`." + retry
	}
	return p
}

// explain says what an answer means that is none of those expected.
func (v *Vault) explain(
	ctx context.Context, what string, status int, messages []string, path string, rights ...string,
) error {
	message := strings.TrimSpace(strings.Join(messages, ", "))
	if status != http.StatusForbidden {
		return refused(what, status, message)
	}
	token, err := v.authenticated(ctx, what)
	if err != nil {
		return err
	}
	now := v.standing(ctx, token)
	if now == invalid {
		return v.expired(what)
	}
	if now == unclear {
		message = "or the token has expired: `vault token lookup`"
	} else {
		message = ""
	}
	path, _, _ = strings.Cut(path, "?")
	return notAllowed(what, message, fmt.Sprintf(`path %q { capabilities = [%s] }`, path, quoted(rights)))
}

func quoted(words []string) string {
	var out []string
	for _, word := range words {
		out = append(out, strconv.Quote(word))
	}
	return strings.Join(out, ", ")
}

// or is the first text that is not empty.
func or(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

var errNoToken = errors.New("there is no token")
