package secretmanager

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"holdfast"
)

// KubernetesOptions say how a cluster is reached: by the service account of the
// pod, or by a kubeconfig.
type KubernetesOptions struct {
	Namespace  string
	Kubeconfig string // a file; KUBECONFIG, the pod's own or ~/.kube/config if empty
	Context    string // of the kubeconfig; its current one if empty
	Within     time.Duration
	Learn      func(holdfast.Secret) holdfast.Secret // hears of tokens; may be nil
}

// Kubernetes is a namespace of a cluster. Its Secrets have no versions. So each
// version is a Secret of its own that cannot be changed, with a digest in its
// name; a label says what it is a version of.
type Kubernetes struct {
	namespace string
	cluster   cluster
	learn     func(holdfast.Secret) holdfast.Secret
	caller    caller
}

// A Secret takes a mebibyte; the rest of it needs some.
const kubernetesBytes = 1000000

// The labels and the annotation of a version.
const (
	managedBy = "app.kubernetes.io/managed-by"
	versionOf = "holdfast/version-of" // a digest of the name: labels are short
	writtenAt = "holdfast/written"    // to the nanosecond: the cluster's own time has seconds
)

// NewKubernetes finds a cluster. It connects to nothing yet.
func NewKubernetes(o KubernetesOptions) (*Kubernetes, error) {
	found, err := clusterOf(o)
	if err != nil {
		return nil, &holdfast.Problem{
			Class: holdfast.Usage, What: "no cluster of Kubernetes", Err: err,
			Do: "Correct secret_managers.kubernetes in holdfast.yaml, or set KUBECONFIG." + retry,
		}
	}
	return &Kubernetes{
		namespace: o.Namespace, cluster: found, learn: o.Learn, caller: newCaller(o.Within, found.tls),
	}, nil
}

// kubeSecret is a Secret, as far as it is read and written.
type kubeSecret struct {
	APIVersion string            `json:"apiVersion,omitempty"`
	Kind       string            `json:"kind,omitempty"`
	Metadata   kubeMetadata      `json:"metadata"`
	Type       string            `json:"type,omitempty"`
	Immutable  bool              `json:"immutable,omitempty"`
	Data       map[string][]byte `json:"data,omitempty"`
}

