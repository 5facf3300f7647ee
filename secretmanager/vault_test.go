package secretmanager_test

import (
	"context"
	"crypto/tls"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast"
	"holdfast/secretmanager"
	"holdfast/secretmanager/secretmanagertest"
)

func fixed(text string) holdfast.SecretFunc { return holdfast.Fixed(holdfast.NewSecret(text)) }

// vaultSafe is a safe in a Vault that logs in so.
func vaultSafe(t *testing.T, s *secretmanagertest.Vault, login secretmanager.Login) secretmanager.Safe {
	t.Helper()
	return secretmanager.Safe{
		Manager: vaultAt(t, s.URL, login, secretmanager.CallTime), Name: "secret/holdfast/node-1",
	}
}

// Each way to log in gives a token, which is used as long as it lives, and is
// revoked at the end. A token of the operator's is not.
func TestLogins(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, c := range []struct {
		name  string
		login secretmanager.Login
		made  int
	}{
		{"token", byToken(), 0},
		{"token of the environment", secretmanager.Login{}, 0},
		{"token of the home directory", secretmanager.Login{}, 0},
		{"approle", secretmanager.Login{Method: secretmanager.ByAppRole,
			RoleID: fixed(secretmanagertest.VaultRoleID), SecretID: fixed(secretmanagertest.VaultSecretID)}, 1},
		{"kubernetes", secretmanager.Login{Method: secretmanager.ByKubernetes,
			Role: secretmanagertest.VaultRole, JWT: fixed(secretmanagertest.VaultJWT)}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			switch c.name {
			case "token of the environment":
				t.Setenv("VAULT_TOKEN", secretmanagertest.VaultToken)
			case "token of the home directory":
				write(t, filepath.Join(home, ".vault-token"), secretmanagertest.VaultToken+"\n")
			}
			server := secretmanagertest.NewVault(t)
			server.Life(3600)
			s := vaultSafe(t, server, c.login)
			keep(t, s, document("a"), true)
			keep(t, s, document("a"), false)
			if err := s.Manager.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if _, logins, revoked := server.Counts(); logins != c.made || revoked != c.made {
				t.Errorf("%d logins, %d tokens revoked", logins, revoked)
			}
		})
	}
}

// A certificate logs in, and an authority of the operator's own is trusted.
func TestLoginByCertificate(t *testing.T) {
	authority, certificate, key := certificates(t)
	server := secretmanagertest.NewVault(t)
	server.Life(3600)
	secure := behindTLS(t, server, certificate, key)
	m, err := secretmanager.NewVault(secretmanager.VaultOptions{
		Address: secure.URL, CA: authority,
		Login: secretmanager.Login{Method: secretmanager.ByCertificate, Certificate: certificate, Key: key},
	})
	if err != nil {
		t.Fatal(err)
	}
	keep(t, secretmanager.Safe{Manager: m, Name: "secret/holdfast/node-1"}, document("a"), true)
	if _, logins, _ := server.Counts(); logins != 1 {
		t.Errorf("%d logins", logins)
	}

	without, err := secretmanager.NewVault(secretmanager.VaultOptions{Address: secure.URL, Login: byToken()})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = secretmanager.Safe{Manager: without, Name: "secret/holdfast/node-1"}.Keep(t.Context(), document("a"))
	expect(t, err, holdfast.Unreachable, "certificate", "")
}

// A token that is half over is renewed; one that may not look at itself is used
// all the same; and one that a login gave is replaced when it is over.
func TestTheLifeOfATokenOfVault(t *testing.T) {
	server := secretmanagertest.NewVault(t)
	server.Life(600)
	keep(t, vaultSafe(t, server, byToken()), document("a"), true)
	if renewals, _, _ := server.Counts(); renewals != 1 {
		t.Errorf("renewed %d times", renewals)
	}
	server.DenySelf()
	keep(t, vaultSafe(t, server, byToken()), document("a"), false)

	server = secretmanagertest.NewVault(t)
	server.Life(5) // over at once, by our margin
	s := vaultSafe(t, server, secretmanager.Login{Method: secretmanager.ByAppRole,
		RoleID: fixed(secretmanagertest.VaultRoleID), SecretID: fixed(secretmanagertest.VaultSecretID)})
	keep(t, s, document("a"), true)
	if _, logins, _ := server.Counts(); logins < 2 {
		t.Errorf("%d logins", logins)
	}
}

