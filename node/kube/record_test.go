package kube_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"holdfast"
	"holdfast/internal/splicetest/apiserver"
	"holdfast/node/kube"
)

// memory is a set in memory.
type memory map[string]string

func (m memory) Put(_ context.Context, name string, fill func(io.Writer) error) (holdfast.Artifact, error) {
	var b bytes.Buffer
	err := fill(&b)
	m[name] = b.String()
	return holdfast.Artifact{}, err
}

func (m memory) Open(_ context.Context, name string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(m[name])), nil
}

// helmed is an install of two charts by Helm, as the documentation has it.
func helmed(namespace string) kube.Objects {
	o := documented(namespace)
	for i, release := range []string{"participant", "validator", "validator"} {
		o.Deployments[i].Labels = map[string]string{
			"app": o.Deployments[i].Name, "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": release,
			"helm.sh/chart": "splice-" + release + "-0.7.5",
		}
		c := &o.Deployments[i].Spec.Template.Spec.Containers[0]
		c.Image = "ghcr.io/digital-asset/decentralized-canton-sync/docker/" + c.Name + ":0.7.5"
	}
	return o
}

// release is Helm's Secret of one.
func release(name string, revision int, status, values string) corev1.Secret {
	text := `{"name":"` + name + `","namespace":"h","version":` + string(rune('0'+revision)) + `,"config":` + values +
		`,"chart":{"metadata":{"name":"splice-` + name + `","version":"0.7.5","appVersion":"0.7.5"}}}`
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name:   "sh.helm.release.v1." + name + ".v" + string(rune('0'+revision)),
			Labels: map[string]string{"owner": "helm", "name": name, "status": status},
		},
		Type: "helm.sh/release.v1",
		Data: map[string][]byte{"release": []byte(base64.StdEncoding.EncodeToString(packed.Bytes()))},
	}
}

// recorded: a set has what a namespace is made again of. Values of Helm's, which may
// be secrets, are in the encrypted file alone, and secrets in variables nowhere.
func recorded(t *testing.T, s *apiserver.Server) {
	o := helmed("h")
	env(o, 0, text("CANTON_PARTICIPANT_POSTGRES_PASSWORD", "literal1"),
		text("ADDITIONAL_CONFIG_X", `a.token = "literal2", b.password = ${B}, secret: literal3`))
	create(t, s, o)
	claim := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "pg-data-postgres-0"}}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("50Gi")}
	s.Create(t, "/api/v1/namespaces/h/persistentvolumeclaims", claim)
	for _, of := range []corev1.Secret{
		release("participant", 1, "superseded", `{"old":true}`),
		release("participant", 2, "deployed", `{"persistence":{"password":"literal4"}}`),
		release("validator", 1, "deployed", `null`),
	} {
		s.Create(t, "/api/v1/namespaces/h/secrets", of)
	}
	give(t, s, "h", "role.yaml")
	c := connect(t, s, "reader")
	c.Namespace = "h"
	listed(t, c)
	n := kube.Node{Cluster: c, Namespace: "h"}
	d, err := n.Deployment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(d.NotKept, "\n"); strings.Count(text, "role-values.yaml") != 2 ||
		!strings.Contains(text, "variable CANTON_PARTICIPANT_POSTGRES_PASSWORD of Deployment participant") {
		t.Errorf("without the right to list Secrets:\n%s", text)
	}

	give(t, s, "h", "role-values.yaml")
	set := memory{}
	if !soon(func() bool {
		d, err = n.Record(t.Context(), set)
		return err == nil && !strings.Contains(strings.Join(d.NotKept, " "), "role-values.yaml")
	}) {
		t.Fatalf("%v %q", err, d.NotKept)
	}
	inClear, _ := json.Marshal(d)
	for _, secret := range []string{"literal1", "literal2", "literal3", "literal4", "hunter2", "hunter3"} {
		if bytes.Contains(inClear, []byte(secret)) || secret != "literal4" && strings.Contains(set[d.OwnFile], secret) {
			t.Errorf("%s is recorded:\n%s\n%s", secret, inClear, set[d.OwnFile])
		}
	}
	kept, err := kube.Recorded(t.Context(), holdfast.Set{Deployment: &d}, set)
	if err != nil || len(kept.Releases) != 2 || kept.Releases[0].Revision != 2 ||
		kept.Releases[0].Registry != "oci://ghcr.io/digital-asset/decentralized-canton-sync/helm" ||
		!strings.Contains(string(kept.Releases[0].Values), "literal4") || len(kept.Objects) != 8 {
		t.Errorf("%v\n%+v", err, kept)
	}
	about, err := kube.Describe(&d)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range about.Lines() {
		lines = append(lines, strings.Join(l, ": "))
	}
	for _, want := range []string{
		"workload: Deployment participant, kept by Helm's release participant, chart splice-participant-0.7.5",
		"workload: StatefulSet postgres, kept by nobody", "Helm release: participant, chart splice-participant 0.7.5, revision 2",
		"claim: pg-data-postgres-0, 50Gi", "Secret, by name: postgres-secrets: postgresPassword",
	} {
		if !strings.Contains(strings.Join(lines, "\n"), want) {
			t.Errorf("it does not say %q:\n%s", want, strings.Join(lines, "\n"))
		}
	}
}

// The marks of what keeps objects as they are, as each leaves them.
func TestOwners(t *testing.T) {
	controller := true
	for want, m := range map[string]metav1.ObjectMeta{
		"nobody": {},
		"Helm's release validator": {
			Annotations: map[string]string{"meta.helm.sh/release-name": "validator", "meta.helm.sh/release-namespace": "v"},
		},
		"Argo CD's Application node": {
			Labels:      map[string]string{"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "node"},
			Annotations: map[string]string{"argocd.argoproj.io/tracking-id": "node:apps/Deployment:v/participant"},
		},
		"Argo CD's Application team/node": {
			Annotations: map[string]string{"argocd.argoproj.io/tracking-id": "team_node:apps/Deployment:v/participant"},
		},
		"Flux's HelmRelease flux-system/node": {Labels: map[string]string{
			"helm.toolkit.fluxcd.io/name": "node", "helm.toolkit.fluxcd.io/namespace": "flux-system",
			"kustomize.toolkit.fluxcd.io/name": "apps", "app.kubernetes.io/managed-by": "Helm",
		}},
		"Flux's Kustomization flux-system/apps": {Labels: map[string]string{
			"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
		}},
		"Cluster pg": {OwnerReferences: []metav1.OwnerReference{{Kind: "Cluster", Name: "pg", Controller: &controller}}},
	} {
		o := documented("v")
		m.Name, m.Namespace = "participant", "v"
		o.Deployments[0].ObjectMeta = m
		if got := onlyOne(t, o).Participant.Owner().String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
