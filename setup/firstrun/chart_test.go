package firstrun

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"holdfast"
	"holdfast/config"
	"holdfast/node/kube"
)

// In a pod nothing of this machine is referred to: what is a file here is a key of
// the Secret, and the cluster is the pod's own.
func TestValuesOfTheChart(t *testing.T) {
	t.Parallel()
	r := run{
		Answers: Answers{
			Kube: true, Namespace: "v", Node: "demo", Repository: "s3://bucket/demo", Tools: "/usr/lib/postgresql/18/bin",
			Databases: []string{"validator=host=postgres.v.svc dbname=validator", "participant=host=postgres.v.svc dbname=p"},
			URL:       "http://app.v.svc:5003", Auth: "oidc", Issuer: "https://idp.example", ClientID: "acme",
			ClientSecret: "kube:v/auth#client-secret", Recipients: []string{"age1example"},
			Keep: []string{"/mnt/usb", "vault://vault.example/secret/demo"},
		},
		access: map[string]string{"id": "env:ID", "secret": "file:s3.secret", "ca": "/root/ca.pem"},
		dir:    "/root/demo", cluster: &kube.Cluster{},
		passwords:  map[string]holdfast.Secret{"participant": holdfast.NewSecret("in clear")},
		references: map[string]string{"validator": "kube:v/postgres-secrets#postgresPassword"},
	}
	c, err := r.chart()
	if err != nil {
		t.Fatal(err)
	}
	want := "ca=/root/ca.pem participant.password=/root/demo/participant.password " +
		"password=/root/demo/repository.password secret=/root/demo/s3.secret"
	if got := strings.Join(c.Files, " "); got != want {
		t.Errorf("files are %s, want %s", got, want)
	}
	if strings.Contains(c.Values, "in clear") {
		t.Error("a password is shown")
	}
	var values struct {
		Repository struct {
			SecretName string `yaml:"secretName"`
		}
		Config string
	}
	if err := yaml.Unmarshal([]byte(c.Values), &values); err != nil || values.Repository.SecretName != chartSecret {
		t.Fatalf("%v\n%s", err, c.Values)
	}
	conf, err := config.Parse("/etc/holdfast/holdfast.yaml", []byte(values.Config), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, values.Config)
	}
	if *conf.Kube != (config.Kube{Namespace: "v"}) || conf.Tools != "" || len(conf.Identities.Keep) != 1 {
		t.Errorf("it refers to what the pod has not:\n%s", values.Config)
	}
	for _, c := range []struct{ got, want config.Reference }{
		{conf.Repository.Password, "file:repository/password"},
		{conf.Repository.Access.ID, "env:ID"},
		{conf.Repository.Access.Secret, "file:repository/secret"},
		{config.Reference(conf.Repository.Access.CA), "/etc/holdfast/repository/ca"},
		{conf.Databases["participant"].Password, "file:repository/participant.password"},
		{conf.Databases["validator"].Password, "kube:v/postgres-secrets#postgresPassword"},
	} {
		if c.got != c.want {
			t.Errorf("a reference is %s, want %s", c.got, c.want)
		}
	}
	r.Repository = "/root/demo/repository"
	if c, err := r.chart(); c != nil || err != nil {
		t.Errorf("of a repository that no pod reaches: %v, %v", c, err)
	}
}
