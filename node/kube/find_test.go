package kube_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"holdfast"
	"holdfast/node/kube"
)

func text(name, value string) corev1.EnvVar { return corev1.EnvVar{Name: name, Value: value} }

func secret(name, of, key string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: of}, Key: key,
	}}}
}

func configured(name, of, key string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: of}, Key: key,
	}}}
}

func called(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}}
}

func template(name string, containers ...corev1.Container) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}}, Spec: corev1.PodSpec{Containers: containers},
	}
}

func deployment(namespace, name string, containers ...corev1.Container) appsv1.Deployment {
	return appsv1.Deployment{ObjectMeta: called(namespace, name), Spec: appsv1.DeploymentSpec{Template: template(name, containers...)}}
}

func postgres(namespace, name, claim string) appsv1.StatefulSet {
	return appsv1.StatefulSet{ObjectMeta: called(namespace, name), Spec: appsv1.StatefulSetSpec{
		Template:             template(name, corev1.Container{Name: name, Image: "postgres:14"}),
		VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: claim}}},
	}}
}

func service(namespace, name, app string, ports ...int32) corev1.Service {
	s := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	s.Spec.Selector = map[string]string{"app": app}
	for _, p := range ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: p, TargetPort: intstr.FromInt32(p)})
	}
	return s
}

// participantEnv and appEnv are what the charts of Splice start the programs with.
func participantEnv(server, database string) []corev1.EnvVar {
	return []corev1.EnvVar{
		text("CANTON_PARTICIPANT_POSTGRES_SERVER", server), text("CANTON_PARTICIPANT_POSTGRES_PORT", "5432"),
		text("CANTON_PARTICIPANT_POSTGRES_SCHEMA", "participant"), text("CANTON_PARTICIPANT_POSTGRES_DB", database),
		secret("CANTON_PARTICIPANT_POSTGRES_PASSWORD", "postgres-secrets", "postgresPassword"),
	}
}

func persistence(server, database string) string {
	return fmt.Sprintf("_storage.config.properties {\n  databaseName = %q\n  currentSchema = \"validator\"\n  serverName = %q\n"+
		"  portNumber = 5432\n  user = \"cnadmin\"\n  password = ${SPLICE_APP_POSTGRES_PASSWORD}\n}", database, server)
}

func appEnv(participant, server, database string) []corev1.EnvVar {
	const auth, of = "SPLICE_APP_VALIDATOR_LEDGER_API_AUTH_", "splice-app-validator-ledger-api-auth"
	return []corev1.EnvVar{
		text("SPLICE_APP_VALIDATOR_PARTICIPANT_ADDRESS", participant), text("SPLICE_APP_VALIDATOR_PARTY_HINT", "acme-validator-1"),
		text("SPLICE_APP_VALIDATOR_AUTH_JWKS_URL", "https://idp/jwks"), text("SPLICE_APP_VALIDATOR_AUTH_AUDIENCE", "https://acme"),
		text("ADDITIONAL_CONFIG_PERSISTENCE", persistence(server, database)),
		secret("SPLICE_APP_POSTGRES_PASSWORD", "postgres-secrets", "postgresPassword"),
		secret(auth+"URL", of, "url"), secret(auth+"CLIENT_ID", of, "client-id"), secret(auth+"CLIENT_SECRET", of, "client-secret"),
	}
}

// documented is an install as the operators' documentation has it.
func documented(namespace string) kube.Objects {
	return kube.Objects{
		Deployments: []appsv1.Deployment{
			deployment(namespace, "participant", corev1.Container{Name: "participant", Env: participantEnv("postgres", "participant_4")}),
			deployment(namespace, "validator-app", corev1.Container{
				Name: "validator-app", Image: "ghcr.io/x/validator-app:0.7.5@sha256:0", Env: appEnv("participant", "postgres", "cantonnet_validator"),
			}),
			deployment(namespace, "wallet-web-ui", corev1.Container{Name: "wallet-web-ui"}),
		},
		StatefulSets: []appsv1.StatefulSet{postgres(namespace, "postgres", "pg-data")},
		Services: []corev1.Service{
			service(namespace, "postgres", "postgres", 5432), service(namespace, "participant", "participant", 5001, 5002),
			service(namespace, "validator-app", "validator-app", 5003, 10013),
		},
		Texts: map[string]string{},
	}
}

