package secretmanagertest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The credentials that the stand-in for Vault knows.
const (
	VaultToken    = "hvs.CAESIJstandinstandinstandin"
	VaultRoleID   = "5f1c6b0e-role-id"
	VaultSecretID = "c0ffee00-secret-id"
	VaultJWT      = "eyJhbGciOiJub25lIn0.standin.jwt"
	VaultRole     = "holdfast"
	// loginToken is what logins give.
	loginToken = "hvs.CAESIJloginloginloginlogin"
)

// Vault stands for a server of Vault or OpenBao with an engine KV version 2 at
// secret/ and at team/kv/, and version 1 at old/.
type Vault struct {
	*StandIn

	sealed      bool
	maxVersions int
	namespace   string
	ttl         int
	renewals    int
	logins      int
	revocations int
	denySelf    bool
}

// NewVault starts one.
func NewVault(t testing.TB) *Vault {
	v := &Vault{maxVersions: 0}
	v.StandIn = serve(t, func(*StandIn) http.HandlerFunc { return v.handle })
	return v
}

// Seal seals the server.
func (v *Vault) Seal(on bool) { v.locked(func() { v.sealed = on }) }

// Keep sets how many versions each secret keeps; 0: ten, as Vault does.
func (v *Vault) Keep(versions int) { v.locked(func() { v.maxVersions = versions }) }

// Namespace makes the server serve that namespace alone.
func (v *Vault) Namespace(name string) { v.locked(func() { v.namespace = name }) }

// Life gives tokens so many seconds; 0: they live for ever.
func (v *Vault) Life(seconds int) { v.locked(func() { v.ttl = seconds }) }

// DenySelf gives tokens no policy to look at themselves.
func (v *Vault) DenySelf() { v.locked(func() { v.denySelf = true }) }

// Counts are how often tokens were renewed, made by a login, and revoked.
func (v *Vault) Counts() (renewals, logins, revocations int) {
	v.locked(func() { renewals, logins, revocations = v.renewals, v.logins, v.revocations })
	return renewals, logins, revocations
}

const wholeLife = 3600

func (v *Vault) handle(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	if path == "sys/health" {
		reply(w, http.StatusOK, object{"initialized": true, "sealed": v.sealed})
		return
	}
	if v.sealed {
		reply(w, http.StatusServiceUnavailable, object{"errors": []string{"Vault is sealed"}})
		return
	}
	if strings.HasPrefix(path, "auth/") && strings.HasSuffix(path, "/login") {
		v.logIn(w, r, path)
		return
	}
	token := r.Header.Get("X-Vault-Token")
	if v.rejected || token != VaultToken && token != loginToken {
		reply(w, http.StatusForbidden, object{"errors": []string{
			"2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"}})
		return
	}
	if r.Header.Get("X-Vault-Namespace") != v.namespace {
		reply(w, http.StatusNotFound, object{"errors": []string{"no handler for route"}})
		return
	}
	switch {
	case strings.HasPrefix(path, "auth/token/"):
		v.self(w, strings.TrimPrefix(path, "auth/token/"))
	case strings.HasPrefix(path, "sys/internal/ui/mounts/"):
		v.mount(w, strings.TrimPrefix(path, "sys/internal/ui/mounts/"))
	case v.denied:
		reply(w, http.StatusForbidden, object{"errors": []string{"1 error occurred:\n\t* permission denied\n\n"}})
	default:
		v.kv(w, r, path)
	}
}

func (v *Vault) logIn(w http.ResponseWriter, r *http.Request, path string) {
	var in map[string]string
	_ = decode(r, &in)
	known := map[string]bool{
		"auth/approle/login":    in["role_id"] == VaultRoleID && in["secret_id"] == VaultSecretID,
		"auth/kubernetes/login": in["role"] == VaultRole && in["jwt"] == VaultJWT,
		"auth/cert/login":       r.TLS != nil && len(r.TLS.PeerCertificates) > 0,
	}[path]
	if !known || v.rejected {
		reply(w, http.StatusBadRequest, object{"errors": []string{"invalid role or secret ID"}})
		return
	}
	v.logins++
	reply(w, http.StatusOK, object{"auth": object{"client_token": loginToken, "lease_duration": v.ttl, "renewable": true}})
}

