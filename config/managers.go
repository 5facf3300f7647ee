package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"holdfast/place"
)

// SecretManagers say how managers of secrets are reached. What is empty comes
// from each vendor's own environment and configuration.
type SecretManagers struct {
	Vault Vault `yaml:"vault"`
	AWS   AWS   `yaml:"aws"`
	// Google and Azure find their credentials by the vendors' own chains.
	Google Google `yaml:"google"`
	Azure  Azure  `yaml:"azure"`
	// Kubernetes is that of kube, of the pod, or of kubectl, when empty.
	Kubernetes Kubernetes `yaml:"kubernetes"`
}

// Vault is a server of HashiCorp Vault or OpenBao.
type Vault struct {
	Address   string    `yaml:"address"` // https://vault.example.com:8200
	Namespace string    `yaml:"namespace"`
	CA        string    `yaml:"ca"` // file with certificates to trust, in addition to the system's
	Auth      VaultAuth `yaml:"auth"`
}

// VaultAuth is how a token for Vault comes about.
type VaultAuth struct {
	Method      string    `yaml:"method"` // token, approle, kubernetes, cert
	Mount       string    `yaml:"mount"`  // where the method is enabled; its own name when empty
	Role        string    `yaml:"role"`
	Token       Reference `yaml:"token"`
	RoleID      Reference `yaml:"role_id"`
	SecretID    Reference `yaml:"secret_id"`
	JWT         Reference `yaml:"jwt"`         // of kubernetes; the pod's own when empty
	Certificate string    `yaml:"certificate"` // files in PEM
	Key         string    `yaml:"key"`
}

// AWS is Secrets Manager of AWS.
type AWS struct {
	Region   string `yaml:"region"`
	Profile  string `yaml:"profile"` // of ~/.aws/config
	Endpoint string `yaml:"endpoint"`
	CA       string `yaml:"ca"`
}

// Google is Secret Manager of Google Cloud.
type Google struct {
	Key      Reference `yaml:"key"` // of a service account
	Endpoint string    `yaml:"endpoint"`
	CA       string    `yaml:"ca"`
}

// Azure is Key Vault of Azure.
type Azure struct {
	Endpoint string `yaml:"endpoint"`
	CA       string `yaml:"ca"`
}

// Kubernetes is a cluster: that of the pod, or of kubectl, when empty.
type Kubernetes struct {
	Kubeconfig string `yaml:"kubeconfig"` // a file
	Context    string `yaml:"context"`
}

// Kube is where a node in Kubernetes runs.
type Kube struct {
	Kubeconfig string `yaml:"kubeconfig"` // a file
	Context    string `yaml:"context"`
	Namespace  string `yaml:"namespace"` // of the node: how it runs is in every set; empty: it is not
	Validator  string `yaml:"validator"` // the workload of its app, where the namespace has several
}

// cluster is the one that names of databases and of the app are of.
func (k Kube) cluster() Kubernetes { return Kubernetes{Kubeconfig: k.Kubeconfig, Context: k.Context} }

// Cluster is the one that Secrets are read in: the node's own, unless another one
// is configured for them.
func (c *Config) Cluster() Kubernetes {
	if c.Kube != nil && c.SecretManagers.Kubernetes == (Kubernetes{}) {
		return c.Kube.cluster()
	}
	return c.SecretManagers.Kubernetes
}

// Keep is a place that gets the identities. In the file it may be just the place.
type Keep struct {
	Place place.Place `yaml:"place"`
	Seal  string      `yaml:"seal"` // Unsealed: in clear, which a secret manager may hold; sealed when empty
}

// Unsealed is the value of seal that keeps the identities in clear.
const Unsealed = "none"

// InClear reports whether the place gets the identities in clear.
func (k Keep) InClear() bool { return k.Seal == Unsealed }

// String is the place, and whether it is in clear there.
func (k Keep) String() string {
	if k.InClear() {
		return k.Place.String() + " (in clear)"
	}
	return k.Place.String()
}

// check checks one place of identities.
func (k Keep) check() error {
	if err := k.Place.Serves(place.Identities); err != nil {
		return err
	}
	_, local := k.Place.Local()
	switch {
	case k.Seal != "" && !k.InClear():
		return errors.New("seal: leave it out, or write none to keep the identities in clear")
	case k.InClear() && local:
		return errors.New("seal: a directory gets the identities sealed; only a secret manager may hold them in clear")
	}
	return nil
}

