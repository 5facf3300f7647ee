package secretmanagertest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// KubernetesNamespace is the namespace that the stand-in for Kubernetes has.
const KubernetesNamespace = "holdfast"

const kubernetesToken = "eyJhbGciOiJSUzI1NiJ9.standin.pod"

// Kubernetes stands for the API server of a cluster, with Secrets alone.
type Kubernetes struct {
	*StandIn

	objects map[string]kubeObject
}

type kubeObject struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Type       string         `json:"type"`
	Immutable  bool           `json:"immutable"`
	Data       object         `json:"data"`
}

func (o kubeObject) labels() map[string]any {
	labels, _ := o.Metadata["labels"].(map[string]any)
	return labels
}

// NewKubernetes starts one.
func NewKubernetes(t testing.TB) *Kubernetes {
	k := &Kubernetes{objects: map[string]kubeObject{}}
	k.StandIn = serve(t, func(*StandIn) http.HandlerFunc { return k.handle })
	k.put = k.putObject
	return k
}

// Config writes a kubeconfig, and returns its path.
func (k *Kubernetes) Config(t testing.TB, user string) string {
	t.Helper()
	if user == "" {
		user = "token: " + kubernetesToken
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := "current-context: here\ncontexts: [{name: here, context: {cluster: c, user: u}}]\n" +
		"clusters: [{name: c, cluster: {server: '" + k.URL + "'}}]\nusers: [{name: u, user: {" + user + "}}]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// putObject puts a Secret as others would: of the name, or as the newest version
// of it.
func (k *Kubernetes) putObject(name, text string) {
	var fields map[string]any
	_ = json.Unmarshal([]byte(text), &fields)
	o := kubeObject{Metadata: object{"name": name}, Data: object{}}
	for key, value := range fields {
		if s, is := value.(string); is {
			o.Data[key] = base64.StdEncoding.EncodeToString([]byte(s))
		}
	}
	for _, old := range k.objects {
		if own, _ := old.Metadata["name"].(string); strings.HasPrefix(own, name+"-") && old.labels() != nil {
			o.Metadata = object{"name": name + "-put" + time.Now().Format("150405000000000"), "labels": old.Metadata["labels"]}
		}
	}
	k.store(o)
}

func (k *Kubernetes) store(o kubeObject) kubeObject {
	o.APIVersion, o.Kind = "v1", "Secret"
	o.Metadata["creationTimestamp"] = time.Now().UTC().Format(time.RFC3339)
	if _, is := o.Metadata["annotations"]; !is {
		o.Metadata["annotations"] = object{"holdfast/written": time.Now().UTC().Format(time.RFC3339Nano)}
	}
	k.objects[o.Metadata["name"].(string)] = o //nolint:errcheck,forcetypeassert // it has been looked at
	return o
}

func (k *Kubernetes) handle(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, reason string) {
		reply(w, status, object{
			"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason, "reason": reason, "code": status,
		})
	}
	path, ours := strings.CutPrefix(r.URL.Path, "/api/v1/namespaces/"+KubernetesNamespace+"/secrets")
	name := strings.TrimPrefix(path, "/")
	switch {
	case k.rejected || r.Header.Get("Authorization") != "Bearer "+kubernetesToken:
		refuse(http.StatusUnauthorized, "Unauthorized")
	case k.denied || !ours:
		refuse(http.StatusForbidden, "Forbidden")
	case r.Method == http.MethodPost && name == "":
		k.create(w, r, refuse)
	case r.Method == http.MethodGet && name == "":
		k.list(w, r.URL.Query().Get("labelSelector"))
	case r.Method == http.MethodGet:
		o, there := k.objects[name]
		if !there {
			refuse(http.StatusNotFound, "NotFound")
			return
		}
		reply(w, http.StatusOK, o)
	default:
		k.removals++ // or changes what is there
		refuse(http.StatusForbidden, "Forbidden")
	}
}

func (k *Kubernetes) create(w http.ResponseWriter, r *http.Request, refuse func(int, string)) {
	const most = 1 << 20
	var o kubeObject
	if decode(r, &o) != nil || o.Kind != "Secret" || r.ContentLength > 2*most {
		refuse(http.StatusUnprocessableEntity, "Invalid")
		return
	}
	name, _ := o.Metadata["name"].(string)
	if strings.Trim(name, "0123456789abcdefghijklmnopqrstuvwxyz-.") != "" || name == "" {
		refuse(http.StatusUnprocessableEntity, "Invalid")
		return
	}
	if _, there := k.objects[name]; there {
		refuse(http.StatusConflict, "AlreadyExists")
		return
	}
	k.writes++
	reply(w, http.StatusCreated, k.store(o))
}

func (k *Kubernetes) list(w http.ResponseWriter, selector string) {
	items := []kubeObject{}
	for _, o := range k.objects {
		if !slices.ContainsFunc(strings.Split(selector, ","), func(want string) bool {
			key, value, _ := strings.Cut(want, "=")
			return o.labels()[key] != value
		}) {
			items = append(items, o)
		}
	}
	reply(w, http.StatusOK, object{"kind": "SecretList", "apiVersion": "v1", "items": items})
}
