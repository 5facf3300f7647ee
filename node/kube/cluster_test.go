package kube_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/yaml"

	"holdfast"
	"holdfast/internal/splicetest/apiserver"
	"holdfast/node/kube"
	"holdfast/secretmanager"
	"holdfast/step"
)

// create puts the objects of an install into a cluster.
func create(t *testing.T, s *apiserver.Server, o kube.Objects) {
	t.Helper()
	space := o.Deployments[0].Namespace
	s.Create(t, "/api/v1/namespaces", corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space}})
	for _, d := range o.Deployments {
		d.Spec.Selector = &metav1.LabelSelector{MatchLabels: d.Spec.Template.Labels}
		complete(&d.Spec.Template)
		s.Create(t, "/apis/apps/v1/namespaces/"+space+"/deployments", d)
	}
	for _, set := range o.StatefulSets {
		set.Spec.Selector = &metav1.LabelSelector{MatchLabels: set.Spec.Template.Labels}
		set.Spec.VolumeClaimTemplates = nil
		complete(&set.Spec.Template)
		s.Create(t, "/apis/apps/v1/namespaces/"+space+"/statefulsets", set)
	}
	for _, service := range o.Services {
		for i := range service.Spec.Ports {
			service.Spec.Ports[i].Name = "p" + strconv.Itoa(i)
		}
		s.Create(t, "/api/v1/namespaces/"+space+"/services", service)
	}
	s.Create(t, "/api/v1/namespaces/"+space+"/secrets", corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "splice-app-validator-ledger-api-auth"},
		StringData: map[string]string{"url": "https://idp/x", "client-id": "acme-app", "client-secret": "hunter2"},
	})
	s.Create(t, "/api/v1/namespaces/"+space+"/secrets", corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "postgres-secrets"}, StringData: map[string]string{"postgresPassword": "hunter3"},
	})
	s.Create(t, "/api/v1/namespaces/"+space+"/configmaps", corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "names"}, Data: map[string]string{"participant": "participant_4"},
	})
}

func complete(t *corev1.PodTemplateSpec) {
	for i := range t.Spec.Containers {
		if t.Spec.Containers[i].Image == "" {
			t.Spec.Containers[i].Image = "x"
		}
	}
}