type kubeMetadata struct {
	Name        string            `json:"name"`
	Created     *time.Time        `json:"creationTimestamp,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func (s kubeSecret) version() Version {
	out := Version{ID: s.Metadata.Name}
	if at, err := time.Parse(time.RFC3339Nano, s.Metadata.Annotations[writtenAt]); err == nil {
		out.Created = at
	} else if s.Metadata.Created != nil {
		out.Created = *s.Metadata.Created
	}
	return out
}

// value is the Secret as a JSON object of its keys.
func (s kubeSecret) value() (holdfast.Secret, error) {
	fields := map[string]string{}
	for key, data := range s.Data {
		fields[key] = string(data)
	}
	text, err := json.Marshal(fields)
	return holdfast.NewSecret(string(text)), err
}

// Read implements Manager. The ID of a version is the name of its Secret.
func (k *Kubernetes) Read(ctx context.Context, name, version string) (Version, holdfast.Secret, error) {
	if version == "" {
		versions, err := k.Versions(ctx, name)
		if err != nil {
			return Version{}, holdfast.Secret{}, err
		}
		if len(versions) == 0 {
			return Version{}, holdfast.Secret{}, none("read " + k.Where(name, ""))
		}
		version = versions[0].ID
	}
	return k.read(ctx, "read "+k.Where(name, version), version, keepsVersions)
}

func (k *Kubernetes) read(ctx context.Context, what, name, right string) (Version, holdfast.Secret, error) {
	var got kubeSecret
	if err := k.call(ctx, what, right, http.MethodGet, "/"+url.PathEscape(name), nil, &got); err != nil {
		return Version{}, holdfast.Secret{}, err
	}
	value, err := got.value()
	return got.version(), value, err
}

// Plain reads Secrets that others made, by their own names.
func (k *Kubernetes) Plain() Manager { return plainSecrets{k} }

type plainSecrets struct{ *Kubernetes }

// Read implements Manager.
func (p plainSecrets) Read(ctx context.Context, name, _ string) (Version, holdfast.Secret, error) {
	return p.read(ctx, "read "+p.Where(name, ""), name, "--verb=get --resource=secrets --resource-name="+name)
}

// Write implements Manager. The name is made of the content and of the version
// before it, so that the same write twice is one.
func (k *Kubernetes) Write(ctx context.Context, name string, value Value, after string) (Version, error) {
	const digits = 10
	sum := sha256.Sum256([]byte(value.Digest + "\n" + after))
	var fields map[string]string
	if err := json.Unmarshal([]byte(value.Text.Reveal()), &fields); err != nil {
		return Version{}, errors.New("the value is no JSON object of texts")
	}
	s := kubeSecret{
		APIVersion: "v1", Kind: "Secret", Type: "Opaque", Immutable: true, Data: map[string][]byte{},
		Metadata: kubeMetadata{
			Name:        name + "-" + hex.EncodeToString(sum[:])[:digits],
			Labels:      map[string]string{managedBy: "holdfast", versionOf: label(name)},
			Annotations: map[string]string{writtenAt: time.Now().UTC().Format(time.RFC3339Nano)},
		},
	}
	for key, text := range fields {
		s.Data[key] = []byte(text)
	}
	var got kubeSecret
	err := k.call(ctx, "write "+k.Where(name, ""), keepsVersions, http.MethodPost, "", s, &got)
	return got.version(), err
}

// label stands for a name where labels are too short for it.
func label(name string) string {
	const digits = 40
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])[:digits]
}

// Versions implements Manager.
func (k *Kubernetes) Versions(ctx context.Context, name string) ([]Version, error) {
	var got struct {
		Items []kubeSecret `json:"items"`
	}
	selector := managedBy + "=holdfast," + versionOf + "=" + label(name)
	what := "list the versions of " + k.Where(name, "")
	if err := k.call(ctx, what, keepsVersions, http.MethodGet, "?labelSelector="+url.QueryEscape(selector), nil, &got); err != nil {
		return nil, err
	}
	var out []Version
	for _, s := range got.Items {
		out = append(out, s.version())
	}
	slices.SortStableFunc(out, func(a, b Version) int { return b.Created.Compare(a.Created) })
	return out, nil
}

// Limits implements Manager.
func (k *Kubernetes) Limits(context.Context, string) (Limits, error) {
	return Limits{Bytes: kubernetesBytes}, nil
}

// Join implements Manager.
func (k *Kubernetes) Join(name, own string) string {
	return joined(name, own, func(s string) string { return notKubernetes.ReplaceAllString(strings.ToLower(s), "-") })
}

var notKubernetes = regexp.MustCompile(`[^0-9a-z-]`)

// Close implements Manager: there is nothing to give back.
func (k *Kubernetes) Close(context.Context) error { return nil }

// Where implements Manager.
func (k *Kubernetes) Where(name, version string) string {
	return where("kube://"+k.namespace+"/"+name, version)
}

// keepsVersions is the right that Secrets of our own need: each version is one, and
// Kubernetes cannot name what is not there yet.
const keepsVersions = "--verb=create,get,list --resource=secrets"

// call sends a request. A refusal names the right that it needs, as kubectl
// writes it.
func (k *Kubernetes) call(ctx context.Context, what, right, method, path string, body, into any) error {
	address := k.cluster.server + "/api/v1/namespaces/" + url.PathEscape(k.namespace) + "/secrets" + path
	r := request{method: method, url: address, body: body, sign: k.sign}
	return k.caller.fetch(ctx, what, r, into, func(got answer) error { return k.explain(what, right, method, got) })
}

func (k *Kubernetes) sign(ctx context.Context, r *http.Request, _ []byte) error {
	if k.cluster.token == nil {
		return nil // TLS shows a certificate
	}
	t, err := k.cluster.token(ctx)
	if err != nil {
		return &holdfast.Problem{
			Class: holdfast.Usage, What: "no credentials for Kubernetes", Err: err,
			Do: "Check them: `kubectl auth whoami`." + retry,
		}
	}
	if k.learn != nil {
		k.learn(t)
	}
	r.Header.Set("Authorization", "Bearer "+t.Reveal())
	return nil
}

func (k *Kubernetes) explain(what, right, method string, got answer) error {
	var said struct {
		Message string `json:"message"`
	}
	_ = got.into(&said) // an answer that is no JSON has its status
	switch got.status {
	case http.StatusNotFound:
		return none(what)
	case http.StatusConflict:
		return ErrChanged
	case http.StatusUnauthorized:
		return notAccepted(what, said.Message, "Check the credentials: `kubectl auth whoami`.")
	case http.StatusForbidden:
		return notAllowed(what, "", fmt.Sprintf(
			"`kubectl -n %s create role holdfast %s`, and a rolebinding to it", k.namespace, right))
	}
	return refused(what, got.status, method+" "+said.Message)
}