// env changes what a program of an install is started with.
func env(o kube.Objects, deployment int, change ...corev1.EnvVar) {
	c := &o.Deployments[deployment].Spec.Template.Spec.Containers[0]
	for _, v := range change {
		c.Env = append(slices.DeleteFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == v.Name }), v)
	}
}

func onlyOne(t *testing.T, o kube.Objects) kube.Validator {
	t.Helper()
	v, err := kube.Choose(kube.Find(o), "", "the cluster")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// summary is what a node was found to be, in one text.
func summary(v kube.Validator) string {
	var b strings.Builder
	for _, kind := range []holdfast.Kind{holdfast.Participant, holdfast.Validator} {
		d := v.Databases[kind]
		fmt.Fprintf(&b, "%s: %s@%s:%s/%s, password %s, %s\n", kind, d.User, d.Host, d.Port, d.Name, d.Password.Reference, d.Server)
	}
	for _, q := range v.Questions {
		fmt.Fprintf(&b, "question %s %v: %s\n", q.Of, q.Password, q.What)
	}
	for _, w := range v.Others {
		fmt.Fprintf(&b, "passed over %s\n", w.Name)
	}
	return b.String() + v.URL
}

const inSecret = "password kube:v/postgres-secrets#postgresPassword"

// Every way in which operators are known to install a validator.
func TestInstallsThatDiffer(t *testing.T) {
	one := "participant: cnadmin@postgres.v.svc:5432/participant_4, " + inSecret
	for _, x := range []struct {
		name   string
		change func(o *kube.Objects)
		want   []string
	}{
		{"one instance, as documented", func(*kube.Objects) {}, []string{
			one + ", StatefulSet postgres, claim pg-data-postgres-0", "http://validator-app.v.svc:5003",
			"validator: cnadmin@postgres.v.svc:5432/cantonnet_validator, " + inSecret + ", StatefulSet postgres",
		}},
		{"two instances", func(o *kube.Objects) {
			o.StatefulSets = []appsv1.StatefulSet{postgres("v", "participant-pg", "pg-data"), postgres("v", "validator-pg", "pg-data")}
			o.Services[0] = service("v", "participant-pg", "participant-pg", 5432)
			o.Services = append(o.Services, service("v", "validator-pg", "validator-pg", 5432))
			env(*o, 0, text("CANTON_PARTICIPANT_POSTGRES_SERVER", "participant-pg"))
			env(*o, 1, text("ADDITIONAL_CONFIG_PERSISTENCE", persistence("validator-pg.v", "cantonnet_validator")))
		}, []string{
			"@participant-pg.v.svc:5432/participant_4, " + inSecret + ", StatefulSet participant-pg, claim pg-data-participant-pg-0",
			"@validator-pg.v.svc:5432/cantonnet_validator, " + inSecret + ", StatefulSet validator-pg, claim pg-data-validator-pg-0",
		}},
		{"a StatefulSet without Helm", func(o *kube.Objects) {
			o.StatefulSets[0] = postgres("v", "postgres-helmless", "pg-data-hd")
			o.Services[0] = service("v", "postgres", "postgres-helmless", 5432)
		}, []string{one + ", StatefulSet postgres-helmless, claim pg-data-hd-postgres-helmless-0"}},
		{"Bitnami's chart", func(o *kube.Objects) {
			s := postgres("v", "pg-postgresql", "data")
			s.Spec.Template.Labels = map[string]string{"app.kubernetes.io/name": "postgresql", "app.kubernetes.io/component": "primary"}
			o.StatefulSets[0] = s
			o.Services[0].Spec.Selector = map[string]string{"app.kubernetes.io/name": "postgresql"}
		}, []string{one + ", StatefulSet pg-postgresql, claim data-pg-postgresql-0"}},
		{"CloudNativePG", func(o *kube.Objects) {
			yes := true
			o.StatefulSets = nil
			o.Pods = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{
				Namespace: "v", Name: "pg-1", Labels: map[string]string{"cnpg.io/cluster": "pg", "cnpg.io/instanceRole": "primary"},
				OwnerReferences: []metav1.OwnerReference{{Kind: "Cluster", Name: "pg", Controller: &yes}},
			}, Spec: corev1.PodSpec{Volumes: []corev1.Volume{
				claimed("pg-1"), claimed("pg-1-wal"), // its log is on a volume of its own
			}}}}
			rw := service("v", "pg-rw", "", 5432)
			rw.Spec.Selector = map[string]string{"cnpg.io/cluster": "pg", "cnpg.io/instanceRole": "primary"}
			o.Services[0] = rw
			env(*o, 0, text("CANTON_PARTICIPANT_POSTGRES_SERVER", "pg-rw"))
			env(*o, 1, text("ADDITIONAL_CONFIG_PERSISTENCE", persistence("pg-rw.v.svc.cluster.local", "v")))
		}, []string{
			"@pg-rw.v.svc:5432/participant_4, " + inSecret + ", CloudNativePG's cluster pg, claim pg-1, pg-1-wal",
			"validator: cnadmin@pg-rw.v.svc:5432/v",
		}},
		{"outside of the cluster", func(o *kube.Objects) {
			env(*o, 0, text("CANTON_PARTICIPANT_POSTGRES_SERVER", "x.eu.rds.amazonaws.com"))
			env(*o, 1, text("ADDITIONAL_CONFIG_PERSISTENCE", persistence("10.4.0.3", "v")))
		}, []string{
			"cnadmin@x.eu.rds.amazonaws.com:5432/participant_4, " + inSecret + ", outside of the cluster",
			"cnadmin@10.4.0.3:5432/v, " + inSecret + ", outside of the cluster",
		}},
		{"outside, under the name of a Service", func(o *kube.Objects) {
			o.Services[0].Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "db.example.com"}
		}, []string{"cnadmin@db.example.com:5432/participant_4", "outside of the cluster"}},
		{"a proxy next to the program", func(o *kube.Objects) {
			env(*o, 0, text("CANTON_PARTICIPANT_POSTGRES_SERVER", "127.0.0.1"))
		}, []string{"question participant false: Deployment participant: 127.0.0.1 is a proxy in the program's own pod"}},
		{"the address of a pod", func(o *kube.Objects) {
			o.Pods = []corev1.Pod{{ObjectMeta: called("v", "pg-0"), Status: corev1.PodStatus{PodIP: "10.1.2.3"}}}
			env(*o, 0, text("CANTON_PARTICIPANT_POSTGRES_SERVER", "10.1.2.3"))
		}, []string{"question participant false: Deployment participant: 10.1.2.3 is the address of pod pg-0"}},
		{"leftovers of earlier migrations", func(o *kube.Objects) {
			none := int32(0)
			old := deployment("v", "participant-3", corev1.Container{Name: "participant", Env: participantEnv("postgres", "participant_3")})
			old.Spec.Replicas = &none
			o.Deployments = append(o.Deployments, old)
			o.Services = append(o.Services, service("v", "participant-3", "participant-3", 5001))
		}, []string{one, "passed over participant-3"}},
		{"one release in the labels of another", func(o *kube.Objects) { // both are behind one Service; one of them has pods
			none := int32(0)
			old := deployment("v", "participant-3", corev1.Container{Name: "participant", Env: participantEnv("postgres", "participant_3")})
			old.Spec.Template.Labels["app"], old.Spec.Replicas = "participant", &none
			o.Deployments = append(o.Deployments, old)
		}, []string{one, "passed over participant-3"}},
		{"two participants behind one Service", func(o *kube.Objects) {
			more := deployment("v", "participant-5", corev1.Container{Name: "participant", Env: participantEnv("postgres", "participant_5")})
			more.Spec.Template.Labels["app"] = "participant"
			o.Deployments = append(o.Deployments, more)
		}, []string{"question participant false: Deployment validator-app: several participants are behind Service participant"}},
		{"an umbrella chart, with names of its own", func(o *kube.Objects) {
			for i, name := range []string{"acme-prod-node", "acme-prod-app"} {
				o.Deployments[i].Name, o.Deployments[i].Spec.Template.Labels["app"] = name, name
			}
			o.Services[1] = service("v", "acme-prod-node", "acme-prod-node", 5001)
			o.Services[2] = service("v", "acme-prod-app", "acme-prod-app", 80, 10013)
			o.Services[2].Spec.Ports[0].TargetPort = intstr.FromInt32(5003)
			env(*o, 1, text("SPLICE_APP_VALIDATOR_PARTICIPANT_ADDRESS", "http://acme-prod-node.v.svc.cluster.local:5001/"))
		}, []string{one, "http://acme-prod-app.v.svc:80"}},
		{"an umbrella chart, with values in a ConfigMap", func(o *kube.Objects) {
			env(*o, 0, configured("CANTON_PARTICIPANT_POSTGRES_DB", "names", "db"))
			o.Texts["configmap:v/names#db"] = "participant_4"
		}, []string{one}},
		{"a value in a Secret that was not read", func(o *kube.Objects) {
			env(*o, 0, secret("CANTON_PARTICIPANT_POSTGRES_DB", "names", "db"))
		}, []string{"question participant false: Deployment participant: its name is in kube:v/names#db, which was not read"}},
		{"all variables of a Secret", func(o *kube.Objects) {
			c := &o.Deployments[0].Spec.Template.Spec.Containers[0]
			c.Env = c.Env[:1] // the server
			from := corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{}}
			from.SecretRef.Name = "all"
			c.EnvFrom = []corev1.EnvFromSource{from}
		}, []string{"question participant false: Deployment participant: nothing names its name; it may be in Secret all"}},
		{"Istio's sidecars", func(o *kube.Objects) {
			yes := true
			o.Pods = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{
				Namespace: "v", Name: "validator-app-7c9-abc", Labels: map[string]string{"app": "validator-app"},
				OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "validator-app-7c9", Controller: &yes}},
			}, Spec: corev1.PodSpec{Containers: []corev1.Container{
				{Name: "istio-proxy"}, o.Deployments[1].Spec.Template.Spec.Containers[0],
			}}}}
		}, []string{one}},
		{"a password that a webhook puts in", func(o *kube.Objects) {
			env(*o, 0, text("CANTON_PARTICIPANT_POSTGRES_PASSWORD", "vault:secret/data/pg#password"))
			env(*o, 1, text("SPLICE_APP_POSTGRES_PASSWORD", "vault:secret/data/pg#password"))
		}, []string{
			"question participant true: Deployment participant: the password is put in when a pod starts",
			"question validator true: Deployment validator-app: the password is put in when a pod starts",
		}},
		{"another user", func(o *kube.Objects) {
			env(*o, 0, text("CANTON_PARTICIPANT_POSTGRES_USER", "acme"))
		}, []string{"participant: acme@postgres.v.svc"}},
		{"storage that the configuration changes", func(o *kube.Objects) {
			env(*o, 0, text("ADDITIONAL_CONFIG_DB", "canton.participants.participant.storage.config.properties.databaseName = other"))
		}, []string{"cnadmin@postgres.v.svc:5432/other, " + inSecret}},
		{"a configuration in a Secret that was not read", func(o *kube.Objects) {
			env(*o, 0, secret("ADDITIONAL_CONFIG_MORE", "more", "conf"))
		}, []string{"question participant false: Deployment participant: variable ADDITIONAL_CONFIG_MORE: it is in kube:v/more#conf"}},
		{"no participant behind the address", func(o *kube.Objects) {
			o.Deployments[0].Spec.Template.Labels["app"] = "other"
		}, []string{"question participant false: Deployment validator-app: no participant is behind Service participant", "passed over participant"}},
		{"no Service of that name", func(o *kube.Objects) {
			o.Services = o.Services[1:]
		}, []string{"question validator false: Deployment validator-app: there is no Service postgres in namespace v"}},
		{"an app of another kind of maker", func(o *kube.Objects) {
			yes := true
			app := o.Deployments[1]
			o.Deployments = o.Deployments[:1]
			o.Pods = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{
				Namespace: "v", Name: "validator-app-7c9-abc", Labels: map[string]string{"app": "validator-app"},
				OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "validator-app-7c9", Controller: &yes}},
			}, Spec: app.Spec.Template.Spec}}
		}, []string{one, "http://validator-app.v.svc:5003"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			o := documented("v")
			x.change(&o)
			v := onlyOne(t, o)
			got := summary(v)
			for _, want := range x.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not in:\n%s", want, got)
				}
			}
			if asked := strings.Contains(strings.Join(x.want, ""), "question"); asked != (len(v.Questions) > 0) {
				t.Errorf("questions: %v", v.Questions)
			}
		})
	}
}