func connect(t *testing.T, s *apiserver.Server, user string) *kube.Cluster {
	t.Helper()
	c, err := kube.Connect(kube.Options{Kubeconfig: s.Config(t, user, "v"), Within: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A node is found through the API, with the rights of the Role that is shipped and
// with no others; and its Services are reached from outside of the cluster.
func TestACluster(t *testing.T) {
	s := apiserver.New(t)
	s.Kubelet(t)
	o := documented("v")
	env(o, 0, corev1.EnvVar{Name: "CANTON_PARTICIPANT_POSTGRES_DB", ValueFrom: &corev1.EnvVarSource{
		ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "names"}, Key: "participant",
		},
	}})
	create(t, s, o)
	port := echo(t)
	t.Run("no rights", func(t *testing.T) { withoutRights(t, s) })
	t.Run("the shipped Role", func(t *testing.T) { withTheRole(t, s) })
	t.Run("from a pod", func(t *testing.T) { fromAPod(t, s) })
	t.Run("many pods", func(t *testing.T) { manyPods(t, s) })
	t.Run("reached from outside", func(t *testing.T) { fromOutside(t, s, port) })
	t.Run("nothing but the shipped Role", func(t *testing.T) { withLess(t, s) })
	t.Run("under faults", func(t *testing.T) { underFaults(t, s, port) })
	t.Run("recorded", func(t *testing.T) { recorded(t, s) })
	t.Run("the Role of a restore", func(t *testing.T) { withTheRoleOfARestore(t, s) })
	t.Run("the Role of a re-onboarding", func(t *testing.T) { withTheRoleOfAReonboarding(t, s) })
}

// withTheRoleOfARestore: what a restore needs besides is in its Role, and is found
// to be missing before anything is stopped.
func withTheRoleOfARestore(t *testing.T, s *apiserver.Server) {
	n := kube.Node{Cluster: connect(t, s, "reader"), Namespace: "v"}
	p := kube.Programs{Node: n}
	survey := func() error {
		_, err := p.Survey(t.Context(), holdfast.Set{}, time.Now(), step.Log{})
		return err
	}
	if err := survey(); holdfast.ClassOf(err) != holdfast.WrongKey || !strings.Contains(err.Error(), "get deployments/scale") {
		t.Errorf("without it: %v", err)
	}
	if err := n.Keep(t.Context(), "n.json", []byte("{}")); holdfast.ClassOf(err) != holdfast.WrongKey {
		t.Errorf("without it: %v", err)
	}
	give(t, s, "v", "role-restore.yaml")
	if !soon(func() bool { return survey() == nil }) {
		t.Error(survey())
	}
	for _, want := range []string{"{}", "[]", ""} {
		err := n.Keep(t.Context(), "n.json", map[bool][]byte{true: []byte(want)}[want != ""])
		got, failed := n.Kept(t.Context(), "n.json")
		if err != nil || failed != nil || string(got) != want {
			t.Errorf("%v, %v, kept %q", err, failed, got)
		}
	}
}

// withTheRoleOfAReonboarding: the Secret with the identities is made once, says what
// it was made for, and is removed unless somebody takes it. Somebody else's is left.
func withTheRoleOfAReonboarding(t *testing.T, s *apiserver.Server) {
	const secrets = "/api/v1/namespaces/v/secrets"
	ctx, n := t.Context(), kube.Node{Cluster: connect(t, s, "reader"), Namespace: "v"}
	_, _, err := n.Bootstrap(ctx)
	if _, do := holdfast.Advice(err); holdfast.ClassOf(err) != holdfast.WrongKey || !strings.Contains(do, "role-reonboard.yaml") {
		t.Errorf("without it: %v\n%s", err, do)
	}
	give(t, s, "v", "role-reonboard.yaml")
	if !soon(func() bool { _, there, err := n.Bootstrap(ctx); return err == nil && !there }) {
		t.Fatal("with it a Secret that is not there cannot be looked for")
	}
	for range 2 { // the answer to the first may be lost
		if err := n.MakeBootstrap(ctx, []byte("keys"), "the note"); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.MakeBootstrap(ctx, []byte("others"), "another"); holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("another run's: %v", err)
	}
	if note, there, err := n.Bootstrap(ctx); note != "the note" || !there || err != nil {
		t.Errorf("it says %q, %v, %v", note, there, err)
	}
	status, said := s.Ask(http.MethodGet, secrets+"/"+kube.BootstrapSecret, nil)
	if status != http.StatusOK || !strings.Contains(said, `"content":"a2V5cw=="`) || !strings.Contains(said, `"immutable":true`) {
		t.Errorf("%d %s", status, said)
	}
	s.Run(t, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "taker", Namespace: "v"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "x", Image: "x"}},
		Volumes: []corev1.Volume{{Name: "dump", VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: kube.BootstrapSecret},
		}}},
	}})
	if _, err := n.RemoveBootstrap(ctx); holdfast.ClassOf(err) != holdfast.Refused || !strings.HasPrefix(err.Error(), "Pod taker takes ") {
		t.Errorf("while a pod takes it: %v", err)
	}
	s.Delete(t, "/api/v1/namespaces/v/pods/taker")
	for _, want := range []bool{true, false} {
		if there, err := n.RemoveBootstrap(ctx); there != want || err != nil {
			t.Errorf("removed: %v, %v", there, err)
		}
	}
	s.Create(t, secrets, corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: kube.BootstrapSecret}})
	if _, err := n.RemoveBootstrap(ctx); holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("somebody else's is removed: %v", err)
	}
	if err := n.MakeBootstrap(ctx, []byte("keys"), "the note"); holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("somebody else's is taken: %v", err)
	}
	s.Delete(t, secrets+"/"+kube.BootstrapSecret)
}

func withoutRights(t *testing.T, s *apiserver.Server) {
	_, err := connect(t, s, "nobody").List(t.Context(), "v")
	_, do := holdfast.Advice(err)
	if holdfast.ClassOf(err) != holdfast.WrongKey || !strings.Contains(do, "packaging/kubernetes/role.yaml") ||
		!strings.Contains(err.Error(), "list deployments in namespace v of the cluster of context nobody") {
		t.Errorf("%v\n%s", err, do)
	}
}

// listed are the objects, with a right that was given a moment ago.
func listed(t *testing.T, c *kube.Cluster) (o kube.Objects) {
	t.Helper()
	var err error
	if !soon(func() bool { o, err = c.List(t.Context(), c.Namespace); return err == nil }) {
		t.Fatal(err)
	}
	return o
}

