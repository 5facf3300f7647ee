package contract_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"holdfast"
	"holdfast/identities"
	"holdfast/identities/identitiestest"
)

// wish is a dump to be made with the vendor's protobufs.
type wish struct {
	Signing    string `json:"signing,omitempty"`    // ed25519, p256, p384 or secp256k1
	Encryption string `json:"encryption,omitempty"` // ecies or rsa
	Layout     string `json:"layout,omitempty"`     // current, second, raw or scheme
	KMS        bool   `json:"kms,omitempty"`
	Tamper     string `json:"tamper,omitempty"` // what is wrong with it
}

// granted is what came of a wish.
type granted struct {
	Dump     json.RawMessage
	Keys     [][][]byte // what each key is made of, as it stands in its pair
	Snapshot [][]byte   // what the snapshot has of the identity
	Database struct {
		ID          string
		PrivateKeys []string
		KMSKeys     []string `json:"kmsKeys"`
	}
}

func (g granted) parse(t *testing.T) *identities.Dump {
	t.Helper()
	dump, err := identities.Parse(g.Dump)
	if err != nil {
		t.Fatal(err)
	}
	return dump
}

// verdicts are those of the eight checks, one letter each: holds, violated or
// cannot tell (?).
func (g granted) verdicts(dump *identities.Dump) (letters, evidence string) {
	var all []string
	for _, f := range dump.Check(&identities.Participant{
		ID: g.Database.ID, PrivateKeys: g.Database.PrivateKeys, KMSKeys: g.Database.KMSKeys,
	}) {
		switch f.Verdict {
		case holdfast.Holds:
			letters += "h"
		case holdfast.Violated:
			letters += "v"
		default:
			letters += "?"
		}
		if f.Verdict != holdfast.Holds {
			all = append(all, f.Code+": "+f.Evidence)
		}
	}
	return letters, strings.Join(all, "\n")
}

