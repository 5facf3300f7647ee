package setup

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"holdfast"
	"holdfast/config"
	"holdfast/place"
	"holdfast/secretmanager"
	"holdfast/secrets"
)

// managers are the managers of secrets that a configuration can name. Each is
// opened when it is first needed.
type managers struct {
	conf    config.SecretManagers
	cluster config.Kubernetes
	own     secrets.Readers // of the credentials of managers, which are in none
	known   *secrets.Known
	within  time.Duration // of one call

	mu   sync.Mutex
	open map[string]secretmanager.Manager
}

// readers read the references into managers. Such a reference names no server:
// it is the configured one, or that of the vendor's own environment.
func (m *managers) readers() secrets.Readers {
	return secrets.Readers{
		"vault": secretmanager.Reader(func(_ context.Context, name string) (secretmanager.Manager, string, error) {
			found, err := m.vault("", "")
			return found, name, err
		}),
		"awssm": secretmanager.Reader(func(ctx context.Context, name string) (secretmanager.Manager, string, error) {
			found, err := m.aws(ctx, "", "")
			return found, name, err
		}),
		"gcpsm": secretmanager.Reader(below(m.google)),
		"azkv":  secretmanager.Reader(below(m.azure)),
		"kube": secretmanager.Reader(func(_ context.Context, name string) (secretmanager.Manager, string, error) {
			namespace, name, _ := strings.Cut(name, "/")
			found, err := m.kubernetes(namespace)
			if err != nil {
				return nil, "", err
			}
			return found.Plain(), name, nil
		}),
	}
}

// below opens the manager that the first part of a name names.
func below(
	open func(context.Context, string) (secretmanager.Manager, error),
) func(context.Context, string) (secretmanager.Manager, string, error) {
	return func(ctx context.Context, name string) (secretmanager.Manager, string, error) {
		account, name, _ := strings.Cut(name, "/")
		found, err := open(ctx, account)
		return found, name, err
	}
}

// at is the manager of a place.
func (m *managers) at(ctx context.Context, p place.Place) (secretmanager.Manager, error) {
	switch p.Scheme {
	case place.Vault:
		address, err := m.vaultOf(p)
		if err != nil {
			return nil, err
		}
		return m.vault(address, p.Option(place.Namespace))
	case place.AWSSecrets:
		return m.aws(ctx, p.Host, p.Option(place.Profile))
	case place.GoogleSecrets:
		return m.google(ctx, p.Account)
	case place.AzureVault:
		return m.azure(ctx, p.Host)
	case place.Kubernetes:
		return m.kubernetes(p.Bucket)
	}
	return nil, p.Serves(place.Identities)
}

// once opens a manager, unless it is open.
func (m *managers) once(
	key string, open func() (secretmanager.Manager, error),
) (secretmanager.Manager, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if found := m.open[key]; found != nil {
		return found, nil
	}
	found, err := open()
	if err != nil {
		return nil, err
	}
	if m.open == nil {
		m.open = map[string]secretmanager.Manager{}
	}
	m.open[key] = found
	return found, nil
}

// close ends what the managers have opened.
func (m *managers) close(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, found := range m.open {
		_ = found.Close(ctx) // a token that is not revoked expires
	}
	m.open = nil
}

// secret reads a credential of a manager; nil without a reference.
func (m *managers) secret(r config.Reference) holdfast.SecretFunc { return m.own.Of(string(r)) }

// vault opens a Vault; without an address, the configured one.
func (m *managers) vault(address, namespace string) (secretmanager.Manager, error) {
	v := m.conf.Vault
	address, namespace = cmp.Or(address, v.Address), cmp.Or(namespace, v.Namespace)
	return m.once("vault "+address+" "+namespace, func() (secretmanager.Manager, error) {
		return secretmanager.NewVault(secretmanager.VaultOptions{
			Address: address, Namespace: namespace, CA: v.CA, Within: m.within,
			Login: secretmanager.Login{
				Method: v.Auth.Method, Mount: v.Auth.Mount, Role: v.Auth.Role,
				Token: m.secret(v.Auth.Token), JWT: m.secret(v.Auth.JWT),
				RoleID: m.secret(v.Auth.RoleID), SecretID: m.secret(v.Auth.SecretID),
				Certificate: v.Auth.Certificate, Key: v.Auth.Key, Learn: m.known.Learn,
			},
		})
	})
}

// vaultOf is the address of the Vault that a place names. Where that is the
// configured server, its address says the port and whether it speaks TLS. The
// credentials are of one server, and are sent to no other.
func (m *managers) vaultOf(p place.Place) (string, error) {
	const port = "8200"
	at := url.URL{Scheme: "https", Host: p.Host}
	if p.Option(place.TLS) == place.Off {
		at.Scheme = "http"
	}
	configured, err := url.Parse(cmp.Or(m.conf.Vault.Address, secretmanager.VaultOfEnvironment()))
	known := err == nil && configured.Host != ""
	switch {
	case known && (at.Hostname() != strings.ToLower(configured.Hostname()) ||
		at.Port() != "" && at.Port() != configured.Port()):
		return "", &holdfast.Problem{
			Class: holdfast.Usage,
			What:  "keep the identities in " + p.String(),
			Err:   errors.New("secret_managers.vault.address, or VAULT_ADDR, names another server"),
			Why:   "The credentials of one server must not be sent to another.",
			Do:    "Correct identities.keep or secret_managers.vault.address in holdfast.yaml.",
		}
	case known:
		return configured.String(), nil
	case at.Port() == "":
		at.Host += ":" + port
	}
	return at.String(), nil
}

// aws opens AWS's manager of a region; without one, the configured region.
func (m *managers) aws(ctx context.Context, region, profile string) (secretmanager.Manager, error) {
	a := m.conf.AWS
	region, profile = cmp.Or(region, a.Region), cmp.Or(profile, a.Profile)
	return m.once("aws "+region+" "+profile, func() (secretmanager.Manager, error) {
		return secretmanager.NewAWS(ctx, secretmanager.AWSOptions{
			Region: region, Profile: profile, Endpoint: a.Endpoint, CA: a.CA, Within: m.within,
		})
	})
}

// google opens the manager of a project of Google's.
func (m *managers) google(ctx context.Context, project string) (secretmanager.Manager, error) {
	g := m.conf.Google
	return m.once("google "+project, func() (secretmanager.Manager, error) {
		return secretmanager.NewGoogle(ctx, secretmanager.GoogleOptions{
			Project: project, Key: m.secret(g.Key), Endpoint: g.Endpoint, CA: g.CA, Within: m.within,
			Learn: m.known.Learn,
		})
	})
}

// azure opens a key vault of Azure's.
func (m *managers) azure(_ context.Context, vault string) (secretmanager.Manager, error) {
	a := m.conf.Azure
	return m.once("azure "+vault, func() (secretmanager.Manager, error) {
		return secretmanager.NewAzure(secretmanager.AzureOptions{
			Vault: vault, Endpoint: a.Endpoint, CA: a.CA, Within: m.within, Learn: m.known.Learn,
		})
	})
}

// kubernetes finds the cluster, and a name space in it.
func (m *managers) kubernetes(namespace string) (*secretmanager.Kubernetes, error) {
	k := m.cluster
	return secretmanager.NewKubernetes(secretmanager.KubernetesOptions{
		Namespace: namespace, Kubeconfig: k.Kubeconfig, Context: k.Context, Within: m.within, Learn: m.known.Learn,
	})
}
