package secretmanager_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/secretmanager"
	"holdfast/secretmanager/secretmanagertest"
)

// bench is a manager in front of its stand-in, with the abilities that the
// vendor's documentation declares.
type bench struct {
	manager  secretmanager.Manager
	plain    secretmanager.Manager // of secrets that others wrote; the manager itself if nil
	server   *secretmanagertest.StandIn
	place    string // the name that a configuration would have
	bytes    int
	versions int
	compares bool
	right    string // a part of the line that gives the right to write
}

// benches are all managers. A new one is a line here.
var benches = map[string]func(*testing.T, time.Duration) bench{
	"vault": func(t *testing.T, within time.Duration) bench {
		s := secretmanagertest.NewVault(t)
		return bench{
			manager: vaultAt(t, s.URL, byToken(), within), server: s.StandIn, place: "secret/holdfast",
			bytes: 512 << 10, versions: 10, compares: true, right: `path "secret/data/holdfast/node-1" { capabilities`,
		}
	},
	"aws": func(t *testing.T, within time.Duration) bench {
		s := secretmanagertest.NewAWS(t)
		return bench{
			manager: awsAt(t, s.URL, within), server: s.StandIn, place: "holdfast",
			bytes: 65536, versions: 100, right: `"secretsmanager:GetSecretValue"`,
		}
	},
	"google": func(t *testing.T, within time.Duration) bench {
		s := secretmanagertest.NewGoogle(t)
		m, err := secretmanager.NewGoogle(t.Context(), secretmanager.GoogleOptions{
			Project: secretmanagertest.GoogleProject, Key: fixed(s.Key(t)), Endpoint: s.URL, Within: within,
		})
		if err != nil {
			t.Fatal(err)
		}
		return bench{
			manager: m, server: s.StandIn, place: "holdfast",
			bytes: 64 << 10, right: "--role=roles/secretmanager.secretAccessor",
		}
	},
	"kubernetes": func(t *testing.T, within time.Duration) bench {
		s := secretmanagertest.NewKubernetes(t)
		m := kubernetesAt(t, s.Config(t, ""), within)
		return bench{
			manager: m, plain: m.Plain(), server: s.StandIn, place: "holdfast",
			bytes: 1000000, right: "create role holdfast --verb=create,get,list --resource=secrets",
		}
	},
	"azure": func(t *testing.T, within time.Duration) bench {
		s := secretmanagertest.NewAzure(t)
		m, err := secretmanager.NewAzure(secretmanager.AzureOptions{
			Vault: "standin", Endpoint: s.URL, Within: within,
		})
		if err != nil {
			t.Fatal(err)
		}
		return bench{
			manager: m, server: s.StandIn, place: "holdfast",
			bytes: 25000, versions: 500, right: `--role "Key Vault Secrets User"`,
		}
	},
}