func (v *Vault) self(w http.ResponseWriter, what string) {
	switch what {
	case "lookup-self":
		if v.denySelf {
			reply(w, http.StatusForbidden, object{"errors": []string{"1 error occurred:\n\t* permission denied\n\n"}})
			return
		}
		reply(w, http.StatusOK, object{"data": object{"ttl": v.ttl, "creation_ttl": wholeLife, "renewable": true}})
	case "renew-self":
		v.renewals++
		v.ttl = wholeLife
		reply(w, http.StatusOK, object{"auth": object{"client_token": VaultToken, "lease_duration": v.ttl}})
	case "revoke-self":
		v.revocations++
		w.WriteHeader(http.StatusNoContent)
	}
}

func (v *Vault) mount(w http.ResponseWriter, name string) {
	for path, engine := range map[string]object{
		"secret/":  {"type": "kv", "options": object{"version": "2"}},
		"team/kv/": {"type": "kv", "options": object{"version": "2"}},
		"old/":     {"type": "kv", "options": object{"version": "1"}},
		"transit/": {"type": "transit", "options": nil},
	} {
		if strings.HasPrefix(name+"/", path) {
			engine["path"] = path
			reply(w, http.StatusOK, object{"data": engine})
			return
		}
	}
	reply(w, http.StatusForbidden, object{"errors": []string{"preflight capability check returned 403"}})
}

func (v *Vault) kv(w http.ResponseWriter, r *http.Request, path string) {
	mount := "secret"
	if strings.HasPrefix(path, "team/kv/") {
		mount = "team/kv"
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(path, mount+"/"), "/")
	name = mount + "/" + name
	switch {
	case kind == "config":
		reply(w, http.StatusOK, object{"data": object{"max_versions": 0, "cas_required": false}})
	case kind == "metadata" && r.Method == http.MethodGet:
		v.metadata(w, name)
	case kind == "data" && r.Method == http.MethodGet:
		v.read(w, name, r.URL.Query().Get("version"))
	case kind == "data" && (r.Method == http.MethodPost || r.Method == http.MethodPut):
		v.write(w, r, name)
	default:
		v.removals++
		w.WriteHeader(http.StatusNoContent)
	}
}

func described(n version) object {
	number, _ := strconv.Atoi(n.id)
	out := object{
		"version": number, "created_time": n.created.Format(time.RFC3339Nano), "deletion_time": "", "destroyed": false,
		"custom_metadata": nil,
	}
	if n.gone {
		out["deletion_time"] = n.created.Format(time.RFC3339Nano)
	}
	return out
}

func (v *Vault) metadata(w http.ResponseWriter, name string) {
	s := v.secrets[name]
	if s == nil {
		reply(w, http.StatusNotFound, object{"errors": []string{}})
		return
	}
	versions := object{}
	for _, n := range s.versions {
		versions[n.id] = described(n)
	}
	reply(w, http.StatusOK, object{"data": object{
		"versions": versions, "max_versions": v.maxVersions, "current_version": len(s.versions),
	}})
}

func (v *Vault) read(w http.ResponseWriter, name, id string) {
	n, there := v.secrets[name].find(id)
	switch {
	case !there:
		reply(w, http.StatusNotFound, object{"errors": []string{}})
	case n.gone:
		reply(w, http.StatusNotFound, object{"data": object{"data": nil, "metadata": described(n)}})
	default:
		reply(w, http.StatusOK, object{"data": object{"data": json.RawMessage(n.text), "metadata": described(n)}})
	}
}

func (v *Vault) write(w http.ResponseWriter, r *http.Request, name string) {
	var in struct {
		Options struct {
			CAS *int `json:"cas"`
		} `json:"options"`
		Data json.RawMessage `json:"data"`
	}
	if decode(r, &in) != nil {
		reply(w, http.StatusBadRequest, object{"errors": []string{"failed to parse JSON input"}})
		return
	}
	current := 0
	if n, there := v.secrets[name].find(""); there {
		current, _ = strconv.Atoi(n.id)
	}
	if in.Options.CAS != nil && *in.Options.CAS != current {
		reply(w, http.StatusBadRequest, object{"errors": []string{
			"check-and-set parameter did not match the current version"}})
		return
	}
	v.writes++
	n := v.add(name, strconv.Itoa(current+1), string(in.Data))
	keep := v.maxVersions
	if keep == 0 {
		keep = 10
	}
	if s := v.secrets[name]; len(s.versions) > keep {
		s.versions = s.versions[len(s.versions)-keep:]
	}
	reply(w, http.StatusOK, object{"data": described(n)})
}
