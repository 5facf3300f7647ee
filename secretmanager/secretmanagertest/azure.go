package secretmanagertest

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

const azureToken = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.standin.standin"

// Azure stands for a key vault of Azure, and for the managed identity of the
// machine, which gives tokens.
type Azure struct {
	*StandIn

	Deleted string // a secret that was deleted and can be recovered
}

// NewAzure starts one, and makes its identity that of the machine.
func NewAzure(t testing.TB) *Azure {
	a := &Azure{}
	a.StandIn = serve(t, func(*StandIn) http.HandlerFunc { return a.handle })
	if t, is := t.(interface{ Setenv(string, string) }); is {
		t.Setenv("IDENTITY_ENDPOINT", a.URL+"/msi/token")
		t.Setenv("IDENTITY_HEADER", "standin")
	}
	return a
}

func (a *Azure) handle(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/msi/token" {
		reply(w, http.StatusOK, object{
			"access_token": azureToken, "token_type": "Bearer", "resource": r.URL.Query().Get("resource"),
			"expires_on": strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10),
		})
		return
	}
	refuse := func(status int, code, inner string) {
		reply(w, status, object{"error": object{"code": code, "message": code, "innererror": object{"code": inner}}})
	}
	path, ours := strings.CutPrefix(r.URL.Path, "/secrets/")
	name, id, _ := strings.Cut(strings.ToLower(path), "/")
	id = strings.TrimSuffix(id, "/")
	switch {
	case a.rejected || r.Header.Get("Authorization") != "Bearer "+azureToken:
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/x", `+
			`resource="https://vault.azure.net"`)
		refuse(http.StatusUnauthorized, "Unauthorized", "")
	case a.denied:
		refuse(http.StatusForbidden, "Forbidden", "ForbiddenByRbac")
	case !ours || strings.Trim(name, "0123456789abcdefghijklmnopqrstuvwxyz-") != "":
		refuse(http.StatusBadRequest, "BadParameter", "")
	case name == a.Deleted:
		refuse(http.StatusConflict, "Conflict", "ObjectIsDeletedButRecoverable")
	case r.Method == http.MethodPut && id == "":
		a.set(w, r, name, refuse)
	case r.Method == http.MethodGet && a.secrets[name] == nil:
		refuse(http.StatusNotFound, "SecretNotFound", "")
	case r.Method == http.MethodGet && id == "versions":
		var list []object
		for _, v := range a.secrets[name].versions {
			list = append(list, a.described(name, v))
		}
		reply(w, http.StatusOK, object{"value": list, "nextLink": nil})
	case r.Method == http.MethodGet:
		v, there := a.secrets[name].find(id)
		if !there {
			refuse(http.StatusNotFound, "SecretNotFound", "")
			return
		}
		if v.gone {
			refuse(http.StatusForbidden, "Forbidden", "SecretDisabled")
			return
		}
		out := a.described(name, v)
		out["value"] = v.text
		reply(w, http.StatusOK, out)
	default:
		a.removals++
		refuse(http.StatusForbidden, "Forbidden", "ForbiddenByRbac")
	}
}

func (a *Azure) set(w http.ResponseWriter, r *http.Request, name string, refuse func(int, string, string)) {
	const most = 25 << 10
	var in struct {
		Value string `json:"value"`
	}
	if decode(r, &in) != nil || len(in.Value) > most {
		refuse(http.StatusBadRequest, "BadParameter", "")
		return
	}
	a.writes++
	v := a.add(name, strconv.FormatInt(time.Now().UnixNano(), 16), in.Value)
	out := a.described(name, v)
	out["value"] = v.text
	reply(w, http.StatusOK, out)
}

func (a *Azure) described(name string, v version) object {
	return object{
		"id":         "https://standin.vault.azure.net/secrets/" + name + "/" + v.id,
		"attributes": object{"enabled": !v.gone, "created": v.created.Unix(), "updated": v.created.Unix()},
	}
}
