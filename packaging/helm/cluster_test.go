package helm_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"holdfast/internal/splicetest/apiserver"
)

// kinds are where objects of each kind are in the API, %s being the namespace.
var kinds = map[string]string{
	"ConfigMap":      "/api/v1/namespaces/%s/configmaps",
	"Pod":            "/api/v1/namespaces/%s/pods",
	"Service":        "/api/v1/namespaces/%s/services",
	"ServiceAccount": "/api/v1/namespaces/%s/serviceaccounts",
	"Deployment":     "/apis/apps/v1/namespaces/%s/deployments",
	"CronJob":        "/apis/batch/v1/namespaces/%s/cronjobs",
	"NetworkPolicy":  "/apis/networking.k8s.io/v1/namespaces/%s/networkpolicies",
	"Role":           "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/roles",
	"RoleBinding":    "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings",
	"ServiceMonitor": "/apis/monitoring.coreos.com/v1/namespaces/%s/servicemonitors",
	"PrometheusRule": "/apis/monitoring.coreos.com/v1/namespaces/%s/prometheusrules",
}

// cluster is a real API server, as its administrator sees it.
type cluster struct {
	*apiserver.Server
	client http.Client
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{Server: apiserver.New(t)}
	text, err := os.ReadFile(c.Authority())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	c.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	for _, kind := range []string{"ServiceMonitor", "PrometheusRule"} {
		c.define(t, kind)
	}
	c.CreateYAML(t, "/apis/scheduling.k8s.io/v1/priorityclasses", []byte("metadata: {name: backup}\nvalue: 1000\n"))
	return c
}