// give gives a user a Role that is shipped, in a namespace.
func give(t *testing.T, s *apiserver.Server, namespace, role string) {
	t.Helper()
	text, err := os.ReadFile("../../packaging/kubernetes/" + role)
	if err != nil {
		t.Fatal(err)
	}
	for doc := range bytes.SplitSeq(text, []byte("\n---\n")) {
		kind := map[bool]string{true: "rolebindings", false: "roles"}[bytes.Contains(doc, []byte("kind: RoleBinding"))]
		doc = bytes.ReplaceAll(doc, []byte("name: PERSON"), []byte("name: reader"))
		s.CreateYAML(t, "/apis/rbac.authorization.k8s.io/v1/namespaces/"+namespace+"/"+kind, doc)
	}
}

func withTheRole(t *testing.T, s *apiserver.Server) {
	give(t, s, "v", "role.yaml")
	c := connect(t, s, "reader")
	o := listed(t, c)
	v := onlyOne(t, o)
	if len(v.Questions) > 0 || v.Credentials("CLIENT_ID").Text != "acme-app" || v.Databases[holdfast.Participant].Name != "participant_4" {
		t.Errorf("%s\n%v", summary(v), v.Credentials("CLIENT_ID"))
	}
	if _, err := c.List(t.Context(), ""); holdfast.ClassOf(err) != holdfast.WrongKey {
		t.Errorf("all namespaces: %v", err)
	}
}

// fromAPod: a pod's service account with the shipped Role is as good as a person.
func fromAPod(t *testing.T, s *apiserver.Server) {
	t.Setenv("KUBECONFIG", "")
	at, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", at.Hostname())
	t.Setenv("KUBERNETES_SERVICE_PORT", at.Port())
	account := s.Account(t, "v", "holdfast")
	s.Create(t, "/apis/rbac.authorization.k8s.io/v1/namespaces/v/rolebindings", map[string]any{
		"metadata": map[string]string{"name": "of-a-pod"},
		"roleRef":  map[string]string{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "holdfast"},
		"subjects": []map[string]string{{"kind": "ServiceAccount", "name": "holdfast", "namespace": "v"}},
	})
	c, err := kube.Connect(kube.Options{Account: account})
	if err != nil {
		t.Fatal(err)
	}
	if v := onlyOne(t, listed(t, c)); len(v.Questions) > 0 || c.Where("v") != "namespace v of the cluster" {
		t.Errorf("%s\n%s", summary(v), c.Where("v"))
	}
	for _, missing := range []string{"ca.crt", "token"} {
		if err := os.Remove(filepath.Join(account, missing)); err != nil {
			t.Fatal(err)
		}
		_, err := kube.Connect(kube.Options{Account: account})
		if _, do := holdfast.Advice(err); !strings.Contains(do, "automountServiceAccountToken") {
			t.Errorf("without %s: %v\n%s", missing, err, do)
		}
	}
}

// manyPods: three hundred pods take as many requests as none.
func manyPods(t *testing.T, s *apiserver.Server) {
	var asked atomic.Int64
	c := through(t, s, func(http.ResponseWriter, *http.Request) bool { return asked.Add(1) > 0 })
	if _, err := c.List(t.Context(), "v"); err != nil {
		t.Fatal(err)
	}
	few := asked.Swap(0)
	for i := range 300 {
		s.Create(t, "/api/v1/namespaces/v/pods", corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("other-%d", i), Namespace: "v"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "x"}}},
		})
	}
	o, err := c.List(t.Context(), "")
	if err != nil || len(o.Pods) < 300 {
		t.Fatalf("%d pods, %v", len(o.Pods), err)
	}
	if many := asked.Load(); many != few {
		t.Errorf("%d requests with 300 pods, %d without", many, few)
	}
	begun := time.Now()
	if v := onlyOne(t, o); len(v.Questions) > 0 {
		t.Error(v.Questions)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("finding took %s", took)
	}
}