// Kept are the places that get the identities.
func (c *Config) Kept() []place.Place {
	var out []place.Place
	if c.Identities != nil {
		for _, k := range c.Identities.Keep {
			out = append(out, k.Place)
		}
	}
	return out
}

var twoParts = regexp.MustCompile(`^[^#/]+/[^#/]+(#[^#]+)?$`)

// managed are the references into managers of secrets, as they are written.
var managed = map[string]struct {
	form string
	rule *regexp.Regexp
}{
	"vault": {"vault:MOUNT/PATH#FIELD", regexp.MustCompile(`^[^#/]+(/[^#/]+)+#[^#]+$`)},
	"awssm": {"awssm:NAME or awssm:NAME#KEY", regexp.MustCompile(`^[^#]+(#[^#]+)?$`)},
	"gcpsm": {"gcpsm:PROJECT/NAME or gcpsm:PROJECT/NAME#KEY", twoParts},
	"kube":  {"kube:NAMESPACE/NAME#KEY", regexp.MustCompile(`^[^#/]+/[^#/]+#[^#]+$`)},
	"azkv":  {"azkv:VAULT/NAME or azkv:VAULT/NAME#KEY", twoParts},
}

// malformed is what is wanted of a reference into a manager of secrets that is
// not written as it should be; "" for any other.
func (r Reference) malformed() string {
	scheme, at, _ := strings.Cut(string(r), ":")
	if m, is := managed[scheme]; is && !m.rule.MatchString(at) {
		return m.form
	}
	return ""
}

// own reports whether a reference needs no manager of secrets: one that opens a
// manager cannot be in one.
func (r Reference) own() bool {
	scheme, _, _ := strings.Cut(string(r), ":")
	return r == "" || slices.Contains([]string{"file", "env", "exec"}, scheme)
}

func (m SecretManagers) check() error {
	for key, reference := range m.references() {
		if err := reference.check(key); err != nil {
			return err
		}
		if !reference.own() {
			return fmt.Errorf("%s: it opens a secret manager, so it cannot be in one: want file:PATH, env:NAME "+
				"or exec:COMMAND", key)
		}
	}
	for _, server := range []struct{ key, text string }{
		{"vault.address", m.Vault.Address}, {"aws.endpoint", m.AWS.Endpoint},
		{"google.endpoint", m.Google.Endpoint}, {"azure.endpoint", m.Azure.Endpoint},
	} {
		u, err := url.Parse(server.text)
		if server.text != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http") {
			return fmt.Errorf("secret_managers.%s: want an address such as https://vault.example.com:8200", server.key)
		}
	}
	methods := []string{"", "token", "approle", "kubernetes", "cert"}
	if !slices.Contains(methods, m.Vault.Auth.Method) {
		return fmt.Errorf("secret_managers.vault.auth.method: want one of %s", strings.Join(methods[1:], ", "))
	}
	return nil
}

func (m SecretManagers) references() map[string]Reference {
	const auth = "secret_managers.vault.auth."
	return map[string]Reference{
		auth + "token":     m.Vault.Auth.Token,
		auth + "role_id":   m.Vault.Auth.RoleID,
		auth + "secret_id": m.Vault.Auth.SecretID,
		auth + "jwt":       m.Vault.Auth.JWT,

		"secret_managers.google.key": m.Google.Key,
	}
}

// absolute makes the paths absolute.
func (m *SecretManagers) absolute(abs func(*string)) {
	for _, path := range []*string{
		&m.Vault.CA, &m.Vault.Auth.Certificate, &m.Vault.Auth.Key, &m.AWS.CA, &m.Google.CA, &m.Azure.CA,
		&m.Kubernetes.Kubeconfig,
	} {
		abs(path)
	}
}

// forms are the references into managers of secrets, for messages.
func forms() string {
	var out []string
	for _, scheme := range slices.Sorted(maps.Keys(managed)) {
		out = append(out, managed[scheme].form)
	}
	return strings.Join(out, ", ")
}