// The checks are, in their order: whole, of a participant, readable, the
// namespace's key, keys match, importable, same participant, keys current.
func TestDumpsOfTheVendorsProtobufs(t *testing.T) {
	cases := []struct {
		wish
		want     string
		evidence string // somewhere in the evidence of what does not hold
	}{
		// Whole dumps, in every layout and kind of key.
		{wish{}, "hhhhhhhh", ""},
		{wish{Layout: "second"}, "hhhhhhhh", ""},
		{wish{Layout: "raw"}, "hhhhhhhh", ""},
		{wish{Layout: "scheme"}, "hhhhhhhh", ""},
		{wish{Signing: "p256"}, "hhhhhhhh", ""},
		{wish{Signing: "p256", Layout: "scheme"}, "hhhhhhhh", ""},
		{wish{Signing: "p384", Encryption: "rsa"}, "hhhhhhhh", ""},
		{wish{Signing: "p384", Encryption: "rsa", Layout: "scheme"}, "hhhhhhhh", ""},
		{wish{Signing: "secp256k1"}, "hhh??hhh", "cannot be recomputed"},
		{wish{KMS: true}, "hhhh?hhh", "in a KMS"},
		{wish{KMS: true, Signing: "p256", Encryption: "rsa"}, "hhhh?hhh", "in a KMS"},
		{wish{KMS: true, Signing: "secp256k1"}, "hhhh?hhh", "in a KMS"},
		{wish{Tamper: "whole store"}, "hhhhhhhh", ""},
		{wish{Tamper: "whole store", Layout: "raw"}, "hhhhhhhh", ""},
		{wish{Tamper: "pair of a later version"}, "hhhhhhhh", ""},
		// What is wrong with the member or the snapshot.
		{wish{Tamper: "sequencer"}, "hvh?hvvh", "a sequencer's"},
		{wish{Tamper: "mediator"}, "hvh?hvvh", "a mediator's"},
		{wish{Tamper: "another namespace"}, "hhhvhvvh", "none of its keys hashes"},
		{wish{Tamper: "another namespace", KMS: true}, "hhhv?vvh", "no root delegation's key"},
		{wish{Tamper: "no delegation"}, "hhhhhvhh", "no NamespaceDelegation"},
		{wish{Tamper: "no delegation", KMS: true}, "hhhv?vhh", "no NamespaceDelegation"},
		{wish{Tamper: "delegation of another namespace"}, "hhhhhvhh", "no NamespaceDelegation"},
		{wish{Tamper: "delegation to another key"}, "hhhhhvhh", "no NamespaceDelegation"},
		{wish{Tamper: "delegation to another key", KMS: true}, "hhhv?vhh", "no root delegation's key"},
		{wish{Tamper: "mapping of another member"}, "hhhhhvhh", "0 OwnerToKeyMappings"},
		{wish{Tamper: "two mappings"}, "hhhhhvhh", "2 OwnerToKeyMappings"},
		{wish{Tamper: "mapping proposed"}, "hhhhhvhh", "0 OwnerToKeyMappings"},
		{wish{Tamper: "mapping rejected"}, "hhhhhvhh", "0 OwnerToKeyMappings"},
		{wish{Tamper: "mapping superseded"}, "hhhhhvhh", "0 OwnerToKeyMappings"},
		{wish{Tamper: "mapping removed"}, "hhhhhvhh", "0 OwnerToKeyMappings"},
		{wish{Tamper: "mapping of a lost key"}, "hhhhhvhh", "which the dump lacks"},
		{wish{Tamper: "snapshot cut"}, "hhvhh?hh", "snapshot"},
		{wish{Tamper: "one transaction for a snapshot"}, "hhhhhvhh", "no NamespaceDelegation"},
		// What is wrong with a key.
		{wish{Tamper: "private key changed"}, "hhhhvvhv", "hashes to"},
		{wish{Tamper: "namespace key changed"}, "hhhvvhhv", "hashes to"},
		{wish{Tamper: "private key of another"}, "hhhhvvhv", "hashes to"},
		{wish{Tamper: "private key of another", Layout: "raw"}, "hhvh?hhh", "not that of its private key"},
		{wish{Tamper: "private key of another", Signing: "p256"}, "hhhhvvhv", "hashes to"},
		{wish{Tamper: "fingerprint of another"}, "hhhhvhhh", "hashes to"},
		{wish{Tamper: "public key of another", Layout: "raw"}, "hhvh?hhh", "not that of its private key"},
		{wish{Tamper: "private key followed by more"}, "hhvh?hhh", "does not parse"},
		{wish{Tamper: "private key followed by more", Signing: "p256"}, "hhvh?hhh", "does not parse"},
		{wish{Tamper: "private key cut"}, "hhvh?hhh", "does not parse"},
		{wish{Tamper: "private key empty"}, "hhvh?hhh", "empty"},
		{wish{Tamper: "spec of another"}, "hhvh?hhh", "another kind"},
		{wish{Tamper: "spec of another", Signing: "p256"}, "hhvh?hhh", "another kind"},
		{wish{Tamper: "symbolic"}, "hhhh?hhh", "cannot be recomputed"},
		{wish{Tamper: "another purpose"}, "hhvh?vhh", "another kind"},
		{wish{Tamper: "public key alone"}, "hhvh?vhv", "no private key"},
		{wish{Tamper: "neither pair"}, "hhvh?vhv", ""},
		{wish{Tamper: "under a password"}, "hhvh?vhv", ""},
		{wish{Tamper: "pair without version"}, "hhvh?vhv", ""},
		{wish{Tamper: "pair of an earlier version"}, "hhvh?vhv", "Canton 3"},
		{wish{Tamper: "pair cut"}, "hhvh?vhv", ""},
		{wish{Tamper: "pair not base64"}, "hhvh?vhv", "not base64"},
		{wish{Tamper: "kms key without name", KMS: true}, "hhhh?vhh", "without a name"},
		{wish{Tamper: "kms key without type", KMS: true}, "hhvh?hhh", "neither signing nor encryption"},
	}
	var wishes []wish
	for _, c := range cases {
		wishes = append(wishes, c.wish)
	}
	var made []granted
	run(t, "dumps.mjs", wishes, &made)
	for n, c := range cases {
		name, _ := json.Marshal(c.wish)
		t.Run(string(name), func(t *testing.T) {
			got, evidence := made[n].verdicts(made[n].parse(t))
			if got != c.want || !strings.Contains(evidence, c.evidence) {
				t.Errorf("got %s, want %s; %q in\n%s", got, c.want, c.evidence, evidence)
			}
		})
	}
}

// A change anywhere in a private key, in the public key that stands in it or
// next to it, in its fingerprint, and in the member and the public keys of the
// snapshot is found: one bit of every byte is changed.
func TestEveryChangedByteIsFound(t *testing.T) {
	wishes := []wish{{}, {Layout: "second"}, {Layout: "raw"}, {Signing: "p256"}, {Signing: "p256", Layout: "scheme"}}
	var made []granted
	run(t, "dumps.mjs", wishes, &made)
	for n, g := range made {
		for k, parts := range g.Keys {
			pair := func(body map[string]any) (map[string]any, string) {
				return body["keys"].([]any)[k].(map[string]any), "keyPair"
			}
			for _, part := range parts {
				if missed := g.missed(t, part, pair); len(missed) > 0 {
					t.Errorf("%+v: changes of key %d are not found at bytes %v of %x", wishes[n], k, missed, part)
				}
			}
		}
		snapshot := func(body map[string]any) (map[string]any, string) { return body, "authorizedStoreSnapshot" }
		for _, part := range g.Snapshot {
			if missed := g.missed(t, part, snapshot); len(missed) > 0 {
				t.Errorf("%+v: changes of the snapshot are not found at bytes %v of %x", wishes[n], missed, part)
			}
		}
	}
}