func fromOutside(t *testing.T, s *apiserver.Server, port int32) {
	s.Create(t, "/api/v1/namespaces/v/services", corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "echo"},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "echo"}, Ports: []corev1.ServicePort{
			{Name: "a", Port: 5432, TargetPort: intstr.FromString("own")}, {Name: "b", Port: 1, TargetPort: intstr.FromInt32(1)},
		}},
	})
	c := connect(t, s, "reader")
	to := func(port string) (net.Conn, error) {
		return c.To(kube.Name{Service: "echo", Namespace: "v"}, port)(t.Context(), "tcp", "echo.v.svc:"+port)
	}
	if _, err := to("5432"); err == nil || !strings.Contains(err.Error(), "none of the 0 pods behind Service echo is ready") {
		t.Errorf("without a pod: %v", err)
	}
	runEcho(t, s, "echo-0", port)
	conn, err := to("5432")
	if err != nil {
		t.Fatal(err)
	}
	sent := slices.Repeat([]byte("holdfast "), 100_000)
	go func() { _, _ = conn.Write(sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("what came back is not what was sent: %v", err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := conn.Read(got); !os.IsTimeout(err) {
		t.Errorf("a deadline: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	manyConnections(t, to)
	closed, err := to("1")
	if err == nil {
		_, err = closed.Read(got)
	}
	if err == nil || !strings.Contains(err.Error(), "port 1 of pod echo-0 is unreachable") {
		t.Errorf("a port that nobody listens at: %v", err)
	}
	if _, err := to("2"); err == nil || !strings.Contains(err.Error(), "Service echo has no port 2") {
		t.Errorf("a port that there is none of: %v", err)
	}
}

// through connects through a proxy that sees, and may lose, each request.
func through(
	t *testing.T, s *apiserver.Server, see func(http.ResponseWriter, *http.Request) bool,
) *kube.Cluster {
	t.Helper()
	c, err := kube.Connect(kube.Options{Kubeconfig: s.Front(t, apiserver.Admin, "v", see), Within: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// underFaults: answers that are lost are requested again, a cluster that answers
// nothing is not waited for, and what is gone since it was listed is looked for
// again, or stays unseen.
func underFaults(t *testing.T, s *apiserver.Server, port int32) {
	var lost sync.Map
	c := through(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if _, before := lost.LoadOrStore(r.URL.Path, true); !before {
			panic(http.ErrAbortHandler)
		}
		return true
	})
	if o, err := c.List(t.Context(), "v"); err != nil || len(onlyOne(t, o).Questions) > 0 {
		t.Errorf("answers were lost: %v", err)
	}

	pages := 0
	c = through(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/pods") {
			return true
		}
		pages++
		w.Header().Set("Content-Type", "application/json")
		switch pages {
		case 1: // there is more, and one of these is gone when the list is complete
			_, _ = io.WriteString(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"continue":"x"},`+
				`"items":[{"metadata":{"name":"gone","namespace":"v"}}]}`)
		case 2:
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}`)
		}
		return pages > 2
	})
	again, err := c.List(t.Context(), "v")
	if err != nil || slices.ContainsFunc(again.Pods, func(p corev1.Pod) bool { return p.Name == "gone" }) {
		t.Errorf("a list was forgotten between two pages: %v", err)
	}

	silent := s.Front(t, apiserver.Admin, "v", func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return false
	})
	c, err = kube.Connect(kube.Options{Kubeconfig: silent, Within: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.List(t.Context(), "v"); holdfast.ClassOf(err) != holdfast.Unreachable {
		t.Errorf("nothing answers: %v", err)
	}

	var replaced sync.Once
	c = through(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/echo-0/portforward") {
			return true
		}
		replaced.Do(func() {
			s.Delete(t, "/api/v1/namespaces/v/pods/echo-0")
			runEcho(t, s, "echo-1", port)
		})
		http.Error(w, "pods \"echo-0\" not found", http.StatusNotFound) // the server may still know it for a moment
		return false
	})
	conn, err := c.To(kube.Name{Service: "echo", Namespace: "v"}, "5432")(t.Context(), "tcp", "")
	if err != nil {
		t.Fatalf("the pod was replaced: %v", err)
	}
	_ = conn.Close()

	var gone sync.Once
	c = through(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/configmaps/names") {
			gone.Do(func() { s.Delete(t, r.URL.Path) })
		}
		return true
	})
	o, err := c.List(t.Context(), "v")
	if err != nil {
		t.Fatal(err)
	}
	if q := onlyOne(t, o).Questions; len(q) != 1 || !strings.Contains(q[0].What, "configmap:v/names#participant") {
		t.Errorf("a ConfigMap vanished: %v", q)
	}
}

