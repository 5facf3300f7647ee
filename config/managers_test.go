package config_test

import (
	"fmt"
	"strings"
	"testing"

	"holdfast"
)

const ofManagers = `
secret_managers:
  vault:
    address: https://vault.example.com:8200
    namespace: team-a
    ca: vault.pem
    auth: {method: approle, role_id: 'file:role', secret_id: 'env:SECRET_ID'}
  aws: {region: eu-central-1, profile: backup}
identities:
  url: http://wallet.localhost
  auth: {mode: token, token: 'vault:secret/validator#token'}
  recipients: [age1x]
  keep:
    - /mnt/usb
    - vault://vault.example.com/secret/holdfast
    - {place: 'awssm://eu-central-1/holdfast', seal: none}
`

func TestSecretManagers(t *testing.T) {
	c, err := parse(least + ofManagers)
	if err != nil {
		t.Fatal(err)
	}
	m := c.SecretManagers
	if m.Vault.CA != "/etc/holdfast/vault.pem" || m.Vault.Auth.RoleID != "file:role" || m.AWS.Profile != "backup" {
		t.Errorf("%+v", m)
	}
	if got := fmt.Sprint(c.Identities.Keep); got !=
		"[/mnt/usb vault://vault.example.com/secret/holdfast awssm://eu-central-1/holdfast (in clear)]" {
		t.Errorf("keeps in %s", got)
	}
	if got := c.References()["secret_managers.vault.auth.secret_id"]; got != "env:SECRET_ID" {
		t.Errorf("the references have %q", got)
	}
	if c, err = parse(least+ofManagers, "HOLDFAST_SECRET_MANAGERS_VAULT_ADDRESS=https://other:8200"); err != nil ||
		c.SecretManagers.Vault.Address != "https://other:8200" {
		t.Errorf("from the environment: %v, %v", c, err)
	}
}

func TestMistakesAboutSecretManagers(t *testing.T) {
	for _, x := range []struct{ old, text, want string }{
		{"seal: none", "seal: hunter2", "identities.keep[2]: seal: leave it out"},
		{"- /mnt/usb", "- {place: /mnt/usb, seal: none}", "identities.keep[0]: seal: a directory gets the identities sealed"},
		{"- /mnt/usb", "- {seal: none}", "identities.keep[0]: want a directory"},
		{"- /mnt/usb", "- {path: hunter2}", "unknown key identities.keep[0].path; known here are place, seal"},
		{"vault:secret/validator#token", "vault:secret/validator", "identities.auth.token: want vault:MOUNT/PATH#FIELD"},
		{"vault:secret/validator#token", "vault:hunter2#x", "identities.auth.token: want vault:MOUNT/PATH#FIELD"},
		{"vault:secret/validator#token", "awssm:hunter2#", "identities.auth.token: want awssm:NAME"},
		{"vault:secret/validator#token", "gcpsm:hunter2", "identities.auth.token: want gcpsm:PROJECT/NAME"},
		{"vault:secret/validator#token", "kube:hunter2/x", "identities.auth.token: want kube:NAMESPACE/NAME#KEY"},
		{"vault:secret/validator#token", "azkv:a/hunter2/c", "identities.auth.token: want azkv:VAULT/NAME"},
		{"env:SECRET_ID", "vault:secret/x#hunter2", "secret_managers.vault.auth.secret_id: it opens a secret manager"},
		{"env:SECRET_ID", "hunter2", "secret_managers.vault.auth.secret_id: want a reference"},
		{"method: approle", "method: hunter2", "secret_managers.vault.auth.method: want one of token, approle"},
		{"https://vault.example.com:8200", "vault.example.com", "secret_managers.vault.address: want an address"},
		{"https://vault.example.com:8200", "https://u:hunter2@h", "secret_managers.vault.address: want an address"},
		{"namespace: team-a", "name: x", "unknown key secret_managers.vault.name"},
	} {
		if !strings.Contains(ofManagers, x.old) {
			t.Fatal("no " + x.old)
		}
		_, err := parse(least + strings.Replace(ofManagers, x.old, x.text, 1))
		if holdfast.ClassOf(err) != holdfast.Usage || !strings.Contains(fmt.Sprint(err), x.want) ||
			strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("%s: %v, want %s", x.text, err, x.want)
		}
	}
}
