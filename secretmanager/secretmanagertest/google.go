package secretmanagertest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// GoogleProject is the project of the stand-in for Google.
const GoogleProject = "standin-project"

const googleToken = "ya29.standinstandinstandinstandin"

// Google stands for Google Secret Manager, and for Google's server of tokens. It
// does not verify who signs for a token.
type Google struct {
	*StandIn
}

// NewGoogle starts one.
func NewGoogle(t testing.TB) *Google {
	g := &Google{}
	g.StandIn = serve(t, func(*StandIn) http.HandlerFunc { return g.handle })
	return g
}

// Key is the key of a service account, as Google writes it, whose tokens come
// from the stand-in.
func (g *Google) Key(t testing.TB) string {
	t.Helper()
	const bits = 2048
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": GoogleProject, "private_key_id": "1", "client_id": "1",
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})),
		"client_email": "holdfast@" + GoogleProject + ".iam.gserviceaccount.com", "token_uri": g.URL + "/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (g *Google) handle(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		reply(w, http.StatusOK, object{"access_token": googleToken, "token_type": "Bearer", "expires_in": 3600})
		return
	}
	refuse := func(status int, code string) {
		reply(w, status, object{"error": object{"code": status, "status": code, "message": code}})
	}
	path, ours := strings.CutPrefix(r.URL.Path, "/v1/projects/"+GoogleProject+"/secrets")
	name, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch name, add := strings.CutSuffix(name, ":addVersion"); {
	case g.rejected || r.Header.Get("Authorization") != "Bearer "+googleToken:
		refuse(http.StatusUnauthorized, "UNAUTHENTICATED")
	case g.denied:
		refuse(http.StatusForbidden, "PERMISSION_DENIED")
	case !ours:
		refuse(http.StatusNotFound, "NOT_FOUND")
	case r.Method == http.MethodPost && name == "":
		g.create(w, r, refuse)
	case r.Method == http.MethodPost && add:
		g.addVersion(w, r, name, refuse)
	case r.Method == http.MethodGet && g.secrets[name] == nil:
		refuse(http.StatusNotFound, "NOT_FOUND")
	case r.Method == http.MethodGet && rest == "versions":
		var list []object
		for i := len(g.secrets[name].versions) - 1; i >= 0; i-- {
			list = append(list, g.described(name, g.secrets[name].versions[i]))
		}
		reply(w, http.StatusOK, object{"versions": list})
	case r.Method == http.MethodGet:
		g.read(w, name, strings.TrimPrefix(rest, "versions/"), refuse)
	default:
		g.removals++
		refuse(http.StatusForbidden, "PERMISSION_DENIED")
	}
}

func (g *Google) create(w http.ResponseWriter, r *http.Request, refuse func(int, string)) {
	name := r.URL.Query().Get("secretId")
	if g.secrets[name] != nil {
		refuse(http.StatusConflict, "ALREADY_EXISTS")
		return
	}
	g.secrets[name] = &secret{}
	reply(w, http.StatusOK, object{"name": "projects/1/secrets/" + name})
}

func (g *Google) addVersion(w http.ResponseWriter, r *http.Request, name string, refuse func(int, string)) {
	var in struct {
		Payload struct {
			Data     []byte `json:"data"`
			Checksum string `json:"dataCrc32c"`
		} `json:"payload"`
	}
	switch err := decode(r, &in); {
	case g.secrets[name] == nil:
		refuse(http.StatusNotFound, "NOT_FOUND")
	case err != nil || in.Payload.Checksum != "" && in.Payload.Checksum != castagnoli(in.Payload.Data):
		refuse(http.StatusBadRequest, "INVALID_ARGUMENT")
	default:
		g.writes++
		id := strconv.Itoa(len(g.secrets[name].versions) + 1)
		reply(w, http.StatusOK, g.described(name, g.add(name, id, string(in.Payload.Data))))
	}
}

func (g *Google) read(w http.ResponseWriter, name, id string, refuse func(int, string)) {
	id, access := strings.CutSuffix(id, ":access")
	if id == "latest" {
		id = ""
	}
	v, there := g.secrets[name].find(id)
	switch {
	case !there:
		refuse(http.StatusNotFound, "NOT_FOUND")
	case access && v.gone:
		refuse(http.StatusBadRequest, "FAILED_PRECONDITION")
	case access:
		reply(w, http.StatusOK, object{
			"name":    g.described(name, v)["name"],
			"payload": object{"data": []byte(v.text), "dataCrc32c": castagnoli([]byte(v.text))},
		})
	default:
		reply(w, http.StatusOK, g.described(name, v))
	}
}

func (g *Google) described(name string, v version) object {
	state := "ENABLED"
	if v.gone {
		state = "DESTROYED"
	}
	return object{
		"name":  "projects/1/secrets/" + name + "/versions/" + v.id,
		"state": state, "createTime": v.created.Format(time.RFC3339Nano),
	}
}

func castagnoli(data []byte) string {
	return strconv.FormatUint(uint64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))), 10)
}
