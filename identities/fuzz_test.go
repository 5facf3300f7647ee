package identities

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"holdfast/identities/identitiestest"
)

// seeds are dumps of every layout, whole and with every fault.
func seeds() []identitiestest.Dump {
	type opts = identitiestest.Options
	var out []identitiestest.Dump
	for _, o := range []opts{
		{}, {OldLayout: true, Version: "0.3.6"}, {KMS: true}, {Rotations: 2},
		{Fault: identitiestest.FutureKeys}, {Fault: identitiestest.BrokenSnapshot}, {Fault: identitiestest.BrokenKey},
	} {
		out = append(out, identitiestest.New("alice", [32]byte{9}, o))
	}
	return out
}

// Whatever comes in, the parser neither panics nor repeats a key pair, and
// what it says fits on a page.
func FuzzParse(f *testing.F) {
	for _, d := range seeds() {
		f.Add(d.JSON)
		f.Add(identitiestest.SuperValidator(d))
	}
	f.Add([]byte(`{"error":"Authorization Failed for alice"}`))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dump, err := Parse(data)
		if err != nil {
			const page = 4000
			if len(err.Error()) > page {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		report := dump.Check(&Participant{ID: dump.ID, PrivateKeys: []string{}, KMSKeys: []string{}})
		said := fmt.Sprintf("%+v %+v %v", report, dump.Facts(report), report.Err())
		var b body
		if json.Unmarshal(data, &b) != nil || b.Identities != nil {
			return
		}
		for _, e := range b.Keys {
			const telling = 24 // anything shorter may be in the text by chance
			if len(e.KeyPair) > telling && e.Name == "" && strings.Contains(said, e.KeyPair[:telling]) && !strings.Contains(b.ID+b.Version, e.KeyPair[:telling]) {
				t.Fatalf("a key pair is repeated in %s", said)
			}
		}
	})
}

func FuzzKeyPair(f *testing.F) {
	raw, err := base64.StdEncoding.DecodeString(current)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	for _, d := range seeds() {
		for _, k := range d.Keys {
			f.Add(k.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var k Key
		k.readKeyPair(base64.StdEncoding.EncodeToString(data))
		if k.Derived == "" && k.Unknown == "" && k.Broken == "" {
			t.Errorf("no fingerprint and no reason why: %+v", k)
		}
		if k.Claimed != "" && !fingerprintRule.MatchString(k.Claimed) {
			t.Errorf("%q passes for a fingerprint", k.Claimed)
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	for _, d := range seeds() {
		var b body
		if err := json.Unmarshal(d.JSON, &b); err != nil {
			f.Fatal(err)
		}
		raw, err := base64.StdEncoding.DecodeString(b.Snapshot)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := readSnapshot(data)
		if err != nil {
			return
		}
		// Every delegation and mapping stands for bytes of the input, so the
		// result cannot grow beyond it.
		if len(s.delegations)+len(s.owners) > len(data) {
			t.Errorf("%d delegations and %d mappings from %d bytes", len(s.delegations), len(s.owners), len(data))
		}
	})
}
