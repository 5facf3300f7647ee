package identities_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"holdfast/identities/identitiestest"
)

func TestContentIsTheSameForTheSameNode(t *testing.T) {
	type opts = identitiestest.Options
	seed := [32]byte{3}
	content := func(hint string, seed [32]byte, o opts) string {
		return parse(t, identitiestest.New(hint, seed, o).JSON).Content()
	}
	base := content("alice", seed, opts{})

	same := map[string]string{
		"exported again":              content("alice", seed, opts{}),
		"exported by another release": content("alice", seed, opts{Version: "0.7.5"}),
		"with its keys in another order": parse(t, edited(t, identitiestest.New("alice", seed, opts{}).JSON, func(body map[string]any) {
			slices.Reverse(body["keys"].([]any))
		})).Content(),
	}
	for name, got := range same {
		if got != base {
			t.Errorf("%s: the content differs", name)
		}
	}
	different := map[string]string{
		"another node":         content("alice", [32]byte{4}, opts{}),
		"another identifier":   content("bob", seed, opts{}),
		"after a rotation":     content("alice", seed, opts{Rotations: 1}),
		"with a damaged key":   content("alice", seed, opts{Fault: identitiestest.BrokenKey}),
		"with half a snapshot": content("alice", seed, opts{Fault: identitiestest.BrokenSnapshot}),
		"in a KMS":             content("alice", seed, opts{KMS: true}),
	}
	for name, got := range different {
		if got == base {
			t.Errorf("%s: the content is the same", name)
		}
	}
}

func TestFactsNameTheKeysAndNothingOfThem(t *testing.T) {
	made := identitiestest.New("alice", [32]byte{3}, identitiestest.Options{Version: "0.6.11"})
	dump := parse(t, made.JSON)
	facts := dump.Facts(dump.Check(database(made)))
	if facts.ID != "PAR::"+made.ParticipantID || facts.Version != "0.6.11" || facts.KMS || len(facts.Checks) != 8 {
		t.Errorf("got %+v", facts)
	}
	for n, k := range made.Keys {
		if got := facts.Keys[n]; got.Fingerprint != k.Fingerprint || got.Name != k.Name || got.KMSKey != "" {
			t.Errorf("got %+v, want %s %s", got, k.Name, k.Fingerprint)
		}
	}
	text, err := json.Marshal(facts)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range keyPairs(t, made.JSON) {
		if strings.Contains(string(text), secret[:40]) {
			t.Errorf("the facts quote a key pair")
		}
	}
	kms := parse(t, identitiestest.New("alice", [32]byte{3}, identitiestest.Options{KMS: true}).JSON)
	if got := kms.Facts(nil); !got.KMS || !strings.HasPrefix(got.Keys[0].KMSKey, "projects/") || got.Keys[2].Purpose != "encryption" {
		t.Errorf("got %+v", got)
	}
}

// edited is a dump with something changed by hand.
func edited(t *testing.T, dump []byte, edit func(map[string]any)) []byte {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(dump, &body); err != nil {
		t.Fatal(err)
	}
	edit(body)
	out, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func keyPairs(t *testing.T, dump []byte) []string {
	t.Helper()
	var body struct {
		Keys []struct{ KeyPair string }
	}
	if err := json.Unmarshal(dump, &body); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, k := range body.Keys {
		out = append(out, k.KeyPair)
	}
	return out
}