// field is one of a dump: the object that has it, and its name there.
type field = func(dump map[string]any) (object map[string]any, name string)

// missed changes each byte of a part of a field in turn, and lists those that
// no check finds.
func (g granted) missed(t *testing.T, part []byte, of field) (missed []int) {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(g.Dump, &body); err != nil {
		t.Fatal(err)
	}
	object, field := of(body)
	raw, err := base64.StdEncoding.DecodeString(object[field].(string))
	at := bytes.LastIndex(raw, part)
	if err != nil || at < 0 {
		t.Fatalf("%x is not in %s: %v", part, field, err)
	}
	for i := range part {
		changed := slices.Clone(raw)
		changed[at+i] ^= 1 << (i % 8)
		object[field] = base64.StdEncoding.EncodeToString(changed)
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		one := granted{Dump: text, Database: g.Database}
		if got, _ := one.verdicts(one.parse(t)); got == "hhhhhhhh" {
			missed = append(missed, i)
		}
	}
	return missed
}

// readKey is a key of a dump as the vendor's protobufs read it.
type readKey struct{ Purpose, Fingerprint, Derived, Public, KMS string }

func (k readKey) is(want identitiestest.Key) bool {
	if k.KMS != want.KMSKeyID || k.Purpose != []string{identities.Signing, identities.Encryption}[want.Purpose] {
		return false
	}
	own := k.Fingerprint == want.Fingerprint && k.Derived == want.Fingerprint
	return k.KMS != "" || own && (k.Public == "" || k.Public == want.Fingerprint)
}

// readTransaction is one of a snapshot.
type readTransaction struct {
	Kind, Of  string
	Operation int
	Serial    int
	InForce   bool
	Keys      []string
}

func (x readTransaction) isOf(participant string) bool {
	_, namespace, _ := strings.Cut(participant, "::")
	if x.Operation != 1 || x.Serial < 1 || len(x.Keys) == 0 {
		return false
	}
	switch x.Kind {
	case "namespaceDelegation":
		return x.Of == namespace && x.Keys[0] == namespace && x.InForce
	case "ownerToKeyMapping":
		return x.Of == "PAR::"+participant
	}
	return false
}

// What the test dumps of this project encode, the vendor's types read, without
// a field that they do not know; and written again by them it is the same.
func TestOurTestDumpsAreReadByTheVendorsProtobufs(t *testing.T) {
	type options = identitiestest.Options
	var ours []json.RawMessage
	var want []identitiestest.Dump
	for _, o := range []options{
		{}, {Version: "0.6.11"}, {OldLayout: true}, {KMS: true}, {Rotations: 3}, {OldLayout: true, Rotations: 1},
		{Fault: identitiestest.FutureKeys}, {Fault: identitiestest.TwoOwnerMappings}, {Fault: identitiestest.NoDelegation},
	} {
		for seed := range byte(10) {
			d := identitiestest.New("alice-validator-1", [32]byte{seed}, o)
			ours, want = append(ours, d.JSON), append(want, d)
		}
	}
	moved, err := want[0].As("alice-validator-2")
	if err != nil {
		t.Fatal(err)
	}
	ours, want = append(ours, moved.JSON), append(want, moved)

	var read []struct {
		Keys         []readKey
		Transactions []readTransaction
		Again        json.RawMessage
	}
	run(t, "decode.mjs", ours, &read)
	for n, r := range read {
		for k, key := range r.Keys {
			if !key.is(want[n].Keys[k]) {
				t.Errorf("dump %d, key %d is %+v, want %s", n, k, key, want[n].Keys[k].Fingerprint)
			}
		}
		for _, x := range r.Transactions {
			if !x.isOf(want[n].ParticipantID) {
				t.Errorf("dump %d of %s: %+v", n, want[n].ParticipantID, x)
			}
		}
		before, after := granted{Dump: ours[n]}, granted{Dump: r.Again}
		b, _ := before.verdicts(before.parse(t))
		if a, evidence := after.verdicts(after.parse(t)); a != b || after.parse(t).Content() != before.parse(t).Content() {
			t.Errorf("dump %d, written again: %s, before %s\n%s", n, a, b, evidence)
		}
	}
	if len(read) != len(ours) {
		t.Errorf("%d of %d dumps were read", len(read), len(ours))
	}
}