func kubernetesAt(t *testing.T, config string, within time.Duration) *secretmanager.Kubernetes {
	t.Helper()
	m, err := secretmanager.NewKubernetes(secretmanager.KubernetesOptions{
		Namespace: secretmanagertest.KubernetesNamespace, Kubeconfig: config, Within: within,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func vaultAt(t *testing.T, address string, login secretmanager.Login, within time.Duration) *secretmanager.Vault {
	t.Helper()
	v, err := secretmanager.NewVault(secretmanager.VaultOptions{Address: address, Login: login, Within: within})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func byToken() secretmanager.Login {
	return secretmanager.Login{Token: holdfast.Fixed(holdfast.NewSecret(secretmanagertest.VaultToken))}
}

func awsAt(t *testing.T, endpoint string, within time.Duration) *secretmanager.AWS {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", secretmanagertest.AWSKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretmanagertest.AWSSecret)
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	m, err := secretmanager.NewAWS(t.Context(), secretmanager.AWSOptions{
		Region: secretmanagertest.AWSRegion, Endpoint: endpoint, Within: within,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// each runs a test on every manager.
func each(t *testing.T, test func(*testing.T, bench, secretmanager.Safe)) {
	t.Helper()
	eachWithin(t, secretmanager.CallTime, test)
}

func eachWithin(t *testing.T, within time.Duration, test func(*testing.T, bench, secretmanager.Safe)) {
	t.Helper()
	for name, make := range benches {
		t.Run(name, func(t *testing.T) {
			b := make(t, within)
			test(t, b, secretmanager.Safe{Manager: b.manager, Name: b.manager.Join(b.place, "node-1")})
			if n := b.server.Removals(); n != 0 {
				t.Errorf("%d requests delete something", n)
			}
		})
	}
}

func document(content string) secretmanager.Document {
	return secretmanager.Document{Name: "identities-demo-" + content + ".json.age", Content: []byte("sealed " + content)}
}

func keep(t *testing.T, s secretmanager.Safe, d secretmanager.Document, wantWritten bool) secretmanager.Kept {
	t.Helper()
	kept, written, err := s.Keep(t.Context(), d)
	if err != nil || written != wantWritten || kept.Name != d.Name || kept.ID == "" {
		t.Fatalf("kept %+v, written %t, %v", kept, written, err)
	}
	return kept
}

// What is kept is read back; what is unchanged is not written, although sealing
// made other bytes; and another document is another version.
func TestIdentitiesAreKeptOnce(t *testing.T) {
	each(t, func(t *testing.T, b bench, s secretmanager.Safe) {
		if list, err := s.List(t.Context()); err != nil || len(list) != 0 {
			t.Fatalf("before the first: %v, %v", list, err)
		}
		first := keep(t, s, document("a"), true)
		again := document("a")
		again.Content = []byte("sealed another time")
		if kept := keep(t, s, again, false); kept.ID != first.ID {
			t.Errorf("unchanged, and version %s is now %s", first.ID, kept.ID)
		}
		second := keep(t, s, document("b"), true)
		back := keep(t, s, document("a"), true) // as after a rotation that was taken back
		if first.ID == second.ID || back.ID == first.ID || b.server.Writes() != 3 {
			t.Errorf("versions %s, %s, %s; %d writes", first.ID, second.ID, back.ID, b.server.Writes())
		}
		list, err := s.List(t.Context())
		if err != nil || len(list) != 3 || list[0].ID != back.ID || list[0].Name != document("a").Name ||
			list[0].Created.IsZero() || !strings.Contains(list[0].Where, s.Name) {
			t.Errorf("listed %+v, %v", list, err)
		}
		_, d, err := s.Read(t.Context(), second.ID)
		if err != nil || string(d.Content) != "sealed b" || d.Clear {
			t.Errorf("an older version is %+v, %v", d, err)
		}
	})
}

// Two nodes with one configuration have a secret each.
func TestASecretForEachNode(t *testing.T) {
	each(t, func(t *testing.T, b bench, s secretmanager.Safe) {
		keep(t, s, document("a"), true)
		names := map[string]bool{s.Name: true}
		for _, node := range []string{"node-2", "node.2", "node_2", "Node-2", "N-2"} {
			other := secretmanager.Safe{Manager: b.manager, Name: b.manager.Join(b.place, node)}
			if names[other.Name] {
				t.Errorf("%s has the name of another: %s", node, other.Name)
			}
			names[other.Name] = true
			keep(t, other, document("a"), true)
		}
	})
}

func TestIdentitiesInClear(t *testing.T) {
	each(t, func(t *testing.T, _ bench, s secretmanager.Safe) {
		d := secretmanager.Document{Name: "identities-demo-a.json", Content: []byte(`{"id": "PAR::demo"}`), Clear: true}
		if kept := keep(t, s, d, true); !kept.Clear {
			t.Error("it does not say so")
		}
		_, got, err := s.Newest(t.Context())
		if err != nil || string(got.Content) != string(d.Content) || !got.Clear {
			t.Errorf("%+v, %v", got, err)
		}
		keep(t, s, document("a"), true) // sealed from now on
	})
}

// A version that is damaged, or whose value was deleted, is replaced. One that
// somebody else wrote is not.
func TestVersionsThatAreNoIdentities(t *testing.T) {
	each(t, func(t *testing.T, b bench, s secretmanager.Safe) {
		keep(t, s, document("a"), true)
		b.server.Put(s.Name, `{"file": "identities-demo-a.json.age", "sealed": "AAAA", "sha256": "00"}`)
		if _, _, err := s.Newest(t.Context()); !errors.Is(err, secretmanager.ErrNone) ||
			holdfast.ClassOf(err) != holdfast.Violation {
			t.Errorf("damaged: %v", err)
		}
		b.server.Put(s.Name, `{"password": "hunter2"}`)
		_, _, err := s.Keep(t.Context(), document("a"))
		expect(t, err, holdfast.Refused, "Holdfast has not written", "another name")
	})
}

func TestTooLarge(t *testing.T) {
	each(t, func(t *testing.T, b bench, s secretmanager.Safe) {
		limits, err := b.manager.Limits(t.Context(), s.Name)
		if err != nil || limits.Bytes != b.bytes || limits.Versions != b.versions || limits.Compares != b.compares {
			t.Errorf("its limits are %+v, %v", limits, err)
		}
		d := document("large")
		d.Content = make([]byte, b.bytes)
		_, _, err = s.Keep(t.Context(), d)
		expect(t, err, holdfast.Refused, fmt.Sprintf("it takes %d", b.bytes), "identities.keep")
		if b.server.Writes() != 0 {
			t.Error("it was sent")
		}
	})
}

func TestNoPermission(t *testing.T) {
	each(t, func(t *testing.T, b bench, s secretmanager.Safe) {
		b.server.Deny(true)
		_, _, err := s.Keep(t.Context(), document("a"))
		expect(t, err, holdfast.Failed, "permission denied", "Grant it with this line: ")
		if _, do := holdfast.Advice(err); !strings.Contains(do, b.right) {
			t.Errorf("the line is not named: %s", do)
		}
		b.server.Deny(false)
		b.server.Reject(true)
		_, _, err = s.Keep(t.Context(), document("a"))
		expect(t, err, holdfast.WrongKey, "does not accept the credentials", "")
	})
}

func TestUnreachable(t *testing.T) {
	const short = 300 * time.Millisecond
	eachWithin(t, short, func(t *testing.T, b bench, s secretmanager.Safe) {
		b.server.Delay(time.Minute)
		began := time.Now()
		_, _, err := s.Keep(t.Context(), document("a"))
		expect(t, err, holdfast.Unreachable, "does not answer", "network")
		if took := time.Since(began); took > 30*short {
			t.Errorf("it took %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := s.Keep(ctx, document("a")); holdfast.ClassOf(err) != holdfast.Interrupted {
			t.Errorf("interrupted: %v", err)
		}
	})
}

// A call is repeated while the server is busy, and not for ever.
func TestBusy(t *testing.T) {
	each(t, func(t *testing.T, b bench, s secretmanager.Safe) {
		b.server.Busy(1)
		if _, err := s.List(t.Context()); err != nil {
			t.Errorf("busy once: %v", err)
		}
		b.server.Busy(100)
		_, err := s.List(t.Context())
		expect(t, err, holdfast.Failed, "429", "To try again")
		b.server.Busy(0)
	})
}

// Where older identities will be dropped soon, somebody hears of it.
func TestVersionsNearTheirLimit(t *testing.T) {
	each(t, func(t *testing.T, b bench, s secretmanager.Safe) {
		var heard []secretmanager.VersionsNearLimit
		s.Events = func(e event.Event) {
			if near, is := e.(secretmanager.VersionsNearLimit); is {
				heard = append(heard, near)
			}
		}
		for n := range b.versions {
			heard = nil
			if b.versions > 20 && n < b.versions-3 { // the rest is written faster
				b.server.Put(s.Name, `{"file": "x", "clear": "y", "sha256": "`+
					`a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa"}`)
				continue
			}
			keep(t, s, document(fmt.Sprint(n)), true)
			if near := n+1 >= b.versions-2; near != (len(heard) == 1) {
				t.Errorf("with %d versions of %d: %v", n+1, b.versions, heard)
			}
		}
		if b.versions > 0 && (len(heard) != 1 || !strings.Contains(heard[0].String(), fmt.Sprint("keeps ", b.versions))) {
			t.Errorf("at last: %v", heard)
		}
	})
}

// Two that write at once write what the manager can keep apart.
func TestTwoWriters(t *testing.T) {
	each(t, func(t *testing.T, b bench, s secretmanager.Safe) {
		first := keep(t, s, document("a"), true)
		keep(t, s, document("b"), true)
		value := secretmanager.Value{Text: holdfast.NewSecret(`{"a": "b"}`), Digest: "c"}
		_, err := b.manager.Write(t.Context(), s.Name, value, first.ID)
		if changed := errors.Is(err, secretmanager.ErrChanged); changed != b.compares || err != nil && !changed {
			t.Errorf("behind a newer version: %v", err)
		}
	})
}

func TestReferences(t *testing.T) {
	each(t, func(t *testing.T, b bench, s secretmanager.Safe) {
		b.server.Put(s.Name, `{"password": "hunter2", "port": "5432", "empty": ""}`)
		read := secretmanager.Reader(func(_ context.Context, name string) (secretmanager.Manager, string, error) {
			if b.plain != nil {
				return b.plain, name, nil
			}
			return b.manager, name, nil
		})
		for key, want := range map[string]string{"#password": "hunter2", "#port": "5432", "#empty": "",
			"": `{"empty":"","password":"hunter2","port":"5432"}`} {
			if got, err := read(t.Context(), s.Name+key); err != nil || sorted(got.Reveal()) != want {
				t.Errorf("%s: %q, %v", key, got.Reveal(), err)
			}
		}
		_, err := read(t.Context(), s.Name+"#pasword")
		expect(t, err, holdfast.Usage, "there are: empty, password, port", "Correct the reference")
		_, err = read(t.Context(), b.manager.Join(b.place, "nobody")+"#password")
		expect(t, err, holdfast.Usage, "there is no such secret", "Correct the name")
	})
}

// sorted is a JSON object with its keys in order, and anything else as it is.
func sorted(text string) string {
	var fields map[string]any
	if json.Unmarshal([]byte(text), &fields) != nil {
		return text
	}
	out, err := json.Marshal(fields)
	if err != nil {
		return text
	}
	return string(out)
}

// expect is an error of a class that has words, and advice that has some; never a
// credential.
func expect(t *testing.T, err error, class holdfast.Class, words, advice string) {
	t.Helper()
	_, do := holdfast.Advice(err)
	if holdfast.ClassOf(err) != class || !strings.Contains(fmt.Sprint(err), words) || !strings.Contains(do, advice) {
		t.Errorf("class %s: %v; next: %s", holdfast.ClassOf(err), err, do)
	}
	for _, secret := range []string{"hunter2", secretmanagertest.VaultToken, secretmanagertest.AWSSecret,
		secretmanagertest.VaultSecretID} {
		if strings.Contains(fmt.Sprint(err)+do, secret) {
			t.Errorf("a secret is in %v", err)
		}
	}
}