func claimed(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
	}}
}

// What a node is started with beyond its databases, and what of it has to be read.
func TestWhatANodeIsStartedWith(t *testing.T) {
	o := documented("v")
	want := []string{
		"kube:v/splice-app-validator-ledger-api-auth#client-id", "kube:v/splice-app-validator-ledger-api-auth#url",
	}
	if got := o.Wanted(); !slices.Equal(got, want) { // and no password
		t.Errorf("wanted: %q", got)
	}
	o.Texts[want[0]], o.Texts[want[1]] = "acme-app", "https://idp/.well-known/openid-configuration"
	v := onlyOne(t, o)
	if v.WithoutAuth() || v.Credentials("CLIENT_ID").Text != "acme-app" || v.Audience() != "https://acme" ||
		v.Credentials("CLIENT_SECRET").Reference != "kube:v/splice-app-validator-ledger-api-auth#client-secret" {
		t.Errorf("%v %+v", v.WithoutAuth(), v.Credentials("CLIENT_SECRET"))
	}
	if v.Splice() != "0.7.5" || v.PartyHint() != "acme-validator-1" {
		t.Errorf("Splice %s, party hint %s", v.Splice(), v.PartyHint())
	}
	env(o, 1, text("ADDITIONAL_CONFIG_DISABLE_AUTH", "canton {}"))
	if !onlyOne(t, o).WithoutAuth() {
		t.Error("the app's authentication is off")
	}
}

