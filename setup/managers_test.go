package setup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/config"
	"holdfast/identities"
	"holdfast/identities/identitiestest"
	"holdfast/place"
	"holdfast/sandbox"
	"holdfast/secretmanager/secretmanagertest"
)

// withManagers are parts of a configuration with a Vault.
func withManagers(t *testing.T, more string) *Parts {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(secretmanagertest.VaultToken), 0o600); err != nil {
		t.Fatal(err)
	}
	conf, err := config.Parse(filepath.Join(dir, "holdfast.yaml"), []byte(least+more), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(conf, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(t.Context()) })
	return p
}

// Every kind of place that serves has its keeper.
func TestKeepersOfPlaces(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-central-1")
	google := secretmanagertest.NewGoogle(t)
	t.Setenv("GOOGLE_KEY", google.Key(t))
	t.Setenv("KUBECONFIG", secretmanagertest.NewKubernetes(t).Config(t, ""))
	p := withManagers(t, "secret_managers: {google: {key: 'env:GOOGLE_KEY', endpoint: '"+google.URL+"'}}\n")
	for _, scheme := range place.Available(place.Identities) {
		k := config.Keep{Place: place.Place{Scheme: scheme, Host: "host", Account: "project", Bucket: "name", Path: "mount/x"}}
		if _, local := k.Place.Local(); local {
			continue
		}
		s, is := p.keeper(k).(safe)
		if !is {
			t.Errorf("%s has no keeper", scheme)
			continue
		}
		if _, err := s.open(t.Context()); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

// The same identities go sealed to one place and in clear to another, and are
// written once.
func TestIdentitiesInAVault(t *testing.T) {
	server := secretmanagertest.NewVault(t)
	host := strings.TrimPrefix(server.URL, "http://")
	key, recipient, err := identities.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	raw := identitiestest.New("demo", [32]byte{7}, identitiestest.Options{}).JSON
	p := withManagers(t, `
secret_managers: {vault: {auth: {token: 'file:token'}}}
identities:
  file: dump.json
  recipients: [`+recipient+`]
  keep:
    - vault://`+host+`/secret/holdfast?tls=off
    - {place: 'vault://`+host+`/secret/clear?tls=off', seal: none}
`)
	if err := os.WriteFile(p.Config.Identities.File, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	none, err := p.IdentityPlaces(t.Context(), time.Now())
	if err != nil || len(none) != 2 || none[0].Live != holdfast.Violated || none[0].Found != "there are none" {
		t.Errorf("before the first: %+v, %v", none, err)
	}
	backup, err := p.IdentitiesBackup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dump, err := identities.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		facts, err := backup.Keep(t.Context(), dump, raw, nil)
		if err != nil || len(facts.Kept) != 2 || server.Writes() != 2 {
			t.Fatalf("run %d: kept %q, %d writes, %v", n, facts.Kept, server.Writes(), err)
		}
		if facts.Kept[0] != "vault://"+host+"/secret/holdfast/demo version 1" ||
			facts.Kept[1] != "vault://"+host+"/secret/clear/demo version 1, in clear" {
			t.Errorf("kept in %q", facts.Kept)
		}
	}
	places, err := p.IdentityPlaces(t.Context(), time.Now())
	for i, at := range places {
		if at.Live != holdfast.Holds || at.InClear != (i == 1) || at.Versions != 1 || at.ReadBack == nil ||
			at.Written == nil || at.Newest == "" {
			t.Errorf("place %d is %+v, %v", i, at, err)
		}
	}
	keys, err := identities.ParseKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	tested := p.TestRecoveryKey(t.Context(), keys)
	if len(tested) != 3 || tested[0].Verdict != holdfast.Violated || // there is no repository
		tested[1].Verdict != holdfast.Holds || !strings.Contains(tested[2].Found, "is in clear") {
		t.Errorf("tested: %+v", tested)
	}
	if found := p.tryManagers(t.Context()); len(found) != 2 || found[0].Verdict != holdfast.Holds ||
		found[0].Found != "1 version of the identities" {
		t.Errorf("tried: %+v", found)
	}
	server.Drop("secret/holdfast/demo")
	if at, err := p.IdentityPlaces(t.Context(), time.Now()); err != nil || at[0].Live != holdfast.Violated ||
		!strings.Contains(at[0].Found, "was deleted") {
		t.Errorf("deleted: %+v, %v", at, err)
	}
	server.Deny(true)
	if at, err := p.IdentityPlaces(t.Context(), time.Now()); err != nil || at[0].Live != holdfast.CannotTell ||
		!strings.Contains(at[0].Found, "permission denied") || at[0].Do == "" {
		t.Errorf("denied: %+v, %v", at, err)
	}
	server.Deny(false)
	if _, err := backup.Keep(t.Context(), dump, raw, nil); err != nil {
		t.Error(err)
	}
	read := func(reference string) string {
		t.Helper()
		p.managers.conf.Vault.Address = server.URL
		s, err := p.Secret(config.Reference(reference))(t.Context())
		if err != nil {
			t.Error(err)
		}
		return s.Reveal()
	}
	if got := read("vault:secret/clear/demo#clear"); got != string(raw) {
		t.Errorf("in clear: %s", got)
	}
	if got := read("vault:secret/holdfast/demo#sealed"); got == "" || strings.Contains(got, "PAR::") {
		t.Errorf("sealed: %s", got)
	}
}

// A Vault's credentials go to no other server.
func TestAPlaceInAnotherVault(t *testing.T) {
	for _, c := range []struct{ address, place, want string }{
		{"https://vault.example.com", "vault://vault.example.com/m/x", "https://vault.example.com"},
		{"https://vault.example.com:8200", "vault://vault.example.com/m/x", "https://vault.example.com:8200"},
		{"", "vault://vault.example.com/m/x", "https://vault.example.com:8200"},
		{"", "vault://127.0.0.1:18200/m/x?tls=off", "http://127.0.0.1:18200"},
		{"https://vault.example.com:8200", "vault://other.example.com/m/x", ""},
		{"https://vault.example.com:8200", "vault://vault.example.com:8300/m/x", ""},
	} {
		at, err := place.Parse(c.place, "/")
		if err != nil {
			t.Fatal(err)
		}
		m := managers{conf: config.SecretManagers{Vault: config.Vault{Address: c.address}}}
		got, err := m.vaultOf(at)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && holdfast.ClassOf(err) != holdfast.Usage {
			t.Errorf("%s in %s: %s, %v", c.place, c.address, got, err)
		}
	}
}

// The configuration refuses a drill with less memory than its server needs, and
// takes one with as much.
func TestADrillHasTheMemoryThatItsServerNeeds(t *testing.T) {
	for bytes, taken := range map[int]bool{sandbox.LeastMemory: true, sandbox.LeastMemory - 1024: false} {
		text := fmt.Sprintf("%sdrill: {memory: %dKiB}\n", least, bytes/1024)
		if _, err := config.Parse("holdfast.yaml", []byte(text), nil); (err == nil) != taken {
			t.Errorf("%d bytes: %v", bytes, err)
		}
	}
}

// What is kept in clear by the operator's word is mentioned by `config check`, and
// handed to `check`.
func TestPlacesInClearAreMentioned(t *testing.T) {
	const clear, sealed = "awssm://eu-central-1/clear", "awssm://eu-central-1/sealed"
	_, recipient, err := identities.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	p := withManagers(t, `identities:
  file: dump.json
  recipients: [`+recipient+`]
  keep:
    - `+sealed+`
    - {place: '`+clear+`', seal: none}
`)
	var mentioned []string
	for _, f := range p.Exposed() {
		if strings.Contains(f.Found, "in clear") {
			mentioned = append(mentioned, f.Found)
			if f.Verdict != holdfast.Holds || !strings.Contains(f.Do, "seal: none") {
				t.Errorf("%+v", f)
			}
		}
	}
	if len(mentioned) != 1 || mentioned[0] != "the identities are in clear in "+clear {
		t.Errorf("mentioned: %q", mentioned)
	}
	if got := declared(p.Config).InClear; len(got) != 1 || got[0] != clear {
		t.Errorf("check is told of %q", got)
	}
}