// What is wrong with a Vault or a login is named, with what to do.
func TestWhatIsWrongWithAVault(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	server := secretmanagertest.NewVault(t)
	try := func(login secretmanager.Login, name string) error {
		s := vaultSafe(t, server, login)
		s.Name = name
		_, _, err := s.Keep(t.Context(), document("a"))
		return err
	}
	const name = "secret/holdfast/node-1"
	expect(t, try(byToken(), "old/holdfast"), holdfast.Usage, "old/ is an engine KV version 1", "enable-versioning")
	expect(t, try(byToken(), "transit/holdfast"), holdfast.Usage, "transit/ is an engine transit", "another mount")
	expect(t, try(byToken(), "holdfast"), holdfast.Usage, "names no secret", "MOUNT/PATH")
	expect(t, try(secretmanager.Login{}, name), holdfast.Usage, "no credentials for Vault", "vault login")
	wrong := secretmanager.Login{Token: fixed("hvs.wrong")}
	expect(t, try(wrong, name), holdfast.WrongKey, "expired, revoked", "vault login")
	wrong = secretmanager.Login{Method: secretmanager.ByAppRole, RoleID: fixed("x"), SecretID: fixed("hunter2")}
	expect(t, try(wrong, name), holdfast.WrongKey, "auth/approle/login, status 400", "secret_managers.vault.auth")
	server.Seal(true)
	expect(t, try(byToken(), name), holdfast.Unreachable, "Vault is sealed", "vault operator unseal")

	for _, o := range []secretmanager.VaultOptions{
		{}, {Address: "vault.example.com"}, {Address: server.URL, CA: "/none"},
		{Address: server.URL, Login: secretmanager.Login{Method: "ldap"}},
		{Address: server.URL, Login: secretmanager.Login{Method: secretmanager.ByAppRole}},
		{Address: server.URL, Login: secretmanager.Login{Method: secretmanager.ByKubernetes}},
		{Address: server.URL, Login: secretmanager.Login{Method: secretmanager.ByCertificate}},
		{Address: server.URL, Login: secretmanager.Login{Certificate: "/none", Key: "/none"}},
	} {
		_, err := secretmanager.NewVault(o)
		expect(t, err, holdfast.Usage, "Vault", "secret_managers.vault")
	}
}

// Mounts have slashes, servers have namespaces, values are deleted, and limits are
// raised.
func TestWhatAVaultHas(t *testing.T) {
	server := secretmanagertest.NewVault(t)
	server.Namespace("team-a")
	server.Keep(25)
	t.Setenv("VAULT_NAMESPACE", "team-a")
	s := vaultSafe(t, server, byToken())
	s.Name = "team/kv/holdfast/node 1"
	keep(t, s, document("a"), true)
	if limits, err := s.Manager.Limits(t.Context(), s.Name); err != nil || limits.Versions != 25 ||
		!strings.Contains(limits.More, "-mount=team/kv -max-versions=100 holdfast/node 1") {
		t.Errorf("%+v, %v", limits, err)
	}
	server.Drop(s.Name)
	if _, _, err := s.Newest(t.Context()); err == nil || !strings.Contains(err.Error(), "was deleted") {
		t.Errorf("deleted: %v", err)
	}
	list, err := s.List(t.Context())
	if err != nil || len(list) != 1 || !list[0].Gone {
		t.Errorf("%+v, %v", list, err)
	}
	keep(t, s, document("a"), true)
}

// A token goes nowhere but to the server that it is for.
func TestNoRedirectTakesATokenAway(t *testing.T) {
	thief := secretmanagertest.NewVault(t)
	stranger, err := url.Parse(thief.URL)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(redirect("http://localhost:" + stranger.Port()))
	t.Cleanup(server.Close)
	m := vaultAt(t, server.URL, byToken(), secretmanager.CallTime)
	_, _, err = secretmanager.Safe{Manager: m, Name: "secret/a/b"}.Keep(context.Background(), document("a"))
	if err == nil || thief.Writes() != 0 {
		t.Errorf("%d writes elsewhere, %v", thief.Writes(), err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// behindTLS is a server that wants a certificate of its clients.
func behindTLS(t *testing.T, s *secretmanagertest.Vault, certificate, key string) *httptest.Server {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(s.Handler())
	secure.TLS = &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
	}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	return secure
}
