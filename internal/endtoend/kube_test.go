package endtoend

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/apiserver"
)

// A validator in Kubernetes is set up and backed up by one command from outside of
// the cluster: every connection is forwarded, the client programs' as well, and
// the password stays in its Secret. It is restored by one command as well.
func TestAValidatorInKubernetes(t *testing.T) {
	const password = "it's a \\ password"
	s := apiserver.New(t)
	s.Kubelet(t)
	node := splicetest.NewNode(t, splicetest.NodeOptions{TCP: true, Password: password})
	app := splicetest.NewValidatorApp(t, node, splicetest.AppOptions{})
	install(t, s, node, app, password)

	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBECONFIG", s.Config(t, apiserver.Admin, "default"))
	c := control(t, s, node)
	c.serves(t)
	w := newWorkshop(t)
	out, code := w.run("init", "--kube", "--yes", "--recovery-key-file", "key")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for _, want := range []string{
		"Found in Kubernetes:", "namespace    node", "at postgres.node.svc   Pod postgres-0", "Deployment app",
		"ok  validator: ", "ok  participant: ", "ok  identities: ", "proven",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("init does not print %q:\n%s", want, out)
		}
	}
	text, err := os.ReadFile(filepath.Join(w.dir, "holdfast.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"kube:\n  kubeconfig: ", "  context: admin\n", "password: 'kube:node/postgres-secrets#postgresPassword'\n",
		"url: http://app.node.svc:5003\n", "dbname=participant-4 host=postgres.node.svc port=5432 user=postgres",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the configuration does not have %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text)+out, password) {
		t.Error("the password is shown")
	}
	w.does(t, "backup", "--quiet") // with what was written, once more
	c.isRestored(t, w, node)
	c.isReonboarded(t, w, node)
	s.Delete(t, "/api/v1/namespaces/node/pods/postgres-0")
	if out, code := w.run("backup", "--quiet"); code == 0 || !strings.Contains(out, "pods behind Service postgres is ready") {
		t.Errorf("without its server: exit code %d\n%s", code, out)
	}
}

// install puts a node into a cluster, as an operator would with charts of his own.
func install(t *testing.T, s *apiserver.Server, node *splicetest.Node, app *splicetest.ValidatorApp, password string) {
	t.Helper()
	const space = "/api/v1/namespaces/node"
	s.Create(t, "/api/v1/namespaces", corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "node"}})
	s.Create(t, space+"/secrets", corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "postgres-secrets"}, StringData: map[string]string{"postgresPassword": password},
	})
	at, err := url.Parse(app.URL())
	if err != nil {
		t.Fatal(err)
	}
	listening, err := strconv.ParseInt(at.Port(), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	for name, ports := range map[string][2]int32{
		"postgres": {5432, int32(node.Participant.Port())}, "app": {5003, int32(listening)}, "participant": {5001, 5001}, //nolint:gosec // ports
	} {
		labels := map[string]string{"app": name}
		s.Create(t, space+"/services", corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.ServiceSpec{
				Selector: labels, Ports: []corev1.ServicePort{{Port: ports[0], TargetPort: intstr.FromInt32(ports[1])}},
			},
		})
		s.Run(t, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name + "-0", Namespace: "node", Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: "x"}}},
		})
	}
	secret := corev1.EnvVar{Name: "CANTON_PARTICIPANT_POSTGRES_PASSWORD", ValueFrom: &corev1.EnvVarSource{
		SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "postgres-secrets"}, Key: "postgresPassword",
		},
	}}
	deploy(t, s, "participant", secret,
		corev1.EnvVar{Name: "CANTON_PARTICIPANT_POSTGRES_SERVER", Value: "postgres"},
		corev1.EnvVar{Name: "CANTON_PARTICIPANT_POSTGRES_DB", Value: splicetest.ParticipantDatabase},
		corev1.EnvVar{Name: "CANTON_PARTICIPANT_POSTGRES_USER", Value: "postgres"})
	secret.Name = "SPLICE_APP_POSTGRES_PASSWORD"
	deploy(t, s, "app", secret,
		corev1.EnvVar{Name: "SPLICE_APP_VALIDATOR_PARTICIPANT_ADDRESS", Value: "participant"},
		corev1.EnvVar{Name: "SPLICE_APP_VALIDATOR_AUTH_AUDIENCE", Value: splicetest.DefaultAudience},
		corev1.EnvVar{Name: "ADDITIONAL_CONFIG_DISABLE_AUTH", Value: "canton {}"},
		corev1.EnvVar{Name: "ADDITIONAL_CONFIG_PERSISTENCE", Value: "_storage.config.properties {\n" +
			"serverName = \"postgres.node\"\nportNumber = 5432\nuser = \"postgres\"\ndatabaseName = " +
			splicetest.ValidatorDatabase + "\npassword = ${SPLICE_APP_POSTGRES_PASSWORD}\n}"})
}

// charts are those that the node's two releases are of.
var charts = map[string]string{"participant": "splice-participant", "app": "splice-validator"}

func deploy(t *testing.T, s *apiserver.Server, name string, env ...corev1.EnvVar) {
	t.Helper()
	labels := map[string]string{"app": name}
	s.Create(t, "/apis/apps/v1/namespaces/node/deployments", appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{"helm.sh/chart": charts[name] + "-0.7.5", "app.kubernetes.io/managed-by": "Helm"},
			Annotations: map[string]string{"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": "node"},
		},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: "x", Env: env}}},
			},
		},
	})
}