// define makes a kind of Prometheus' operator known, of which anything is taken.
func (c *cluster) define(t *testing.T, kind string) {
	t.Helper()
	plural := strings.ToLower(kind) + "s"
	c.CreateYAML(t, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", fmt.Appendf(nil, `
metadata: {name: %[1]s.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {plural: %[1]s, kind: %[2]s}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`, plural, kind))
	until(t, "kind "+kind, func() bool {
		status, _, _ := c.send(t, http.MethodGet, fmt.Sprintf(kinds[kind], "default"), nil)
		return status == http.StatusOK
	})
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// send sends a request, and returns the warnings of its answer too.
func (c *cluster) send(t *testing.T, method, path string, body []byte) (status int, answer []byte, warnings []string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.URL()+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer token-of-"+apiserver.Admin)
	r.Header.Set("Content-Type", "application/json")
	a, err := c.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	if answer, err = io.ReadAll(a.Body); err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, answer, a.Header.Values("Warning")
}

// namespace makes one that refuses pods, and warns of what would make pods, that
// do not meet the restricted standard.
func (c *cluster) namespace(t *testing.T, name string) {
	t.Helper()
	c.Create(t, "/api/v1/namespaces", corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
	}}})
}

// A real API server takes every object as it is written, and gives the pods what
// they need and nothing else.
func TestACluster(t *testing.T) {
	t.Parallel()
	program(t)
	c := newCluster(t)
	c.namespace(t, "validator")
	c.namespace(t, "databases")
	t.Run("every object is taken", c.takesEveryObject)
	t.Run("by the manual", c.byTheManual)
	t.Run("each tier has its rights", c.tiersHaveTheirRights)
}

// takesEveryObject: without an unknown field, and without a word of warning.
func (c *cluster) takesEveryObject(t *testing.T) {
	tries := func(what, namespace, kind string, body []byte) {
		path := fmt.Sprintf(kinds[kind], namespace) + "?dryRun=All&fieldValidation=Strict"
		if status, said, warned := c.send(t, http.MethodPost, path, body); status != http.StatusCreated || len(warned) > 0 {
			t.Errorf("%s: %d %s %v", what, status, said, warned)
		}
	}
	careless := []byte(`{"metadata": {"name": "careless"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}`)
	if status, _, _ := c.send(t, http.MethodPost, fmt.Sprintf(kinds["Pod"], "validator"), careless); status != http.StatusForbidden {
		t.Fatalf("the namespace takes any pod: %d", status)
	}
	for _, i := range installs {
		all := objects(t, render(t, i))
		for _, o := range all {
			namespace := o.Metadata.Namespace
			if namespace == "" {
				namespace = "validator"
			}
			tries(i.values+": "+o.String(), namespace, o.Kind, o.JSON)
		}
		for name, template := range pods(t, all) {
			template.Name = "of-a-template"
			body, err := json.Marshal(corev1.Pod{
				TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
				ObjectMeta: template.ObjectMeta, Spec: template.Spec,
			})
			if err != nil {
				t.Fatal(err)
			}
			tries(i.values+": the pod of "+name, "validator", "Pod", body)
		}
	}
}

// documented are the blocks of the manual with commands of helm.
func documented(t *testing.T) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rest := range strings.Split(string(text), "```sh untested=chart\n")[1:] {
		block, _, _ := strings.Cut(rest, "```")
		blocks = append(blocks, block)
	}
	return blocks
}

// byTheManual installs, changes and removes it by the commands of the manual.
func (c *cluster) byTheManual(t *testing.T) {
	blocks := documented(t)
	if len(blocks) != 3 {
		t.Fatalf("%d blocks of commands, and this test knows what three are for", len(blocks))
	}
	chart, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(chart, filepath.Join(dir, "packaging")); err != nil {
		t.Fatal(err)
	}
	copyTo := func(from, to string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("testdata", from))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	environ := append(os.Environ(), "PATH="+filepath.Dir(program(t))+":"+os.Getenv("PATH"), "HOME="+dir,
		"KUBECONFIG="+c.Config(t, apiserver.Admin, "validator"), "IMAGE=registry.example/holdfast")
	manual := func(block string) string {
		t.Helper()
		cmd := exec.Command("/bin/sh", "-euc", block)
		cmd.Dir, cmd.Env = dir, environ
		said, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(said), "Warning") {
			t.Fatalf("%s: %v\n%s", block, err, said)
		}
		return string(said)
	}
	copyTo("given.yaml", "holdfast.yaml")
	if said := manual(blocks[0]); !strings.Contains(said, "helm test holdfast --namespace validator --logs") {
		t.Errorf("it does not say how to test it:\n%s", said)
	}
	before := c.installed(t)
	if want := []string{
		"ConfigMap holdfast", "Deployment holdfast", "NetworkPolicy holdfast", "Service holdfast", "ServiceAccount holdfast",
	}; !slices.Equal(slices.Sorted(maps.Keys(before)), want) {
		t.Errorf("installed are %v, want %v", slices.Sorted(maps.Keys(before)), want)
	}
	copyTo("found.yaml", "holdfast.yaml")
	manual(blocks[1])
	after := c.installed(t)
	if bytes.Equal(before["Deployment holdfast"], after["Deployment holdfast"]) {
		t.Error("another configuration is no other pod")
	}
	if after["Role holdfast-secrets"] == nil {
		t.Errorf("installed are %v, and no right to read the Secrets", slices.Sorted(maps.Keys(after)))
	}
	manual(blocks[2])
	if left := c.installed(t); len(left) > 0 {
		t.Errorf("removed, there still are %v", slices.Sorted(maps.Keys(left)))
	}
}

// installed are the objects of the release, with their specifications.
func (c *cluster) installed(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	found := map[string]json.RawMessage{}
	for kind, path := range kinds {
		_, answer, _ := c.send(t, http.MethodGet,
			fmt.Sprintf(path, "validator")+"?labelSelector=app.kubernetes.io/instance=holdfast", nil)
		var list struct {
			Items []struct {
				Metadata metav1.ObjectMeta
				Spec     json.RawMessage
			}
		}
		if err := json.Unmarshal(answer, &list); err != nil {
			t.Fatalf("%v\n%s", err, answer)
		}
		for _, item := range list.Items {
			spec := item.Spec
			if spec == nil {
				spec = json.RawMessage("{}")
			}
			found[kind+" "+item.Metadata.Name] = spec
		}
	}
	return found
}

// right is one thing that an account may do.
type right struct{ verb, group, resource, name string }

func (r right) String() string {
	return strings.TrimSpace(strings.Join([]string{r.verb, r.resource, r.name}, " "))
}

var verbs = []string{
	"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "impersonate", "bind", "escalate",
}

// resources are what a backup may be thought to need, and what it must not have.
var resources = map[string][]string{
	"": {
		"pods", "pods/exec", "pods/portforward", "pods/log", "pods/ephemeralcontainers", "services", "secrets", "configmaps",
		"serviceaccounts", "serviceaccounts/token", "persistentvolumeclaims", "persistentvolumes", "namespaces", "nodes",
		"events", "endpoints",
	},
	"apps":                      {"deployments", "deployments/scale", "statefulsets", "statefulsets/scale", "replicasets", "daemonsets"},
	"batch":                     {"jobs", "cronjobs"},
	"discovery.k8s.io":          {"endpointslices"},
	"coordination.k8s.io":       {"leases"},
	"snapshot.storage.k8s.io":   {"volumesnapshots", "volumesnapshotcontents"},
	"rbac.authorization.k8s.io": {"roles", "rolebindings", "clusterroles", "clusterrolebindings"},
	"networking.k8s.io":         {"networkpolicies"},
}

// all are all rights in question.
func all() (rights []right) {
	for group, names := range resources {
		for _, resource := range names {
			for _, verb := range verbs {
				rights = append(rights, right{verb, group, resource, ""})
				if resource == "secrets" {
					for _, name := range []string{"postgres-secrets", "other", "participant-bootstrap-dump"} {
						rights = append(rights, right{verb, group, resource, name})
					}
				}
			}
		}
	}
	return rights
}

// tiersHaveTheirRights asks the API server for each right in question.
func (c *cluster) tiersHaveTheirRights(t *testing.T) {
	for _, tier := range []struct {
		install
		want []string // in the node's namespace
	}{
		{install{"daemon", "given"}, nil},
		{install{"secrets", "found"}, []string{"get secrets postgres-secrets"}},
		{install{"discover", "found"}, []string{
			"get configmaps", "get services", "list deployments", "list persistentvolumeclaims", "list pods", "list services",
			"list statefulsets",
		}},
		{install{"idle", ""}, []string{
			"get configmaps", "get secrets postgres-secrets", "get services", "list deployments", "list persistentvolumeclaims",
			"list pods", "list services", "list statefulsets",
		}},
		{install{"values", "found"}, []string{
			"list secrets", "list secrets other", "list secrets participant-bootstrap-dump", "list secrets postgres-secrets",
		}},
		{install{"reonboard", "given"}, []string{
			"create configmaps", "create secrets", "create secrets other", "create secrets participant-bootstrap-dump",
			"create secrets postgres-secrets", "delete secrets participant-bootstrap-dump", "get secrets participant-bootstrap-dump",
		}},
		{install{"restore", "given"}, []string{
			"create configmaps", "get deployments/scale", "get statefulsets/scale", "patch deployments/scale", "patch statefulsets/scale",
		}},
	} {
		for _, o := range objects(t, renderAs(t, tier.values, tier.install)) {
			if strings.HasPrefix(o.Kind, "Role") {
				c.Create(t, fmt.Sprintf(kinds[o.Kind], o.Metadata.Namespace), o.JSON)
			}
		}
		may := func(in string) (rights []string) {
			for _, r := range all() {
				if c.may(t, "system:serviceaccount:validator:"+tier.values+"-holdfast", in, r) {
					rights = append(rights, r.String())
				}
			}
			slices.Sort(rights)
			return rights
		}
		var got []string
		until(t, tier.values, func() bool { got = may("validator"); return len(got) >= len(tier.want) })
		if !slices.Equal(got, tier.want) {
			t.Errorf("%s: it may %v, want %v", tier.values, got, tier.want)
		}
		if got := may("elsewhere"); len(got) > 0 {
			t.Errorf("%s: elsewhere it may %v", tier.values, got)
		}
	}
	participant := right{"get", "", "secrets", "participant-pg"}
	if !c.may(t, "system:serviceaccount:validator:secrets-holdfast", "databases", participant) {
		t.Error("the Secret of another namespace that the configuration names cannot be read")
	}
}

func (c *cluster) may(t *testing.T, user, namespace string, r right) bool {
	t.Helper()
	resource, sub, _ := strings.Cut(r.resource, "/")
	question := authorizationv1.SubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SubjectAccessReview"},
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: r.verb, Group: r.group, Resource: resource, Subresource: sub, Name: r.name,
		}},
	}
	body, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	status, answer, _ := c.send(t, http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
	if err := json.Unmarshal(answer, &question); err != nil || status != http.StatusCreated {
		t.Fatalf("%d %v\n%s", status, err, answer)
	}
	return question.Status.Allowed
}