// withLess takes each right out of the shipped Role: something does not work then,
// and says which right is missing.
func withLess(t *testing.T, s *apiserver.Server) {
	const roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/v/roles/holdfast"
	text, err := os.ReadFile("../../packaging/kubernetes/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ = bytes.Cut(text, []byte("\n---\n"))
	var whole rbacv1.Role
	if err := yaml.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	all := rights(whole.Rules)
	for i, without := range all {
		if slices.Equal(without.Resources, []string{"pods/portforward"}) && slices.Equal(without.Verbs, []string{"get"}) {
			continue // for WebSockets: the protocol before them does without, but not every proxy lets it through
		}
		less := whole
		less.Rules = slices.Delete(slices.Clone(all), i, i+1)
		s.Put(t, roles, less)
		var err error
		if !soon(func() bool { err = everything(t, s); return err != nil }) {
			t.Errorf("the Role has a right that nothing needs: %v", without)
		}
		named := holdfast.ClassOf(err) == holdfast.WrongKey &&
			strings.Contains(err.Error(), without.Verbs[0]+" "+without.Resources[0])
		if without.ResourceNames == nil && without.Resources[0] != "configmaps" && !named {
			t.Errorf("without %v: %v", without, err)
		}
		s.Put(t, roles, whole)
		if !soon(func() bool { return everything(t, s) == nil }) {
			t.Fatal(everything(t, s))
		}
	}
}

// soon waits for what the server does a moment after it has answered: it watches
// its own Roles.
func soon(so func() bool) bool {
	for begun := time.Now(); time.Since(begun) < 10*time.Second; time.Sleep(20 * time.Millisecond) {
		if so() {
			return true
		}
	}
	return false
}

// rights are rules of one right each.
func rights(rules []rbacv1.PolicyRule) (out []rbacv1.PolicyRule) {
	for _, r := range rules {
		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				for _, name := range append(r.ResourceNames, map[bool][]string{true: {""}}[len(r.ResourceNames) == 0]...) {
					one := rbacv1.PolicyRule{APIGroups: r.APIGroups, Resources: []string{resource}, Verbs: []string{verb}}
					if name != "" {
						one.ResourceNames = []string{name}
					}
					out = append(out, one)
				}
			}
		}
	}
	return out
}

// everything is what the Role is for.
func everything(t *testing.T, s *apiserver.Server) error {
	c := connect(t, s, "reader")
	o, err := c.List(t.Context(), "v")
	if err != nil {
		return err
	}
	v := onlyOne(t, o)
	if v.Credentials("CLIENT_ID").Text == "" || v.Databases[holdfast.Participant].Name != "participant_4" {
		return errors.New("something was not read")
	}
	passwords, err := secretmanager.NewKubernetes(secretmanager.KubernetesOptions{
		Namespace: "v", Kubeconfig: s.Config(t, "reader", "v"),
	})
	if err != nil {
		return err
	}
	if _, _, err := passwords.Plain().Read(t.Context(), "postgres-secrets", ""); err != nil {
		return err
	}
	d, err := kube.Node{Cluster: c, Namespace: "v"}.Deployment(t.Context())
	if lacks := strings.Join(d.NotKept, "; "); err == nil && strings.Contains(lacks, "does not allow") {
		err = &holdfast.Problem{Class: holdfast.WrongKey, What: lacks}
	}
	if err != nil {
		return err
	}
	conn, err := c.To(kube.Name{Service: "echo", Namespace: "v"}, "5432")(t.Context(), "tcp", "")
	if err == nil {
		err = conn.Close()
	}
	return err
}

// manyConnections: a backup makes dozens, and client-go's own limit of requests
// would spread these over ten seconds.
func manyConnections(t *testing.T, to func(port string) (net.Conn, error)) {
	begun := time.Now()
	for range 30 {
		conn, err := to("5432")
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	if took := time.Since(begun); took > 6*time.Second {
		t.Errorf("30 connections took %s", took)
	}
}

// runEcho runs a pod of Service echo.
func runEcho(t *testing.T, s *apiserver.Server, name string, port int32) {
	t.Helper()
	s.Run(t, corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "v", Labels: map[string]string{"app": "echo"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "x", Image: "x", Ports: []corev1.ContainerPort{{Name: "own", ContainerPort: port}},
		}}},
	})
}

// echo sends back what it gets.
func echo(t *testing.T) int32 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return int32(l.Addr().(*net.TCPAddr).Port) //nolint:forcetypeassert,gosec // of a TCP listener
}

// A kubeconfig that would lower the guard is refused, as is one without the
// context.
func TestMistakesInAKubeconfig(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	path := t.TempDir() + "/kubeconfig"
	for _, x := range []struct{ cluster, context, want string }{
		{"{server: 'https://h', insecure-skip-tls-verify: true}", "", "anybody could be the cluster"},
		{"{server: 'https://h'}", "there", "context was not found for specified context: there"},
	} {
		text := "apiVersion: v1\nkind: Config\ncurrent-context: here\ncontexts: [{name: here, context: {cluster: c, user: u}}]\n" +
			"clusters: [{name: c, cluster: " + x.cluster + "}]\nusers: [{name: u, user: {token: hunter2}}]\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := kube.Connect(kube.Options{Kubeconfig: path, Context: x.context})
		if holdfast.ClassOf(err) != holdfast.Usage || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%v", err)
		}
	}
}
