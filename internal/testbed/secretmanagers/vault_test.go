//go:build ignore

// Package releasecheck speaks with a real core of Vault and its engine KV.
// internal/testbed/secretmanagers.sh runs it, in a module of its own.
package releasecheck

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/api"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"holdfast"
	"holdfast/event"
	"holdfast/secretmanager"
)

// rights are those that docs/secret-managers.md gives to a node.
const rights = `
path "secret/data/holdfast/my-validator"     { capabilities = ["create", "update", "read"] }
path "secret/metadata/holdfast/my-validator" { capabilities = ["read"] }
`

func document(content string) secretmanager.Document {
	return secretmanager.Document{Name: "identities-" + content + ".json.age", Content: []byte(content)}
}

func TestRealVault(t *testing.T) {
	core, _, root := vault.TestCoreUnsealedWithConfig(t, &vault.CoreConfig{
		LogicalBackends: map[string]logical.Factory{"kv": kv.Factory},
	})
	listener, address := vaulthttp.TestServer(t, core)
	defer func() { _ = listener.Close() }()
	conf := api.DefaultConfig()
	conf.Address = address
	admin, err := api.NewClient(conf)
	if err != nil {
		t.Fatal(err)
	}
	admin.SetToken(root)
	mount := func(path, version string) {
		_ = admin.Sys().Unmount(path)
		if err := admin.Sys().Mount(path, &api.MountInput{Type: "kv", Options: map[string]string{"version": version}}); err != nil {
			t.Fatal(err)
		}
	}
	mount("secret", "2")
	mount("old", "1")
	time.Sleep(2 * time.Second) // the engine upgrades itself
	if err := admin.Sys().PutPolicy("holdfast", rights); err != nil {
		t.Fatal(err)
	}
	token := func(policies ...string) string {
		made, err := admin.Auth().Token().Create(&api.TokenCreateRequest{Policies: policies, TTL: "1h"})
		if err != nil {
			t.Fatal(err)
		}
		return made.Auth.ClientToken
	}
	var near int
	safe := func(token, name string) secretmanager.Safe {
		m, err := secretmanager.NewVault(secretmanager.VaultOptions{
			Address: address, Login: secretmanager.Login{Token: holdfast.Fixed(holdfast.NewSecret(token))},
		})
		if err != nil {
			t.Fatal(err)
		}
		return secretmanager.Safe{Manager: m, Name: name, Events: func(e event.Event) {
			if _, is := e.(secretmanager.VersionsNearLimit); is {
				near++
			}
		}}
	}
	const name = "secret/holdfast/my-validator"
	s := safe(token("holdfast"), name)
	for n, want := range []bool{true, false} {
		if _, written, err := s.Keep(t.Context(), document("a")); err != nil || written != want {
			t.Fatalf("run %d: written %t, %v", n, written, err)
		}
	}
	for n := range 12 {
		if _, _, err := s.Keep(t.Context(), document(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.List(t.Context())
	if err != nil || len(list) != 10 || list[0].ID != "13" || near == 0 {
		t.Errorf("%d versions, warned %d times, %v", len(list), near, err)
	}
	value := secretmanager.Value{Text: holdfast.NewSecret(`{"a": "b"}`), Digest: "b"}
	if _, err := s.Manager.Write(t.Context(), name, value, "12"); !errors.Is(err, secretmanager.ErrChanged) {
		t.Errorf("behind a newer version: %v", err)
	}
	if err := admin.KVv2("secret").Delete(t.Context(), "holdfast/my-validator"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Newest(t.Context()); err == nil || !strings.Contains(err.Error(), "was deleted") {
		t.Errorf("deleted: %v", err)
	}
	if _, written, err := s.Keep(t.Context(), document("z")); err != nil || !written {
		t.Errorf("behind a deleted version: %t, %v", written, err)
	}
	for want, s := range map[holdfast.Class]secretmanager.Safe{
		holdfast.Failed:   safe(token("default"), name),
		holdfast.WrongKey: safe("hvs.wrong", name),
		holdfast.Usage:    safe(root, "old/holdfast/my-validator"),
	} {
		if _, _, err := s.Keep(t.Context(), document("y")); holdfast.ClassOf(err) != want {
			t.Errorf("want %s: %v", want, err)
		}
	}
	if err := core.Seal(root); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Keep(t.Context(), document("x")); err == nil || !strings.Contains(err.Error(), "Vault is sealed") {
		t.Errorf("sealed: %v", err)
	}
}