func together(all ...kube.Objects) (out kube.Objects) {
	for _, o := range all {
		out.Deployments = append(out.Deployments, o.Deployments...)
		out.StatefulSets = append(out.StatefulSets, o.StatefulSets...)
		out.Services = append(out.Services, o.Services...)
	}
	return out
}

// Of several validators one has to be chosen; a super validator's is never meant.
func TestSeveralValidatorsInACluster(t *testing.T) {
	super := documented("sv")
	env(super, 1, text("SPLICE_APP_VALIDATOR_SV_VALIDATOR", "true"))
	none := int32(0)
	stopped := documented("old")
	stopped.Deployments[1].Spec.Replicas = &none
	twice := documented("b")
	twice.Deployments = append(twice.Deployments, deployment("b", "second", twice.Deployments[1].Spec.Template.Spec.Containers...))
	for _, x := range []struct {
		name     string
		o        kube.Objects
		workload string
		want     string
	}{
		{"two namespaces", together(documented("a"), documented("b")), "", "several validator nodes run here: validator-app in namespace a, validator-app in namespace b"},
		{"a super validator's beside", together(super, documented("b")), "", "b"},
		{"a super validator's alone", super, "", "Deployment validator-app in namespace sv is a super validator's"},
		{"one that is stopped", together(stopped, documented("b")), "", "b"},
		{"only one that is stopped", stopped, "", "old"},
		{"two in one namespace", twice, "", "several validator nodes run here"},
		{"two in one namespace, one named", twice, "second", "b"},
		{"none", kube.Objects{}, "", "no validator node in the cluster"},
	} {
		v, err := kube.Choose(kube.Find(x.o), x.workload, "the cluster")
		got := v.App.Namespace
		if err != nil {
			got = err.Error()
			if _, do := holdfast.Advice(err); !strings.Contains(do, "holdfast init --kube --namespace ") {
				t.Errorf("%s: no advice: %s", x.name, do)
			}
		}
		if !strings.HasPrefix(got, x.want) {
			t.Errorf("%s: %s", x.name, got)
		}
	}
}

// No text of a pod is taken for a mark of ours, and what is put together of a
// secret is not taken for one.
func TestPasswordsAreNotPutTogether(t *testing.T) {
	o := documented("v")
	env(o, 0, secret("PW", "postgres-secrets", "postgresPassword"), text("CANTON_PARTICIPANT_POSTGRES_PASSWORD", "x$(PW)"))
	got := summary(onlyOne(t, o))
	if !strings.Contains(got, "question participant true: Deployment participant: the password: it is put together of a secret") {
		t.Error(got)
	}
	env(o, 0, text("CANTON_PARTICIPANT_POSTGRES_PASSWORD", "$(PW)"))
	if got := summary(onlyOne(t, o)); !strings.Contains(got, "participant: cnadmin@postgres.v.svc:5432/participant_4, "+inSecret) {
		t.Error(got)
	}
}
