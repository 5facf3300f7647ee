package kube_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"holdfast"
	"holdfast/internal/splicetest/apiserver"
	"holdfast/node/kube"
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
	create(t, s, documented("v"))
	t.Run("no rights", func(t *testing.T) { withoutRights(t, s) })
	t.Run("the shipped Role", func(t *testing.T) { withTheRole(t, s) })
	t.Run("many pods", func(t *testing.T) { manyPods(t, s) })
	t.Run("reached from outside", func(t *testing.T) { fromOutside(t, s) })
}

func withoutRights(t *testing.T, s *apiserver.Server) {
	_, err := connect(t, s, "nobody").List(t.Context(), "v")
	_, do := holdfast.Advice(err)
	if holdfast.ClassOf(err) != holdfast.WrongKey || !strings.Contains(do, "packaging/kubernetes/role.yaml") ||
		!strings.Contains(err.Error(), "list deployments in namespace v of the cluster of context nobody") {
		t.Errorf("%v\n%s", err, do)
	}
}

// give gives a user the Role that is shipped, in a namespace.
func give(t *testing.T, s *apiserver.Server, namespace string) {
	t.Helper()
	text, err := os.ReadFile("../../packaging/kubernetes/role.yaml")
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
	give(t, s, "v")
	c := connect(t, s, "reader")
	o, err := c.List(t.Context(), "v")
	if err != nil {
		t.Fatal(err)
	}
	v := onlyOne(t, o)
	if len(v.Questions) > 0 || v.Credentials("CLIENT_ID").Text != "acme-app" || v.Databases[holdfast.Participant].Name != "participant_4" {
		t.Errorf("%s\n%v", summary(v), v.Credentials("CLIENT_ID"))
	}
	if _, err := c.List(t.Context(), ""); holdfast.ClassOf(err) != holdfast.WrongKey {
		t.Errorf("all namespaces: %v", err)
	}
}

// manyPods: three hundred and more pods are a few pages, and change nothing.
func manyPods(t *testing.T, s *apiserver.Server) {
	c := connect(t, s, apiserver.Admin)
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
	begun := time.Now()
	if v := onlyOne(t, o); len(v.Questions) > 0 {
		t.Error(v.Questions)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("finding took %s", took)
	}
}

func fromOutside(t *testing.T, s *apiserver.Server) {
	s.Kubelet(t)
	port := echo(t)
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
	s.Run(t, corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "echo-0", Namespace: "v", Labels: map[string]string{"app": "echo"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "x", Image: "x", Ports: []corev1.ContainerPort{{Name: "own", ContainerPort: port}},
		}}},
	})
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
