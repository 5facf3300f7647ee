package kube_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"holdfast/node/kube"
)

// kept is what a set keeps of those objects.
func kept(t *testing.T, o kube.Objects, more ...any) (out kube.Kept) {
	t.Helper()
	add := func(version, kind string, object any) {
		text, err := json.Marshal(object)
		var fields map[string]any
		if err == nil {
			err = json.Unmarshal(text, &fields)
		}
		if err != nil {
			t.Fatal(err)
		}
		fields["apiVersion"], fields["kind"] = version, kind
		text, _ = json.Marshal(fields)
		out.Objects = append(out.Objects, text)
	}
	for _, d := range o.Deployments {
		add("apps/v1", "Deployment", d)
	}
	for _, s := range o.StatefulSets {
		add("apps/v1", "StatefulSet", s)
	}
	for _, s := range o.Services {
		add("v1", "Service", s)
	}
	for _, m := range more {
		switch m := m.(type) {
		case corev1.ConfigMap:
			add("v1", "ConfigMap", m)
		case corev1.PersistentVolumeClaim:
			add("v1", "PersistentVolumeClaim", m)
		case kube.Release:
			out.Releases = append(out.Releases, m)
		}
	}
	return out
}

// of marks objects as those of a release.
func of(release string, list ...*metav1.ObjectMeta) {
	for _, m := range list {
		m.Annotations = map[string]string{"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "v"}
	}
}

func releaseOf(name, chart, values string) kube.Release {
	return kube.Release{
		Name: name, Namespace: "v", Chart: chart, Version: "0.7.5", Registry: "oci://ghcr.io/x/helm", Values: json.RawMessage(values),
	}
}

// What a namespace is made again of is typed in the order in which databases are not
// made empty: what serves them first, then the participant, then the app.
func TestANamespaceIsMadeAgain(t *testing.T) {
	const file = "/etc/h/n.namespace-s/"
	helm := func(release, chart string) string {
		return "helm upgrade --install " + release + " oci://ghcr.io/x/helm/" + chart + " --version 0.7.5 --namespace v " +
			"--kube-context prod --values " + file + release + ".values.json\n"
	}
	apply := func(name string) string {
		return "kubectl --context prod --namespace v apply --filename " + file + name + ".json\n"
	}
	all := func(o *kube.Objects) []*metav1.ObjectMeta {
		return []*metav1.ObjectMeta{
			&o.StatefulSets[0].ObjectMeta, &o.Services[0].ObjectMeta, &o.Deployments[0].ObjectMeta, &o.Services[1].ObjectMeta,
			&o.Deployments[1].ObjectMeta, &o.Deployments[2].ObjectMeta, &o.Services[2].ObjectMeta,
		}
	}
	claim := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "pg-data-postgres-0", Namespace: "v"}}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("50Gi")}
	for _, x := range []struct {
		name           string
		change         func(o *kube.Objects) []any
		servers, then  string
		files, without string // names of files; what no file has
	}{
		{
			"three releases", func(o *kube.Objects) []any {
				m := all(o)
				of("postgres", m[:2]...)
				of("participant", m[2:4]...)
				of("validator", m[4:]...)
				return []any{
					claim, releaseOf("validator", "splice-validator", `{"a":"<&"}`), releaseOf("ingress", "splice-ingress", ""),
					releaseOf("participant", "splice-participant", `null`), releaseOf("postgres", "splice-postgres", `{}`),
				}
			},
			helm("postgres", "splice-postgres"),
			helm("participant", "splice-participant") + helm("validator", "splice-validator") + helm("ingress", "splice-ingress"),
			"ingress.values.json participant.values.json postgres.values.json validator.values.json", "pg-data",
		},
		{
			"nobody keeps anything", func(*kube.Objects) []any {
				return []any{claim, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m", Namespace: "v"}}}
			},
			apply("objects") + apply("statefulset-postgres"),
			apply("deployment-participant") + apply("deployment-validator-app") + apply("deployment-wallet-web-ui"),
			"deployment-participant.json deployment-validator-app.json deployment-wallet-web-ui.json objects.json statefulset-postgres.json",
			"PersistentVolumeClaim",
		},
		{
			"one release has all", func(o *kube.Objects) []any {
				of("node", all(o)...)
				return []any{releaseOf("node", "umbrella", `{"x":1}`)}
			},
			"# Helm's release node takes these objects over when it installs them again.\n" + apply("statefulset-postgres"),
			helm("node", "umbrella"), "node.values.json statefulset-postgres.json", "",
		},
		{
			"Argo CD, a server elsewhere, and a password in clear", func(o *kube.Objects) []any {
				for _, m := range all(o) {
					m.Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "node:apps/Deployment:v/x"}
				}
				o.StatefulSets, o.Services = nil, o.Services[1:]
				env(*o, 0, text("CANTON_PARTICIPANT_POSTGRES_SERVER", "db.example.com"),
					text("CANTON_PARTICIPANT_POSTGRES_PASSWORD", "(secret, not recorded)"))
				env(*o, 1, text("ADDITIONAL_CONFIG_PERSISTENCE", persistence("db.example.com", "cantonnet_validator")))
				return nil
			},
			"",
			"# Argo CD's Application node takes these objects over when it installs them again.\n" +
				"# A variable had a secret in clear, which is in no set: put it in the place of '(secret, not recorded)' first.\n" +
				apply("deployment-participant"),
			"deployment-participant.json", "",
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			o := documented("v")
			more := x.change(&o)
			d := kube.Description{Namespace: "v", Validator: "Deployment validator-app", Participant: "Deployment participant"}
			r, err := kube.Rebuilt(d, kept(t, o, more...), kube.Site{Context: "prod", Namespace: "v", Directory: file})
			if err != nil {
				t.Fatal(err)
			}
			lines := func(list []kube.Install) (out string) {
				for _, i := range list {
					out += i.Lines
				}
				return out
			}
			if got := lines(r.Servers); got != x.servers {
				t.Errorf("before the databases:\n%s\nwant:\n%s", got, x.servers)
			}
			if got := lines(r.Programs); got != x.then {
				t.Errorf("after them:\n%s\nwant:\n%s", got, x.then)
			}
			if got := strings.Join(slices.Sorted(maps.Keys(r.Files)), " "); got != x.files {
				t.Errorf("files %s, want %s", got, x.files)
			}
			for name, text := range r.Files {
				if !json.Valid(text) || x.without != "" && strings.Contains(string(text), x.without) && name != "statefulset-postgres.json" {
					t.Errorf("%s:\n%s", name, text)
				}
			}
		})
	}
}

// The node that a set describes is found as one that runs is: where its databases are,
// and where their passwords were. One that was in clear is in no set.
func TestTheNodeOfASet(t *testing.T) {
	o := documented("v")
	env(o, 0, text("CANTON_PARTICIPANT_POSTGRES_PASSWORD", "(secret, not recorded)"))
	o.Services = o.Services[1:] // somebody else makes that of Postgres, such as an operator
	d := kube.Description{Namespace: "v", Validator: "Deployment validator-app", Services: []string{"postgres", "participant"}}
	r, err := kube.Rebuilt(d, kept(t, o), kube.Site{})
	if err != nil {
		t.Fatal(err)
	}
	got := summary(r.Node)
	for _, want := range []string{
		"validator: cnadmin@postgres.v.svc:5432/cantonnet_validator, " + inSecret, "http://validator-app.v.svc:5003",
		"question participant true: Deployment participant: the password was in clear in the description of its pod, and is in no set",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not have %q:\n%s", want, got)
		}
	}
}
